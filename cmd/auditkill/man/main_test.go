// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/command"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree has a command with all that a text may hold.
func tree() *cobra.Command {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{
		Use: "tool", Short: "Does it", Long: "tool does it.", Example: "  tool do-it", Version: "1.2.3", Args: cobra.NoArgs, Run: run,
	}
	do := &cobra.Command{
		Use:   "do-it [FILE...]",
		Short: "Do it for each_of <them>",
		Long: `Reads *all* of it_ and [that], and <this> & that \ from "a - b"
- which is one line of it, as is
# this.

- begins with a hyphen.

It is one of

  one         the first <of> them
  two words   the_second

and prints this:

  {"it": [this],
     "that": "- *"}

Exit codes: 0 if it was done, 1 if
it was not.`,
		Example: `  tool do-it <a >b   from a to b
  tool do-it 'it' \
    --more`,
		Run: run,
	}
	do.Flags().StringP("word", "w", "", "a word, such as *")
	do.Flags().StringSlice("words", nil, "some <words>")
	do.Flags().String("mode", "a_b", "the mode")
	do.Flags().Int("count", 3, "how many")
	do.Flags().Duration("for", 0, "how long")
	do.Flags().Bool("force", false, "whether or not")
	hidden := &cobra.Command{Use: "hidden", Hidden: true, Run: run}
	root.AddCommand(do, hidden)
	return root
}

func TestPages(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "made")
	require.NoError(t, write(tree(), directory))
	assert.Equal(t, []string{"_tool", "tool-do-it.1", "tool.1", "tool.bash", "tool.fish"}, names(t, directory))
	for _, name := range []string{"tool.1", "tool-do-it.1"} {
		got := read(t, filepath.Join(directory, name))
		path := filepath.Join("testdata", name)
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
		}
		assert.Equal(t, read(t, path), got)
	}
}

// The same is written whenever it is.
func TestWritesTheSameAgain(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	first, second := t.TempDir(), t.TempDir()
	require.NoError(t, write(command.Root(), first))
	t.Setenv("SOURCE_DATE_EPOCH", "864000000")
	require.NoError(t, write(command.Root(), second))
	for _, name := range names(t, first) {
		assert.Equal(t, read(t, filepath.Join(first, name)), read(t, filepath.Join(second, name)), name)
	}
}

func TestEveryCommandHasAPage(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	require.NoError(t, write(command.Root(), directory))
	all := []*cobra.Command{command.Root()}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Commands()...)
	}
	for _, cmd := range all {
		if cmd.Name() == "help" {
			continue
		}
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			t.Parallel()
			page := read(t, filepath.Join(directory, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"))
			for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "SEE ALSO"} {
				assert.Contains(t, page, "\n.SH "+section+"\n")
			}
			assert.Equal(t, strings.Contains(cmd.Long, "\n\nExit codes"), strings.Contains(page, "\n.SH EXIT STATUS\n"))
			assert.Equal(t, strings.Count(page, "\n.EX\n"), strings.Count(page, "\n.EE\n"))
			text := plain(page)
			said := strings.ReplaceAll(cmd.Long, "Exit codes: ", "") + " " + cmd.Short + " " + cmd.Example
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { said += " --" + f.Name + " " + f.Usage })
			for word := range strings.FieldsSeq(said) {
				assert.True(t, strings.Contains(text, word), "%q is lost", word) //nolint:testifylint // the page would be said again and again
			}
		})
	}
}

var (
	font    = regexp.MustCompile(`\\f[BIPR]|\\&`)
	request = regexp.MustCompile(`(?m)^\.(?:TH .*|SH (.*)|[A-Z]{2}|nh|ad l)$`)
)

// plain returns what is read of a page.
func plain(page string) string {
	text := request.ReplaceAllString(font.ReplaceAllString(page, ""), "$1")
	return strings.NewReplacer(`\-`, "-", `\\`, `\`).Replace(text)
}

func TestSaysWhatItCannotWrite(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorContains(t, write(tree(), file), file)
	occupied := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(occupied, "tool-do-it.1"), 0o700))
	assert.ErrorContains(t, write(tree(), occupied), "tool-do-it.1")
}

func names(t *testing.T, directory string) []string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}
