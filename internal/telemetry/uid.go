// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/fnv"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// uids makes the values of log.record.uid: a hash of what identifies a record, and of nothing that
// depends on how or when it was read.
type uids struct {
	hash   hash.Hash
	host   string
	buffer []byte
}

func newUIDs(hostID string) *uids { return &uids{hash: fnv.New128a(), host: hostID} }

// append adds the uid in hexadecimal to buf.
func (u *uids) append(buf []byte, e *kill.Event, target *kill.Process) []byte {
	u.buffer = append(u.buffer[:0], u.host...)
	u.buffer = append(u.buffer, 0)
	u.buffer = append(u.buffer, e.Audit.Node...)
	u.buffer = append(u.buffer, 0)
	u.buffer = append(u.buffer, e.Kind...)
	switch {
	case e.Outcome != nil: // it is reported once
		u.buffer = append(append(u.buffer, e.Outcome.Span.Trace[:]...), e.Outcome.Span.ID[:]...)
	case e.Audit.Recorded:
		u.buffer = appendRecorded(u.buffer, e, target)
	default:
		u.buffer = appendSeen(u.buffer, e, target)
	}
	if e.Count > 1 {
		u.buffer = binary.BigEndian.AppendUint64(u.buffer, uint64(e.Count))
		u.buffer = binary.BigEndian.AppendUint64(u.buffer, uint64(e.LastTime.UnixNano()))
	}
	if e.Tamper != nil {
		u.buffer = append(u.buffer, e.Tamper.Action...)
		u.buffer = append(u.buffer, e.Tamper.Rule...)
	}
	u.hash.Reset()
	_, _ = u.hash.Write(u.buffer) // never fails
	u.buffer = u.hash.Sum(u.buffer[:0])
	return hex.AppendEncode(buf, u.buffer)
}

// appendRecorded adds what identifies an event that has a serial number.
func appendRecorded(buf []byte, e *kill.Event, target *kill.Process) []byte {
	pid := 0
	// A call addressed to one process needs no pid to be distinguished. So it has the same uid
	// if its target is known only when it is read again.
	if target != nil && (len(e.Targets) > 1 || !e.Scope.Single()) {
		pid = target.PID
	}
	buf = binary.BigEndian.AppendUint64(buf, uint64(e.Time.UnixMilli()))
	buf = binary.BigEndian.AppendUint32(buf, e.Audit.Serial)
	return binary.BigEndian.AppendUint64(buf, uint64(pid))
}

// appendSeen adds what identifies an event without a serial number: a thread does one thing at a
// time.
func appendSeen(buf []byte, e *kill.Event, target *kill.Process) []byte {
	if e.LogRecord != "" { // read again after a restart, its time may be a little different
		buf = append(buf, e.LogRecord...)
	} else {
		buf = binary.BigEndian.AppendUint64(buf, uint64(e.Time.UnixNano()))
	}
	buf = appendIDs(buf, &e.Sender)
	buf = binary.BigEndian.AppendUint64(buf, uint64(e.Signal))
	if target != nil {
		buf = appendIDs(buf, target)
	}
	return buf
}

func appendIDs(buf []byte, p *kill.Process) []byte {
	buf = binary.BigEndian.AppendUint64(buf, uint64(p.PID))
	return binary.BigEndian.AppendUint64(buf, uint64(p.ThreadID))
}
