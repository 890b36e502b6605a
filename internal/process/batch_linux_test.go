// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// TestBatch fills events that had all happened before a look at their processes.
func TestBatch(t *testing.T) {
	t.Parallel()
	mysqld := fakeProcess{command: "mysqld", executable: "/usr/sbin/mysqld", parent: 1, start: 900 * time.Second}
	another := mysqld
	another.start = 1000*time.Second + 500*time.Millisecond
	for name, test := range map[string]struct {
		first, then func(h *fakeHost)
		// inBatch and after are what is known of the same process in the rest of the batch, and in the next one.
		inBatch, after bool
	}{
		"lives":        {first: func(h *fakeHost) { h.runs(3936, mysqld) }, inBatch: true, after: true},
		"is not there": {then: func(h *fakeHost) { h.runs(3936, mysqld) }, after: true},
		"its pid is used again": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then: func(h *fakeHost) {
				h.runs(3936, another)
				h.cursor(50) // the pids have gone round
			},
			inBatch: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFakeHost(t, false)
			at := h.uptime
			known := func() bool {
				e := h.signal(at, kill.Process{PID: 3936, Command: "mysqld"})
				h.table.Fill(e)
				return e.Targets[0].Instance != nil && e.Targets[0].Instance.SinceBoot == mysqld.start
			}
			if test.first != nil {
				test.first(h)
			}
			h.table.Batch()
			h.uptime += time.Millisecond // less than the record's clock may be late
			assert.Equal(t, test.first != nil, known())
			if test.then != nil {
				test.then(h)
			}
			assert.Equal(t, test.inBatch, known(), "in the same batch")
			h.uptime += time.Second
			h.table.Batch()
			assert.Equal(t, test.after, known(), "in the next batch")
		})
	}
}

// TestBatchOfParents fills events of one sender, whose parent runs another program, or ends, after the first.
func TestBatchOfParents(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	h.runs(1, fakeProcess{command: "systemd", executable: "/usr/lib/systemd/systemd"})
	h.runs(3649, bash)
	h.runs(3600, sshd)
	script := fakeProcess{command: "mykill", executable: "/opt/bin/mykill", parent: 3649, start: 950 * time.Second}
	h.runs(3997, script)
	require.NoError(t, h.table.scan())
	fill := func() []kill.Ancestor {
		e := &kill.Event{Kind: kill.KindSignal, Time: h.at(h.uptime).Truncate(time.Millisecond)}
		e.Sender = kill.Process{PID: 3997, ParentPID: 3649, Command: "mykill", Executable: "/opt/bin/mykill"}
		h.table.Fill(e)
		return e.Sender.Ancestry
	}
	h.uptime += time.Second
	h.table.Batch()
	lineage := []kill.Ancestor{{PID: 3649, Command: "bash"}, {PID: 3600, Command: "sshd"}, {PID: 1, Command: "systemd"}}
	first := fill()
	assert.Equal(t, lineage, first)
	h.ends(3600)
	assert.Same(t, &first[0], &fill()[0], "one batch asks once")
	h.uptime += time.Second
	h.table.Batch()
	assert.Equal(t, lineage[:1], fill(), "the next one asks again")
}
