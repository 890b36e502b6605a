// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRules(t *testing.T) {
	t.Parallel()
	for name, arguments := range map[string][]string{
		"rules_default.txt":   nil,
		"rules_two.txt":       {"--signal", "KILL,term"},
		"rules_all.txt":       {"-s", "all, KILL"},
		"rules_all_and_0.txt": {"-s", "0,all"},
		"rules_file.txt":      {"--format", "rules.d", "--key", "who.did-it", "--signal", "9"},
		"rules_realtime.txt":  {"--signal", "SIGRTMIN+1,0", "--format", "rules.d"},
		"rules_auditctl.txt":  {"--format", "auditctl", "--signal", "KILL", "--signal", "SIGTERM"},
		"rules_key_shell.txt": {"--key", "a;b$(c)", "--signal", "KILL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, code, err := execute(t, newRules(), arguments...)
			require.NoError(t, err)
			assert.Equal(t, exitFound, code)
			golden(t, name, out)
		})
	}
}

// What --requesters adds depends on the host.
func TestRulesOfRequesters(t *testing.T) {
	t.Parallel()
	without, _, err := execute(t, newRules(), "--format", "rules.d")
	require.NoError(t, err)
	with, code, err := execute(t, newRules(), "--format", "rules.d", "--requesters")
	require.NoError(t, err)
	assert.Equal(t, exitFound, code)
	more, found := strings.CutPrefix(with, without)
	require.True(t, found, "the same rules come first")
	for line := range strings.Lines(more) {
		assert.Regexp(t, `^-a always,exit -F arch=b(32|64) -S execve,execveat -F path=/[^ ]+ -F perm=x -k audit_kill\n$`, line)
	}
}

// However signal 0 is written, and wherever.
func TestRulesOfAllAnd0(t *testing.T) {
	t.Parallel()
	for _, signals := range []string{"all,0", "all,SIG0", "00,all", "all, 0", "0, ALL", "KILL,all,0", "0,0,all,all"} {
		t.Run(signals, func(t *testing.T) {
			t.Parallel()
			out, _, err := execute(t, newRules(), "--signal", signals)
			require.NoError(t, err)
			golden(t, "rules_all_and_0.txt", out)
		})
	}
}

func TestRulesRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		arguments []string
		says      string
	}{
		"a signal":               {[]string{"--signal", "KILLL"}, "--signal: "},
		"a format":               {[]string{"--format", "json"}, `--format: "json" must be auditctl or rules.d`},
		"an output":              {[]string{"--check", "--output", "csv"}, `--output: "csv" must be table or json`},
		"an output of rules":     {[]string{"--output", "json"}, "--output is for --check"},
		"a format of a check":    {[]string{"--check", "--format", "rules.d"}, "--check prints none: leave one of them out"},
		"requesters of a check":  {[]string{"--check", "--requesters"}, "--requesters adds rules to those that are printed"},
		"all, and no signal":     {[]string{"--signal", "all,foo"}, `--signal: unknown signal "foo"`},
		"no signal":              {[]string{"--signal", ""}, "--signal: is empty"},
		"no key":                 {[]string{"--key", ""}, "--key: is empty"},
		"a key with a blank":     {[]string{"--key", "audit kill"}, "1 to 31 printable ASCII characters"},
		"a key with a quote":     {[]string{"--key", `audit"kill`}, "such as audit_kill"},
		"a key that is too long": {[]string{"--key", "a23456789b123456789c123456789d12"}, "--key: "},
		"a key of other letters": {[]string{"--key", "größe"}, "--key: "},
		"something to do":        {[]string{"load"}, "unexpected argument \"load\"; see `rules --help`"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, code, err := execute(t, newRules(), tt.arguments...)
			require.ErrorContains(t, err, tt.says)
			assert.Equal(t, exitFailure, code)
			assert.Empty(t, out)
		})
	}
}
