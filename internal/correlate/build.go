// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// addSyscall fills in everything from a SYSCALL record.
func (c *Correlator) addSyscall(p *pending, record *auditrecord.Record, called *call) {
	if p.call != nil {
		return // the same record again, as in a log joined from copies
	}
	s, whole := auditrecord.ParseSyscall(record.Fields)
	p.call = called
	p.cut = p.cut || !whole
	c.addSender(p, &s)
	if called.signal != noSignal && !p.tamper() {
		c.addSignal(p, &s)
	}
}

func (c *Correlator) addSignal(p *pending, s *auditrecord.Syscall) {
	e, called := p.event, p.call
	e.Syscall = called.name
	if s.Has(auditrecord.FieldArg0 << called.signal) {
		// The kernel uses the signal as an int, whatever the register holds.
		number, known := auditrecord.GenericSignal(s.Arch, int(int32(uint32(s.Args[called.signal]))))
		e.Signal, e.SignalKnown = kill.Signal(number), known
	}
	e.Scope, e.Requested = scopeOf(called, s)
	e.Result = p.result(s)
	e.Audit.Keys = c.keys(p, s.Key)
}

func (c *Correlator) addSender(p *pending, s *auditrecord.Syscall) {
	e := p.event
	e.Audit.Arch = auditrecord.ArchName(s.Arch)
	e.Audit.TTY = c.texts.plain(s.TTY)
	e.Audit.Subject = c.texts.plain(s.Subject)
	e.Sender.PID = s.PID
	e.Sender.ParentPID = s.PPID
	e.Sender.Command = c.text(p, s.Comm)
	e.Sender.Executable = c.text(p, s.Exe)
	e.Sender.Label = e.Audit.Subject
	e.Sender.User = c.user(s.EUID, s.Has(auditrecord.FieldEUID), s.EUIDName)
	e.Sender.RealUser = c.user(s.UID, s.Has(auditrecord.FieldUID), s.UIDName)
	e.Sender.SavedUser = c.user(s.SUID, s.Has(auditrecord.FieldSUID), s.SUIDName)
	e.Sender.Login = c.user(s.AUID, s.Has(auditrecord.FieldAUID), s.AUIDName)
	if s.Has(auditrecord.FieldSession) {
		e.Sender.Session = kill.NewID(s.Session)
	}
}

// keys returns the rule keys of a field, and notes in p if it was cut.
func (c *Correlator) keys(p *pending, value []byte) []string {
	keys, whole := c.splitKeys(value)
	p.cut = p.cut || !whole
	return keys
}

// splitKeys splits the rule keys, which are untrusted text separated by 0x01
// (kernel/auditsc.c, audit_log_key).
func (c *Correlator) splitKeys(value []byte) (keys []string, whole bool) {
	text, whole := c.texts.decode(value)
	switch {
	case text == "":
		return nil, whole
	case !strings.Contains(text, "\x01"):
		if text != c.lastKey {
			c.lastKey, c.lastKeys = text, []string{text}
		}
		return c.lastKeys, whole
	}
	return strings.Split(text, "\x01"), whole
}

func (c *Correlator) addTarget(p *pending, record *auditrecord.Record) *kill.Process {
	o, whole := auditrecord.ParseObjPID(record.Fields)
	p.cut = p.cut || !whole
	t := p.event.AddTarget()
	t.PID = o.PID
	t.Command = c.text(p, o.Comm)
	t.User = c.user(o.UID, true, o.UIDName)
	t.Login = c.user(o.AUID, true, o.AUIDName)
	t.Session = kill.NewID(o.Session)
	t.Label = c.texts.plain(o.Label)
	return t
}

func (c *Correlator) addTitle(p *pending, record *auditrecord.Record) {
	if p.titled {
		return
	}
	if p.listed {
		p.titled = true // it says less than the arguments' own record
		return
	}
	value, whole := auditrecord.Proctitle(record.Fields)
	title, decoded := c.texts.once(value)
	p.event.Sender.Title = title
	p.titled, p.cut = true, p.cut || !whole || !decoded
}

// abend makes the event of an ANOM_ABEND or SECCOMP record, which is complete by itself.
func (c *Correlator) abend(record *auditrecord.Record, cause kill.Cause) *kill.Event {
	v, whole := auditrecord.ParseVictim(record.Fields)
	if cause == kill.CauseSeccomp && v.Signal == 0 && whole {
		return nil // seccomp logged or refused the call, and killed nobody
	}
	p := &pending{event: c.newEvent(kill.KindAbend, record), cut: !whole}
	e := p.event
	e.Origin, e.Cause, e.Scope = kill.OriginKernel, cause, kill.ScopeProcess
	e.Signal, e.SignalKnown = kill.Signal(v.Signal), v.Signal != 0
	if !v.OneThread {
		e.Result = kill.Success()
	}
	if v.Arch != 0 {
		e.Audit.Arch = auditrecord.ArchName(v.Arch)
	}
	t := e.AddTarget()
	t.PID = v.PID
	t.Command = c.text(p, v.Comm)
	t.Executable = c.text(p, v.Exe)
	t.User = c.user(v.UID, true, v.UIDName)
	t.Login = c.user(v.AUID, true, v.AUIDName)
	t.Session = kill.NewID(v.Session)
	t.Label = c.texts.plain(v.Subject)
	e.TargetCount = 1
	e.Complete = !p.cut && !record.Cut
	return e
}

func (c *Correlator) newEvent(kind kill.Kind, record *auditrecord.Record) *kill.Event {
	e := &kill.Event{Kind: kind, Source: c.config.Source, TargetCount: -1}
	e.Time = time.UnixMilli(record.Stamp.Milliseconds)
	e.Audit.Recorded, e.Audit.Serial, e.Audit.Unnumbered = true, record.Stamp.Serial, c.rendered.unnumbered
	e.Audit.Node = c.texts.plain(record.Node)
	return e
}

// text decodes a field and notes in p if it was cut. What is left of a name or a path would be
// another one.
func (c *Correlator) text(p *pending, value []byte) string {
	text, whole := c.texts.decode(value)
	if !whole {
		p.cut = true
		return ""
	}
	return text
}

func (c *Correlator) user(id uint32, known bool, name []byte) kill.User {
	if !known {
		return kill.User{}
	}
	user := kill.User{ID: kill.NewID(id)}
	if user.ID.Known {
		user.Name = c.texts.userName(name)
	}
	return user
}
