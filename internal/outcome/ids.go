// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"encoding/binary"
	"hash"
	"hash/fnv"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// ids makes the ids of traces and spans. Each is a hash of what the span is about, so the
// same termination has the same ids with every source and after a restart.
type ids struct {
	wide   hash.Hash
	narrow hash.Hash64
	// prefix identifies the host and its boot.
	prefix, buffer []byte
}

func newIDs(hostID, bootID string) *ids {
	return &ids{wide: fnv.New128a(), narrow: fnv.New64a(), prefix: []byte(hostID + "\x00" + bootID + "\x00")}
}

// instance returns the id of the trace of one process.
func (i *ids) instance(pid int, start time.Duration) (id [16]byte) {
	i.begin("process")
	i.number(int64(pid))
	i.number(int64(start))
	return i.trace()
}

// call returns the id of the trace of one call, or of a process that was gone before
// anything could ask when it was created.
func (i *ids) call(e *kill.Event, pid int) (id [16]byte) {
	i.begin("call")
	i.number(e.Time.UnixNano())
	i.number(int64(e.Audit.Serial))
	i.number(int64(e.Sender.PID))
	i.number(int64(e.Sender.ThreadID))
	i.number(int64(e.Signal))
	i.number(int64(pid))
	return i.trace()
}

// root returns the id of the span of a call.
func (i *ids) root(trace [16]byte) [8]byte {
	i.begin("root")
	i.buffer = append(i.buffer, trace[:]...)
	return i.span()
}

// termination returns the id of the span of a termination. A process that survives may be
// watched again, so the time of the first signal is a part of the id.
func (i *ids) termination(trace [16]byte, pid int, began time.Time) [8]byte {
	i.begin("termination")
	i.buffer = append(i.buffer, trace[:]...)
	i.number(int64(pid))
	i.number(began.UnixNano())
	return i.span()
}

func (i *ids) begin(what string) {
	i.buffer = append(append(i.buffer[:0], i.prefix...), what...)
	i.buffer = append(i.buffer, 0)
}

func (i *ids) number(n int64) { i.buffer = binary.BigEndian.AppendUint64(i.buffer, uint64(n)) }

func (i *ids) trace() (id [16]byte) {
	i.wide.Reset()
	_, _ = i.wide.Write(i.buffer) // never fails
	i.wide.Sum(id[:0])
	return id
}

func (i *ids) span() (id [8]byte) {
	i.narrow.Reset()
	_, _ = i.narrow.Write(i.buffer) // never fails
	i.narrow.Sum(id[:0])
	return id
}
