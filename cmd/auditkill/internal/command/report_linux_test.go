// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
)

// What another program has opened is but that, though it has a name beside others: as of
// /dev/stdin.
func TestReportOfAnOpenFile(t *testing.T) {
	t.Parallel()
	directory := rotated(t)
	seed, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	path := filepath.Join(directory, "audit.log")
	require.NoError(t, os.WriteFile(path, seed, 0o600))
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	link := filepath.Join(t.TempDir(), "stdin")
	require.NoError(t, os.Symlink(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), link))
	for range 2 {
		out, errs, code := runReport(t, nil, link)
		assert.Equal(t, exitFound, code)
		assert.Equal(t, 2, strings.Count(out, "\n"), out)
		assert.Empty(t, errs)
		_ = os.Remove(path) // what is open can be read all the same
	}
}

// TestReportOfTheJournal has a journalctl that prints what the journal of another host had, and notes how it was called.
func TestReportOfTheJournal(t *testing.T) {
	printed, err := filepath.Abs(recording("cases/journal_json.log"))
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		script           string
		arguments        []string
		asked, out, says string
		code             int
	}{
		"all": {
			script: "cat " + printed, arguments: []string{"--journal"},
			asked: "--quiet --no-pager --output=json _TRANSPORT=audit + _TRANSPORT=kernel\n", out: "mysqld[4192]", code: exitFound,
		},
		"a time": {
			script: "cat " + printed, arguments: []string{"--journal", "--since", "@1700000000", "--until", "@1700000100"},
			asked: "--since=@1700000000 --until=@1700000103 _TRANSPORT=audit", out: "mysqld[4192]", code: exitFound,
		},
		"with a log": {
			script: "cat " + printed, arguments: []string{"--journal", recording("seed.log")}, out: "mysqld[3936]", code: exitFound,
		},
		"nothing in it": {script: "exit 0", arguments: []string{"--journal"}, says: "--journal: ", code: exitFailure},
		"not permitted": {
			script: "echo No journal files were opened due to insufficient permissions. >&2; exit 1", arguments: []string{"--journal"},
			says: "insufficient permissions", code: exitFailure,
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			audittest.WriteProgram(t, filepath.Join(folder, "journalctl"), []byte("#!/bin/sh\necho \"$*\" > "+folder+"/asked\n"+tt.script+"\n"))
			t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
			out, errs, code := runReport(t, nil, tt.arguments...)
			assert.Equal(t, tt.code, code, errs)
			assert.Contains(t, out, tt.out)
			assert.Contains(t, errs, tt.says)
			asked, err := os.ReadFile(filepath.Join(folder, "asked"))
			require.NoError(t, err)
			assert.Contains(t, string(asked), tt.asked)
		})
	}
}
