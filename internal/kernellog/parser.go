// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kernellog

import (
	"slices"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// MaxText is how much of a message is looked at. The kernel's have at most 1024 bytes (kernel/printk, PRINTKRB_RECORD_MAX).
	MaxText = 4096
	// maxVictims is how many processes one event has; those of a larger group come in several.
	maxVictims = 1024
	// maxRows is how many lines of the table of tasks are looked at, so that a table of all processes costs little.
	maxRows = 4096

	// Settle is how long after its last message a report may go on: the kernel writes one at once, but a slow console makes
	// it wait after each message.
	Settle = 20 * time.Millisecond
	// SettleGroup is the same for the further victims of a group, which are being killed one by one.
	SettleGroup = 200 * time.Millisecond
	// maxReport is how long all of a report takes at most. What was told before that is about another kill.
	maxReport = 30 * time.Second

	// rateBurst and rateInterval are how many reports the kernel writes in full in some time. Of any more it writes nothing
	// but the victims (mm/oom_kill.c, oom_rs; include/linux/ratelimit_types.h).
	rateBurst    = 10
	rateInterval = 5 * time.Second
)

// Parser makes events of the messages of the kernel's log, in their order. It keeps no more than one report at
// a time. It is not safe for concurrent use.
type Parser struct {
	// Source is the value of the attribute kill.source.
	Source string
	// EachVictim makes an event of each victim, as soon as its line is read. Otherwise all that are killed for one lack of
	// memory are one event, which waits until no other can come.
	EachVictim bool

	report
	done []*kill.Event
	// full are the times of the last reports that were written in full.
	full [rateBurst]time.Time
	next int
}

// report is what was told of a report so far.
type report struct {
	// event has the victims; nil before the first one.
	event *kill.Event
	// last is when its last message was written.
	last, began time.Time
	// caller is the thread that writes it, if the log tells that.
	caller string

	invoker         string
	thread          int
	rows            int
	invokerIsLeader bool
	summary         *summary
	// paths are those of the group at its limit that messages other than the summary tell.
	path       string
	doubtful   bool
	memory     counter
	withSwap   counter
	sacrificed *bool
	// group is true once all of a group are being killed.
	group bool
}

// counter is a counter of a control group.
type counter struct{ usage, limit kill.Amount }

// Message is one message of the kernel itself.
type Message struct {
	Time time.Time
	Text string
	// Caller is the thread or processor that wrote it, if the log tells that (CONFIG_PRINTK_CALLER).
	Caller string
	// Node is the host whose log it is, if the log tells that.
	Node string
	// ID identifies the message, if it can be read again (kill.Event.LogRecord).
	ID string
}

// Add reads a message.
func (p *Parser) Add(m Message) {
	text := m.Text[:min(len(m.Text), MaxText)]
	p.Expire(m.Time)
	own := p.caller == "" || m.Caller == "" || m.Caller == p.caller
	if name, ok := invocation(text); ok {
		p.Flush()
		p.begin(&m)
		p.invoker = name
		p.full[p.next%rateBurst] = m.Time
		p.next++
		return
	}
	if v, ok := killed(text); ok {
		if !own {
			p.Flush()
		}
		p.kill(&v, &m)
		return
	}
	if !own {
		return
	}
	ofGroup, sacrificed := sacrifice(text)
	_, whole := group(text)
	switch {
	case sacrificed:
		if p.event != nil {
			p.Flush()
		}
		p.sacrificed, p.last = &ofGroup, m.Time
	case whole && p.event != nil:
		p.group, p.last = true, m.Time
	case p.event == nil && !p.began.IsZero():
		p.tell(text)
	}
}

func (p *Parser) begin(m *Message) {
	p.report = report{began: m.Time, last: m.Time, caller: m.Caller}
}

// tell reads a message of a report before its first victim.
func (p *Parser) tell(text string) {
	if id, ok := thread(text, p.invoker); ok && p.thread == 0 {
		p.thread = id
		return
	}
	if used, limit, ok := usage(text, "memory"); ok {
		p.memory = counter{used, limit}
		return
	}
	if used, limit, ok := usage(text, "memory+swap"); ok {
		p.withSwap = counter{used, limit}
		return
	}
	if pid, ok := row(text); ok && p.rows < maxRows {
		p.rows++
		p.invokerIsLeader = p.invokerIsLeader || pid == p.thread
		return
	}
	if s, ok := summarize(text); ok {
		p.summary = &s
		return
	}
	path, ok := limited(text)
	if !ok {
		if path, ok = statistics(text); ok && p.path != "" {
			return // those of the groups below come after it
		}
	}
	if ok {
		p.doubtful = p.doubtful || p.path != "" && p.path != path
		p.path = path
		return
	}
	if strings.HasSuffix(text, "ut of memory and no killable processes...") {
		p.report = report{}
	}
}

// kill adds a victim.
func (p *Parser) kill(v *victim, m *Message) {
	if p.event != nil && (!p.group || p.limited(m.Time)) {
		p.Flush()
	}
	if p.event != nil && slices.ContainsFunc(p.event.Targets, func(t kill.Process) bool { return t.PID == v.pid }) {
		p.last = m.Time // the first victim of a group is one of its members, too
		return
	}
	if p.event != nil && len(p.event.Targets) >= maxVictims {
		group := p.report
		p.Flush()
		e := *group.event
		e.Targets = nil
		p.report, p.event = group, &e
	}
	if p.event == nil {
		p.event = p.newEvent(v, m)
	}
	if len(p.event.Targets) == 0 {
		p.event.Time, p.event.LogRecord = m.Time, m.ID
	}
	p.last, p.caller = m.Time, m.Caller
	target := p.event.AddTarget()
	target.PID, target.Command, target.Memory, target.User = v.pid, v.name, &v.memory, kill.User{ID: v.user}
	p.event.TargetCount = len(p.event.Targets)
	if p.EachVictim {
		alone := *p.event
		alone.Time, alone.LogRecord, alone.Targets, alone.TargetCount = m.Time, m.ID, []kill.Process{*target}, 1
		p.done = append(p.done, &alone)
	}
}

// limited reports whether the kernel may have left out all of a report but its victims.
func (p *Parser) limited(at time.Time) bool {
	oldest := p.full[p.next%rateBurst]
	return !oldest.IsZero() && at.Sub(oldest) < rateInterval
}

func (p *Parser) newEvent(v *victim, m *Message) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: m.Time, Signal: kill.SIGKILL, SignalKnown: true, Origin: kill.OriginKernel,
		Cause: kill.CauseOOM, Scope: kill.ScopeProcess, Result: kill.Success(), Complete: true, Source: p.Source,
		OutOfMemory: p.outOfMemory(v),
	}
	e.Audit.Node = m.Node
	return e
}

// outOfMemory returns what the report says of the limit.
func (p *Parser) outOfMemory(v *victim) *kill.OutOfMemory {
	if !v.told && p.sacrificed != nil {
		v.told, v.ofGroup = true, *p.sacrificed
	}
	o := &kill.OutOfMemory{}
	if v.told && v.ofGroup {
		o.Constraint = kill.OOMConstraintMemcg
	}
	path := p.path
	if p.summary != nil {
		about, told := p.summary.about(v)
		if told && !about || v.told && v.ofGroup != (p.summary.constraint == kill.OOMConstraintMemcg) {
			return o // what was written before is about another kill
		}
		o.Constraint = p.summary.constraint
		if found := p.summary.cgroup(v); found != "" {
			p.doubtful = p.doubtful || path != "" && path != found
			path = found
		}
	}
	o.Invoker = kill.Process{ThreadID: p.thread, Command: p.invoker}
	if p.thread == v.pid || p.invokerIsLeader {
		o.Invoker.PID = p.thread
	}
	if o.Constraint == kill.OOMConstraintMemcg && !p.doubtful && path != "" {
		full := p.reached()
		o.Cgroup, o.Limit, o.Usage = path, full.limit, full.usage
	}
	return o
}

// hugePage is how far below its limit a counter may be that has no room for an allocation.
const hugePage = 2 << 20

// reached returns the counter that has reached its limit: of cgroup v1 there is one for memory and one for memory and swap.
func (p *Parser) reached() counter {
	full := func(c counter) bool { return c.usage.Known && c.limit.Known && c.usage.Value+hugePage >= c.limit.Value }
	switch {
	case full(p.memory):
		return p.memory
	case full(p.withSwap):
		return p.withSwap
	}
	return counter{}
}

// Due returns when a report is complete if nothing more comes; the zero time if there is none.
func (p *Parser) Due() time.Time {
	if p.event == nil {
		return time.Time{}
	}
	if p.group {
		return p.last.Add(SettleGroup)
	}
	return p.last.Add(Settle)
}

// Expire completes the report if no message of it can come any more.
func (p *Parser) Expire(now time.Time) {
	due := p.Due()
	switch {
	case !due.IsZero() && now.After(due):
		p.Flush()
	case p.event == nil && !p.last.IsZero() && now.After(p.last.Add(maxReport)):
		p.report = report{}
	}
}

// Flush completes the report, if there is one with victims.
func (p *Parser) Flush() {
	if p.event != nil && len(p.event.Targets) > 0 && !p.EachVictim {
		p.done = append(p.done, p.event)
	}
	p.report = report{}
}

// Forget leaves out all victims so far, which were reported in an earlier run. Others of the same group may follow.
func (p *Parser) Forget() {
	p.done = nil
	if p.event != nil {
		e := *p.event
		e.Targets = nil
		p.event = &e
	}
}

// Lost forgets the report that is being written because some of its messages are missing.
func (p *Parser) Lost() {
	if p.event != nil {
		p.event.Complete = !p.group
	}
	p.Flush()
}

// Take returns the events that are complete.
func (p *Parser) Take() []*kill.Event {
	done := p.done
	p.done = nil
	return done
}
