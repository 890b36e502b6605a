// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"bytes"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
)

// Preview is what a line shows alone, without what is before it in the log.
type Preview struct {
	kind  previewKind
	stamp auditrecord.Stamp
}

type previewKind uint8

const (
	// previewUnclear is a line that only AddLine can decide about.
	previewUnclear previewKind = iota
	// previewNothing is a line that AddLine would ignore, or another record of the latest previewCall.
	previewNothing
	// previewCall is a SYSCALL record of a call that is not about signals, and of which nothing else is wanted.
	previewCall
)

// Nothing reports whether a line need not be added, unless Pass has refused the latest Call before it.
func (p *Preview) Nothing() bool { return p.kind == previewNothing }

// Call reports whether a line is to be passed to Pass.
func (p *Preview) Call() bool { return p.kind == previewCall }

// Previewer previews the lines of a part of a log, in their order. It is not safe for concurrent use, but
// several may be at work on parts of one log at a time.
type Previewer struct {
	calls *callTables
	key   []byte
	facts bool
	// head is how the other records of the latest call begin, if it is a previewCall and nothing that is unclear
	// came after it; empty otherwise.
	head []byte
}

// NewPreviewer returns a Previewer for a correlator with this configuration.
func NewPreviewer(config *Config) *Previewer {
	return &Previewer{calls: newCallTables(), key: []byte(config.key()), facts: config.Fact != nil}
}

// Begin begins another part of a log.
func (v *Previewer) Begin() { v.head = nil }

// These begin the lines that are most of a log, beside those of no interest.
const (
	syscallPrefix   = "type=SYSCALL "
	proctitlePrefix = "type=PROCTITLE "
	execvePrefix    = "type=EXECVE "
)

// begins is bytes.HasPrefix for a constant prefix, with which it needs no call.
func begins(line []byte, prefix string) bool {
	return len(line) >= len(prefix) && string(line[:len(prefix)]) == prefix
}

// Preview previews one line, without its line feed. It keeps a reference to the line until the next call.
func (v *Previewer) Preview(line []byte) Preview {
	switch {
	case auditrecord.IsOther(line):
		if !auditrecord.IsExecve(line) || v.follows(line[len(execvePrefix):]) {
			return Preview{kind: previewNothing}
		}
	case begins(line, proctitlePrefix):
		if v.follows(line[len(proctitlePrefix):]) {
			return Preview{kind: previewNothing}
		}
	case begins(line, syscallPrefix):
		return v.call(line)
	}
	v.head = nil // whatever this is may matter to what follows
	return Preview{kind: previewUnclear}
}

// follows reports whether a record belongs to the latest call, and that is a previewCall.
func (v *Previewer) follows(message []byte) bool {
	return len(v.head) > 0 && bytes.HasPrefix(message, v.head)
}

// call previews a SYSCALL record.
func (v *Previewer) call(line []byte) Preview {
	v.head = nil
	record, err := auditrecord.ParseMessage(auditrecord.TypeSyscall, nil, line[len(syscallPrefix):])
	if err != nil {
		return Preview{}
	}
	arch, number, ok := auditrecord.CallOf(record.Fields)
	if !ok {
		return Preview{}
	}
	called := v.calls.lookup(arch, number)
	if called != nil && (!called.starts || v.facts && v.ours(record.Fields)) || called == nil && v.calls.lastTable.foreign {
		return Preview{}
	}
	v.head = record.Head
	return Preview{kind: previewCall, stamp: record.Stamp}
}

// ours reports whether a call may have been recorded because of a rule with our key.
func (v *Previewer) ours(fields []byte) bool {
	value := auditrecord.KeyOf(fields)
	switch {
	case len(value) == 0, string(value) == "(null)":
		return false
	case value[0] == '"':
		return bytes.Equal(auditrecord.Unquote(value), v.key)
	}
	return true // several are encoded
}

// Pass does what AddLine does with a line whose preview is a Call. It returns false if something is pending that the
// line may belong to: then the line has to be added, and all after it until the next one that is not Nothing.
func (c *Correlator) Pass(preview *Preview) bool {
	if c.table.anonymous > 0 || c.table.tampers > 0 || c.table.starts > 0 {
		return false
	}
	c.records++
	c.latest = max(c.latest, preview.stamp.Milliseconds)
	c.others.put(preview.stamp, "")
	c.passed = passed{stamp: preview.stamp, any: true}
	c.expireWhileReading()
	c.releaseWhileReading()
	return true
}
