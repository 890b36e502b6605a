// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incidents

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// sent is a SIGTERM by a program to a process, so long after noon.
func sent(after time.Duration, sender, pid int, on string) listing.Entry {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: noon.Add(after), Signal: kill.SIGTERM, SignalKnown: true, Complete: true, Result: kill.Success(),
		Origin: kill.OriginUser, Sender: kill.Process{PID: sender, Command: "pkill"}, TargetCount: 1, Source: "audit_file",
	}
	e.Audit.Node = on
	*e.AddTarget() = kill.Process{PID: pid, Command: "worker"}
	return listing.Entries(e)[0]
}

func sentences(reports []*incident.Report) (all []string) {
	for _, r := range reports {
		all = append(all, r.Sentence())
	}
	return all
}

func TestIncidents(t *testing.T) {
	t.Parallel()
	i := New(telemetry.Config{}, "here")
	for n := range 41 {
		require.Empty(t, i.Add(sent(time.Duration(n)*time.Second, 7, 100+n, "")))
	}
	require.Empty(t, i.Add(sent(time.Minute, 8, 3, "db-1")))
	zero := sent(2*time.Minute, 9, 4, "")
	zero.Event.Signal = 0
	require.Empty(t, i.Add(zero))
	assert.Equal(t, []string{
		"the program pkill sent SIGTERM to 41 processes (worker) on here in 40s", "the program pkill sent SIGTERM to 1 process (worker) on db-1",
	}, sentences(i.Add(sent(time.Hour, 7, 100, ""))), "nothing more can join them")
	assert.Equal(t, []string{"the program pkill sent SIGTERM to 1 process (worker) on here"}, sentences(i.End()))
	assert.Equal(t, 1, i.Ignored())
}

// TestIncidentsAreBounded has more incidents at a time than can be waited for.
func TestIncidentsAreBounded(t *testing.T) {
	t.Parallel()
	i := New(telemetry.Config{}, "here")
	rows := 0
	const all = maxHeld + 10_000
	for n := range all {
		rows += len(i.Add(sent(time.Duration(n)*time.Millisecond, n+2, n+2, strconv.Itoa(n%10))))
		require.LessOrEqual(t, len(i.held), maxHeld+config.MaxOpen)
	}
	assert.Equal(t, all, rows+len(i.End()))
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, assert.AnError }

func TestWriters(t *testing.T) {
	t.Parallel()
	i := New(telemetry.Config{}, "=here")
	i.Add(sent(0, 7, 1, ""))
	reports := i.End()
	require.Len(t, reports, 1)
	for _, format := range listing.Formats() {
		var out bytes.Buffer
		w, err := NewWriter(&out, format, time.UTC, terminal.Of(&out), 1)
		require.NoError(t, err)
		require.NoError(t, w.Print(reports[0]))
		require.NoError(t, w.Flush())
		assert.Contains(t, out.String(), "pkill sent SIGTERM to 1 process (worker) on =here")
		w, err = NewWriter(broken{}, format, time.UTC, terminal.Of(&out), 1)
		require.NoError(t, err)
		require.ErrorIs(t, errors(w, reports[0]), assert.AnError)
	}
	_, err := NewWriter(&bytes.Buffer{}, "xml", time.UTC, terminal.Terminal{}, 1)
	require.ErrorContains(t, err, "must be table, json or csv")
}

func errors(w Writer, r *incident.Report) error {
	if err := w.Print(r); err != nil {
		return err
	}
	return w.Flush()
}

// TestRecordedCommandLines joins records of a collector, of whose command lines less may be shown than it has recorded.
func TestRecordedCommandLines(t *testing.T) {
	t.Parallel()
	for policy, want := range map[redact.Policy]string{
		redact.Full: "/opt/backup --vault s3cr3t of alice", redact.Program: "/opt/backup of alice", redact.Off: "backup of alice",
	} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			e := sent(0, 1, 100, "db-1")
			record := plog.NewLogRecord()
			record.SetEventName(string(kill.KindSignal))
			for name, value := range map[string]string{
				"log.record.uid": "1", "kill.cause": "service_stop", "kill.initiator.name": "backup", "kill.initiator.title": "/opt/backup --vault s3cr3t",
				"kill.requester.title": "systemctl stop s3cr3t", "user.name": "alice",
			} {
				record.Attributes().PutStr(name, value)
			}
			record.Attributes().PutInt("kill.target.pid", 100)
			record.Attributes().PutInt("kill.initiator.pid", 70)
			e.Record = &record
			i := New(telemetry.Config{CommandLine: policy}, "here")
			i.Add(e)
			reports := i.End()
			require.Len(t, reports, 1)
			assert.Equal(t, want+" stopped 1 process on db-1", reports[0].Sentence())
			if policy != redact.Full {
				assert.NotContains(t, fmt.Sprint(reports[0].Shared), "s3cr3t")
			}
		})
	}
}
