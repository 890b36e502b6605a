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

// uids makes the value of log.record.uid: a hash of what identifies a record,
// and of nothing that depends on how or when it was read.
type uids struct {
	hash   hash.Hash
	host   string
	buffer []byte
}

func newUIDs(hostID string) *uids { return &uids{hash: fnv.New128a(), host: hostID} }

// append adds the uid in hexadecimal to buf.
func (u *uids) append(buf []byte, e *kill.Event, target *kill.Process) []byte {
	pid := 0
	if target != nil {
		pid = target.PID
	}
	b := append(u.buffer[:0], u.host...)
	b = append(append(b, 0), e.Audit.Node...)
	b = append(append(b, 0), e.Kind...)
	b = binary.BigEndian.AppendUint64(append(b, 0), uint64(e.Time.UnixMilli()))
	b = binary.BigEndian.AppendUint32(b, e.Audit.Serial)
	b = binary.BigEndian.AppendUint64(b, uint64(pid))
	u.hash.Reset()
	_, _ = u.hash.Write(b) // never fails
	u.buffer = u.hash.Sum(b[:0])
	return hex.AppendEncode(buf, u.buffer)
}
