// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
)

// said is what journalctl 252 prints of a service whose main process was killed; some fields are left out.
const said = `{"MESSAGE":"mariadb.service: Failed with result 'signal'.","UNIT":"mariadb.service","MESSAGE_ID":"d9b373ed55a64feb8242e02dbe79a49c","__REALTIME_TIMESTAMP":"1795403700260000","_PID":"1"}
{"__REALTIME_TIMESTAMP":"1795403700250000","UNIT":"mariadb.service","MESSAGE":"mariadb.service: Main process exited, code=killed, status=9/KILL","EXIT_CODE":"killed","EXIT_STATUS":"9","MESSAGE_ID":"98e322203f7a4ed290d09fe03c09fe15","_PID":"1"}
not JSON
{"MESSAGE":[1,2,3],"__REALTIME_TIMESTAMP":"1"}
{"MESSAGE":"when?","__REALTIME_TIMESTAMP":"x"}
`

// fake writes a journalctl that runs a script.
func fake(t *testing.T, script string) *Journal {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journalctl")
	audittest.WriteProgram(t, path, []byte("#!/bin/sh\n"+script+"\n"))
	return &Journal{program: path}
}

func TestJournal(t *testing.T) {
	t.Parallel()
	at := time.UnixMicro(1795403700250000)
	j := fake(t, "cat <<'END'\n"+said+"END")
	last, err := j.LastEnd(t.Context(), "mariadb.service", at)
	require.NoError(t, err)
	assert.Equal(t, &Entry{Time: at, Message: "mariadb.service: Main process exited, code=killed, status=9/KILL", Ended: true}, last)
	entries, err := j.Ends(t.Context(), "mariadb.service", at, at)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	assert.Equal(t, "mariadb.service: Failed with result 'signal'.", entries[0].Message)

	last, err = fake(t, "exit 0").LastEnd(t.Context(), "x.service", time.Time{})
	require.NoError(t, err)
	assert.Nil(t, last)
	_, err = fake(t, "echo No journal files were opened due to insufficient permissions. >&2; exit 1").LastEnd(t.Context(), "x.service", at)
	require.ErrorContains(t, err, "exit status 1: No journal files were opened due to insufficient permissions.")
}

// What journalctl is asked is one argument each.
func TestArguments(t *testing.T) {
	t.Parallel()
	j := fake(t, `for a; do echo "$a" >&2; done; exit 1`)
	_, err := j.LastEnd(t.Context(), "; rm -rf / --output=cat", time.Time{})
	require.ErrorContains(t, err, "--reverse")
	assert.NotContains(t, strings.Join(strings.Fields(err.Error()), " "), "rm")
}

func FuzzParse(f *testing.F) {
	f.Add(said)
	f.Fuzz(func(t *testing.T, text string) {
		if entries := parse(strings.NewReader(text)); len(entries) > maxEntries {
			t.Errorf("%d entries", len(entries))
		}
	})
}
