// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string][]func(*Facts){
		"ready":           nil,
		"no_capabilities": {noCapabilities},
		"container":       {inContainer},
		"no_audit":        {noAudit},
		"locked": {noBPF(BPFTooOld), func(f *Facts) {
			f.BTF, f.Audit.State, f.Rules.Recorded, f.Audit.Lost, f.Audit.BacklogLimit = false, AuditLocked, 0, 17, 64
		}},
		"task_never": {noLog, taskNever, func(f *Facts) { f.Audit.State, f.Audit.FromBoot = AuditOff, false }},
		"nothing":    {noCapabilities, func(f *Facts) { f.Log.Rights = nil }},
		"service":    {func(f *Facts) { f.UserID, f.Capabilities = 990, []string{capBPF, capPerfmon, capPtrace} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := ready()
			for _, change := range changes {
				change(f)
			}
			r := Judge(f)
			var table, object bytes.Buffer
			require.NoError(t, r.WriteTable(&table, terminal.Terminal{}))
			golden(t, name+".txt", table.String())
			for line := range strings.Lines(table.String()) {
				if !strings.HasPrefix(line, "      ") { // commands stay whole
					assert.LessOrEqual(t, len(strings.TrimRight(line, "\n")), widest)
				}
			}
			require.NoError(t, r.WriteJSON(&object))
			golden(t, name+".json", object.String())
			assert.True(t, json.Valid(object.Bytes()))
			assert.NotContains(t, object.String(), `: null,
      "mend"`, "lists are lists")
		})
	}
}

// Names of processes and paths come from others.
func TestWriteMakesVisible(t *testing.T) {
	t.Parallel()
	f := ready()
	f.Audit.Daemon.Name = "a\x1b[2Jb"
	f.Log.Path = "/x\x1b]0;y\ay"
	f.Log.Problem = LogIrregular
	r := Judge(f)
	var table bytes.Buffer
	require.NoError(t, r.WriteTable(&table, terminal.Terminal{}))
	assert.NotContains(t, table.String(), "\x1b")
	assert.NotContains(t, table.String(), "\a")
}

func TestWriteColors(t *testing.T) {
	t.Parallel()
	var table bytes.Buffer
	require.NoError(t, Judge(ready()).WriteTable(&table, terminal.Terminal{IsTerminal: true, Color: true}))
	assert.Contains(t, table.String(), terminal.Terminal{Color: true}.Paint(terminal.Green, "ok"))
	assert.Contains(t, table.String(), terminal.Terminal{Color: true}.Paint(terminal.Red, "no"))
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteFails(t *testing.T) {
	t.Parallel()
	r := Judge(ready())
	require.ErrorIs(t, r.WriteTable(broken{}, terminal.Terminal{}), errBroken)
	require.ErrorIs(t, r.WriteJSON(broken{}), errBroken)
}
