// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"bytes"
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

// Position is a place in the source's stream of records. It only grows.
type Position int64

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
	// Foreign is a record of a call on an architecture whose calls are not known: it may have sent a signal.
	Foreign
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
	// held are the events that wait for facts.
	held held
	// logins are the sessions whose beginning was read, asked the latest programs that were run by the
	// right of another user, and turn is whether the system has begun to start or to stop.
	logins  logins
	asked   asked
	turn    turn
	counts  Counts
	records int64
	// passed is the latest event that was not about a signal.
	passed passed
	// latest is the latest time in any record, in milliseconds.
	latest int64
	// line is the buffer for messages that are written as lines.
	line []byte

	rendered rendered

	lastKey  string
	lastKeys []string
}

// New returns a Correlator that passes each event to emit as soon as it is closed. emit may
// keep the event.
func New(config Config, emit func(*kill.Event)) *Correlator {
	config.Key, config.MaxPending = config.key(), config.maxPending()
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
	if auditrecord.IsOther(line) && (c.table.starts == 0 || !auditrecord.IsExecve(line)) {
		return Ignored
	}
	t, node, message := auditrecord.Split(line)
	switch {
	case t == auditrecord.TypeNone:
		return NoRecord
	case t == auditrecord.TypeOther:
		return Ignored
	case t.Explains() && c.config.Fact == nil, t == auditrecord.TypeExecve && c.table.starts == 0:
		return Ignored
	}
	// Lines that went through Windows end with a carriage return.
	if last := len(line) - 1; line[last] == '\r' {
		line, message = line[:last], bytes.TrimSuffix(message, []byte("\r"))
	}
	record, err := auditrecord.ParseMessage(t, node, message)
	switch {
	case err != nil:
		return NoRecord
	case t == auditrecord.TypeProctitle && c.passed.has(&record):
		return Ignored
	}
	record.Cut = cut
	if c.rendered.original != nil {
		line = c.rendered.original
	}
	return c.add(&record, line, at, now)
}

// rendered is what is known of a line that another program than auditd has rendered.
type rendered struct {
	original   []byte
	unnumbered bool
}

// AddRendered is AddLine for a record that another program than auditd has rendered as original. Its number is made up if
// the rendering has none.
func (c *Correlator) AddRendered(line, original []byte, numbered, cut bool, at Position, now time.Time) Verdict {
	c.rendered = rendered{original, !numbered}
	defer func() { c.rendered = rendered{} }()
	return c.AddLine(line, cut, at, now)
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
		c.addAlone(c.abend(record, kill.CauseCrash), line, at, now)
	case auditrecord.TypeSeccomp:
		c.addAlone(c.abend(record, kill.CauseSeccomp), line, at, now)
	case auditrecord.TypeDaemonEnd:
		c.addAlone(c.daemonEnd(record), line, at, now)
	case auditrecord.TypeConfigChange:
		c.addChange(record, line, at, now)
	case auditrecord.TypeSyscall:
		verdict = c.addCall(record, line, at, now)
	case auditrecord.TypeExecve:
		verdict = c.addArguments(record, line, at, now)
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
		verdict = c.addStatement(record)
	}
	c.expireWhileReading()
	c.releaseWhileReading()
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
	case called == nil && c.calls.lastTable.foreign:
		c.reject(record)
		return Foreign
	case called != nil && called.starts:
		c.addStart(record, called, line, at, now)
	default:
		p := c.reject(record)
		if called != nil {
			c.remember(p, record, called, line)
		}
	}
	return Taken
}

// reject notes that an event is not about a signal, so that its other records are not
// mistaken for those of a signal whose SYSCALL record is missing. It returns what was
// pending of the event, if anything.
func (c *Correlator) reject(record *auditrecord.Record) *pending {
	c.others.put(record.Stamp, c.texts.plain(record.Node))
	c.passed = passed{stamp: record.Stamp, any: len(record.Node) == 0}
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
func (c *Correlator) addAlone(e *kill.Event, line []byte, at Position, now time.Time) {
	if e == nil {
		return
	}
	if c.config.KeepOriginal {
		e.Original = string(line)
	}
	c.hand(e, span{at, at}, len(line), now)
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
			if called.starts {
				p.starting = true
				c.table.starts++
			}
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

// Held returns how many events wait for facts.
func (c *Correlator) Held() int { return len(c.held.events) }

// Oldest returns the time of the event that has been waiting for records the longest; false
// if none is waiting. Emitted events may be sorted up to that time, if none waits for facts.
func (c *Correlator) Oldest() (time.Time, bool) {
	if c.table.oldest == nil {
		return time.Time{}, false
	}
	return c.table.oldest.event.Time, true
}

// Latest returns the latest time in any record that was used.
func (c *Correlator) Latest() time.Time { return time.UnixMilli(c.latest) }

// Counts returns what has happened since New.
func (c *Correlator) Counts() Counts { return c.counts }

// Safe returns the latest position not beyond end from which reading may start again
// without losing a record of an event that has not been emitted, or seeing only a part of
// an event that has been.
func (c *Correlator) Safe(end Position) Position {
	oldest, waiting := c.oldest()
	if !waiting {
		return end
	}
	return c.spans.safe(oldest)
}
