// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// commands returns all commands, also those that cobra adds.
func commands() []*cobra.Command {
	root := Root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	all := []*cobra.Command{root}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Commands()...)
	}
	return all
}

func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	var names []string
	for _, cmd := range commands() {
		names = append(names, cmd.Name())
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			assert.NotEmpty(t, cmd.Short)
			assert.False(t, strings.HasSuffix(cmd.Short, "."), "it stands in a list: %q", cmd.Short)
			assert.NotEmpty(t, cmd.Long)
			assert.Contains(t, cmd.Example, "auditkill", "examples that can be copied")
			for line := range strings.Lines(cmd.Example) {
				assert.True(t, strings.HasPrefix(line, "  "), "indented as flags are: %q", line)
			}
			for _, line := range append(strings.Split(cmd.Long, "\n"), strings.Split(cmd.Example, "\n")...) {
				assert.LessOrEqual(t, len(line), 100, "%q", line)
				assert.NotContains(t, line, "\t")
			}
		})
	}
	assert.Contains(t, names, "help")
	assert.Contains(t, names, "completion")
}

// What is asked for help answers on standard output, with examples, and exits with 0.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, cmd := range commands() {
		path := strings.Fields(cmd.CommandPath())[1:]
		example, _, _ := strings.Cut(cmd.Example, "\n")
		for name, arguments := range map[string][]string{
			"--help": append(path[:len(path):len(path)], "--help"), "help": append([]string{"help"}, path...),
		} {
			t.Run(cmd.CommandPath()+" by "+name, func(t *testing.T) {
				t.Parallel()
				var out, errs bytes.Buffer
				code := Execute(t.Context(), arguments, strings.NewReader(""), &out, &errs)
				assert.Equal(t, exitFound, code)
				assert.Empty(t, errs.String())
				assert.Contains(t, out.String(), "Examples:\n"+example)
				assert.Contains(t, out.String(), "Usage:\n  "+cmd.CommandPath())
			})
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	require.Equal(t, exitFound, Execute(t.Context(), []string{"--version"}, strings.NewReader(""), &out, &errs))
	assert.Equal(t, "auditkill devel\n", out.String())
	assert.Empty(t, errs.String())
}
