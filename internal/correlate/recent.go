// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import "github.com/auditkill/auditkillreceiver/internal/auditrecord"

// recent remembers the latest events whose further records do not matter.
type recent [1024]struct {
	used  bool
	stamp auditrecord.Stamp
	node  string
}

func (r *recent) put(stamp auditrecord.Stamp, node string) {
	slot := &r[stamp.Serial%uint32(len(r))]
	slot.used, slot.stamp, slot.node = true, stamp, node
}

func (r *recent) has(record *auditrecord.Record) bool {
	slot := &r[record.Stamp.Serial%uint32(len(r))]
	return slot.used && slot.stamp == record.Stamp && slot.node == string(record.Node)
}

// remove is for an event that appears again, as in two logs that were joined.
func (r *recent) remove(record *auditrecord.Record) {
	if r.has(record) {
		r[record.Stamp.Serial%uint32(len(r))].used = false
	}
}

// passed is the latest event that is not about a signal, on a host without a name. A command line that only adds
// to it, as most do, need not be added.
type passed struct {
	any   bool
	stamp auditrecord.Stamp
}

func (p *passed) has(record *auditrecord.Record) bool {
	return p.any && p.stamp == record.Stamp && len(record.Node) == 0
}
