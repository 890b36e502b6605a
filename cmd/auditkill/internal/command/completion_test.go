// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answer executes auditkill as a whole, and returns what it prints.
func answer(t *testing.T, arguments ...string) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Execute(t.Context(), arguments, strings.NewReader(""), &stdout, &stderr)
	return stdout.String(), stderr.String(), code
}

// Each script asks this program what comes next.
func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for shell, registers := range map[string]string{
		"bash":       "complete -o default -o nospace -F __start_auditkill auditkill",
		"zsh":        "#compdef auditkill",
		"fish":       "complete -c auditkill ",
		"powershell": "Register-ArgumentCompleter -CommandName 'auditkill'",
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			out, errs, code := answer(t, "completion", shell)
			assert.Equal(t, exitFound, code)
			assert.Empty(t, errs)
			assert.Contains(t, out, registers)
			assert.Contains(t, out, "__complete")
			path, err := exec.LookPath(shell)
			if err != nil || shell == "powershell" {
				t.Logf("SKIPPED: %s is not here to say whether it understands the script", shell)
				return
			}
			check := exec.CommandContext(t.Context(), path, "-n") //nolint:gosec // the path was looked up
			check.Stdin = strings.NewReader(out)
			said, err := check.CombinedOutput()
			require.NoError(t, err, "%s", said)
		})
	}
}

func TestCompletionOfAnUnknownShell(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		arguments []string
		want      string
	}{
		"none":    {[]string{"completion"}, "name one shell: bash, zsh, fish, powershell"},
		"unknown": {[]string{"completion", "tcsh"}, "name one shell: bash, zsh, fish, powershell"},
		"two":     {[]string{"completion", "bash", "zsh"}, "name one shell: bash, zsh, fish, powershell"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, errs, code := answer(t, tc.arguments...)
			assert.Equal(t, exitFailure, code)
			assert.Empty(t, out)
			assert.Contains(t, errs, "auditkill: "+tc.want)
		})
	}
}

// These are what the scripts ask for. Of values they choose those that fit.
func TestCompletes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		arguments []string
		want      []string
	}{
		"commands":         {[]string{"re"}, []string{"report"}},
		"flags":            {[]string{"report", "--sin"}, []string{"--since"}},
		"values":           {[]string{"report", "--by", "se"}, []string{"sender"}},
		"values after a =": {[]string{"rules", "--format=r"}, []string{"rules.d"}},
		"signals":          {[]string{"report", "--signal", "KI"}, []string{"KILL"}},
		"causes":           {[]string{"report", "--cause", "oom,service_st"}, []string{"oom,service_stop"}},
		"shells":           {[]string{"completion", ""}, []string{"bash", "fish", "powershell", "zsh"}},
		"no second shell":  {[]string{"completion", "bash", ""}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, _, code := answer(t, append([]string{"__completeNoDesc"}, tc.arguments...)...)
			assert.Equal(t, exitFound, code)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			got := lines[:len(lines)-1] // the last one says what else the shell may offer
			assert.Regexp(t, `^:\d+$`, lines[len(lines)-1])
			assert.Subset(t, got, tc.want)
			assert.Equal(t, tc.want == nil, len(got) == 0, got)
		})
	}
}

// A list of signals is completed wherever it stands.
func TestCompletesSignals(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"report", "watch", "rules"} {
		var out bytes.Buffer
		require.Equal(t, exitFound, Execute(t.Context(), []string{"__complete", name, "--signal", "KILL,TE"}, nil, &out, io.Discard))
		assert.Contains(t, strings.Split(out.String(), "\n"), "KILL,TERM", name)
	}
}
