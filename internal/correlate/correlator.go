// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"bytes"
	"cmp"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// quietTime is how long a settled event addressed to many waits for more targets,
	// unless Config.Quiet is set. auditd writes an event's records in one go, unless the
	// disk is slow.
	quietTime = 100 * time.Millisecond
	// quietRecords is the same while catching up: this many records later, nothing belongs
	// to the event any more.
	quietRecords = 4096
	// maxBytes bounds the memory of all pending events together, however many targets they
	// have. A kill(-1) on a host with 30,000 processes takes 8 MB.
	maxBytes = 32 << 20
	// targetBytes is the size of a target, without its texts.
	targetBytes = 256
	// denialBytes is the size of a refusal, with its label.
	denialBytes = 128
)

const (
	// DefaultTimeout is how long to wait for missing records: auditd may be that late.
	DefaultTimeout = 2 * time.Second
	// DefaultMaxPending is how many events may wait: with kernels before 3.14 each event
	// waits until the timeout, so that this allows 4096 signals a second.
	DefaultMaxPending = 8192
)

// Position is a place in the source's stream of records. It only grows.
type Position int64

// Config says how a Correlator works.
type Config struct {
	// Timeout is how long an event waits for its missing records.
	Timeout time.Duration
	// Quiet is how long an event waits if nothing shows that it is complete; 0 means 100
	// ms. Targets that arrive later become an event of their own.
	Quiet time.Duration
	// MaxPending is how many events may wait at once.
	MaxPending int
	// KeepOriginal keeps the records as they were read.
	KeepOriginal bool
	// Source is the value of Event.Source.
	Source string
	// Key is the key of the receiver's audit rules; empty means audit_kill.
	Key string
	// Executable is the collector's own program, PID its process as the records name it; 0 if
	// that is not known. Since is when the process came to be, if there may be records from
	// before. What it does to the audit system is not tampering.
	Executable string
	PID        int
	Since      time.Time
	// Changed is called with what others have done to the audit system, before it is emitted, and
	// with what is not emitted because it may or may not blind the monitor (kill.Tamper.Reportable).
	// It must not keep the event. nil wants neither.
	Changed func(*kill.Event)
}

// Counts says what has happened so far.
type Counts struct {
	// Incomplete counts the events that lacked something, Evicted those among them that had
	// to make room for others.
	Incomplete, Evicted int64
}

// Verdict says what happened to a line or message.
type Verdict uint8

const (
	// Taken is a record that was used. It need not belong to an event.
	Taken Verdict = iota
	// Ignored is a record of no interest, as most records of a log are, judging by its type
	// or by the event that it belongs to.
	Ignored
	// NoRecord is anything that is not an audit record.
	NoRecord
	// Broken is a record of a call that is so damaged that nothing shows whether the call
	// sent a signal.
	Broken
)

// Correlator joins records into events. It is not safe for concurrent use.
type Correlator struct {
	config Config
	emit   func(*kill.Event)
	calls  *callTables
	texts  texts
	table  table
	// others holds events that are not about signals, done those addressed to one process
	// that have their target already.
	others, done recent
	early        early
	spans        spans
	counts       Counts
	records      int64
	// passed is how the records begin of the latest event that was not about a signal.
	passed []byte
	// latest is the latest time in any record, in milliseconds.
	latest int64
	// line is the buffer for messages that are written as lines.
	line []byte

	lastKey  string
	lastKeys []string
}

// New returns a Correlator that passes each event to emit as soon as it is closed. emit may
// keep the event.
func New(config Config, emit func(*kill.Event)) *Correlator {
	config.Key = cmp.Or(config.Key, DefaultKey)
	return &Correlator{
		config: config,
		emit:   emit,
		calls:  newCallTables(),
		table:  table{byKey: make(map[key]*pending)},
	}
}

// AddLine adds one line of a log, without its line feed. at is where the line stands in the
// stream, now the current time. cut is true if the end of the line is missing. It keeps no
// reference to the line. Most lines are of no interest, which their first few bytes show.
func (c *Correlator) AddLine(line []byte, cut bool, at Position, now time.Time) Verdict {
	if auditrecord.IsOther(line) {
		return Ignored
	}
	t, node, message := auditrecord.Split(line)
	switch {
	case t == auditrecord.TypeNone:
		return NoRecord
	case t == auditrecord.TypeOther || c.passes(t, node, message):
		return Ignored
	}
	// Lines that went through Windows end with a carriage return.
	if last := len(line) - 1; line[last] == '\r' {
		line, message = line[:last], bytes.TrimSuffix(message, []byte("\r"))
	}
	record, err := auditrecord.ParseMessage(t, node, message)
	if err != nil {
		return NoRecord
	}
	record.Cut = cut
	return c.add(&record, line, at, now)
}

// AddMessage adds one record as the kernel sends it: its type, and what follows the type in
// a log. The other arguments are those of AddLine. It also returns the serial of the
// record's event, unless the message is no record.
func (c *Correlator) AddMessage(t auditrecord.Type, message []byte, cut bool, at Position, now time.Time) (uint32, Verdict) {
	record, err := auditrecord.ParseMessage(t, nil, message)
	if err != nil {
		return 0, NoRecord
	}
	record.Cut = cut
	line := message
	if c.config.KeepOriginal {
		c.line = auditrecord.AppendLine(c.line[:0], t, message)
		line = c.line
	}
	return record.Stamp.Serial, c.add(&record, line, at, now)
}

// add adds one record and the line that it was read from.
func (c *Correlator) add(record *auditrecord.Record, line []byte, at Position, now time.Time) Verdict {
	verdict := Taken
	c.records++
	c.latest = max(c.latest, record.Stamp.Milliseconds)
	switch record.Type {
	case auditrecord.TypeAnomAbend:
		c.addAlone(c.abend(record, kill.CauseCrash), line)
	case auditrecord.TypeSeccomp:
		c.addAlone(c.abend(record, kill.CauseSeccomp), line)
	case auditrecord.TypeDaemonEnd:
		c.addAlone(c.daemonEnd(record), line)
	case auditrecord.TypeConfigChange:
		c.addChange(record, line, at, now)
	case auditrecord.TypeSyscall:
		verdict = c.addCall(record, line, at, now)
	case auditrecord.TypeAVC, auditrecord.TypeLandlockAccess:
		if !c.others.has(record) && !c.done.has(record) {
			verdict = c.addRefusal(record, line, at, now)
		}
	case auditrecord.TypeObjPID, auditrecord.TypeProctitle, auditrecord.TypeEOE:
		switch {
		case c.others.has(record):
			c.rememberTitle(record, line)
		case !c.done.has(record):
			c.addRecord(record, nil, line, at, now)
		}
	default:
		verdict = Ignored
	}
	c.expireWhileReading()
	return verdict
}

// addRefusal adds a record of a security module, most of which are not about signals.
func (c *Correlator) addRefusal(record *auditrecord.Record, line []byte, at Position, now time.Time) Verdict {
	d, refused := auditrecord.ParseDenial(record.Type, record.Fields)
	if !refused {
		return Ignored
	}
	p := c.gather(record, at, now)
	c.addDenial(p, &d)
	c.grow(p, denialBytes)
	c.added(p, record, line)
	return Taken
}

// addCall adds a SYSCALL record. Most of these calls send no signal.
func (c *Correlator) addCall(record *auditrecord.Record, line []byte, at Position, now time.Time) Verdict {
	arch, number, ok := auditrecord.CallOf(record.Fields)
	called := c.calls.lookup(arch, number)
	switch {
	case called != nil && called.signal != noSignal:
		c.done.remove(record)
		c.addRecord(record, called, line, at, now)
	case c.ofTamper(record):
		c.addRecord(record, &otherCall, line, at, now)
	case !ok:
		return Broken
	default:
		p := c.reject(record)
		if called != nil {
			c.remember(p, record, called, line)
		}
	}
	return Taken
}

// passes checks quickly whether a record, as auditrecord.Split returns it, only adds to the
// latest event that was found not to be about a signal, as most records of a log do. Then
// it need not be added.
func (c *Correlator) passes(t auditrecord.Type, node, message []byte) bool {
	return t == auditrecord.TypeProctitle && len(c.passed) > 0 && len(node) == 0 && bytes.HasPrefix(message, c.passed)
}

// reject notes that an event is not about a signal, so that its other records are not
// mistaken for those of a signal whose SYSCALL record is missing. It returns what was
// pending of the event, if anything.
func (c *Correlator) reject(record *auditrecord.Record) *pending {
	c.others.put(record.Stamp, c.texts.plain(record.Node))
	c.passed = c.passed[:0]
	if len(record.Node) == 0 {
		c.passed = append(c.passed, record.Head...)
	}
	if c.table.anonymous == 0 {
		return nil
	}
	p := c.table.byKey[c.keyOf(record)]
	if p == nil || p.call != nil {
		return nil
	}
	c.table.remove(p)
	return p
}

// addAlone hands on an event that consists of one record; nil is none.
func (c *Correlator) addAlone(e *kill.Event, line []byte) {
	if e == nil {
		return
	}
	if c.config.KeepOriginal {
		e.Original = string(line)
	}
	c.hand(e)
}

// addRecord adds a record to its event, and opens the event if the record is its first.
func (c *Correlator) addRecord(record *auditrecord.Record, called *call, line []byte, at Position, now time.Time) {
	if record.Type == auditrecord.TypeEOE {
		if p := c.table.byKey[c.keyOf(record)]; p != nil && (p.call != nil || p.tamper()) {
			p.last = at
			c.close(p, false)
		}
		return
	}
	p := c.gather(record, at, now)
	switch record.Type {
	case auditrecord.TypeSyscall:
		if p.call == nil {
			c.table.anonymous--
		}
		c.addSyscall(p, record, called)
	case auditrecord.TypeObjPID:
		t := c.addTarget(p, record)
		if c.config.KeepOriginal {
			t.Original = string(line)
		}
		c.grow(p, targetBytes)
	case auditrecord.TypeProctitle:
		c.addTitle(p, record)
	}
	c.added(p, record, line)
}

// gather returns the pending event of a record.
func (c *Correlator) gather(record *auditrecord.Record, at Position, now time.Time) *pending {
	k := c.keyOf(record)
	p := c.table.byKey[k]
	if p == nil {
		c.makeRoom()
		p = c.table.open(k, at)
		p.event = c.newEvent(kill.KindSignal, record)
		p.event.Origin = kill.OriginUser
	}
	p.last, p.record, p.touched = at, c.records, now
	p.cut = p.cut || record.Cut
	return p
}

// added closes an event if the record just added is its last.
func (c *Correlator) added(p *pending, record *auditrecord.Record, line []byte) {
	c.grow(p, len(line))
	if record.Type != auditrecord.TypeObjPID {
		c.keepOriginal(p, line)
	}
	c.table.settle(p)
	switch {
	case p.whole():
		c.close(p, false)
	case c.table.bytes > maxBytes:
		c.evict()
	}
}

func (c *Correlator) keepOriginal(p *pending, line []byte) {
	if c.config.KeepOriginal {
		p.original = append(append(p.original, line...), '\n')
	}
}

func (c *Correlator) grow(p *pending, bytes int) {
	p.bytes += bytes
	c.table.bytes += bytes
}

// SetSource changes the value of Event.Source for the events that begin from now on.
func (c *Correlator) SetSource(name string) { c.config.Source = name }

func (c *Correlator) keyOf(record *auditrecord.Record) key {
	return key{node: c.texts.plain(record.Node), stamp: record.Stamp}
}

// Pending returns how many events wait for records.
func (c *Correlator) Pending() int { return len(c.table.byKey) }

// Oldest returns the time of the event that has been waiting for records the longest; false
// if none is waiting. Emitted events may be sorted up to that time.
func (c *Correlator) Oldest() (time.Time, bool) {
	if c.table.oldest == nil {
		return time.Time{}, false
	}
	return c.table.oldest.event.Time, true
}

// Counts returns what has happened since New.
func (c *Correlator) Counts() Counts { return c.counts }

// Safe returns the latest position not beyond end from which reading may start again
// without losing a record of an event that has not been emitted, or seeing only a part of
// an event that has been.
func (c *Correlator) Safe(end Position) Position { return c.spans.safe(c.table.oldest, end) }
