// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"container/list"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// The kernel reports that a process dies of a signal that was not seen, and another process tries to send it
// the same signal, but is refused, before it is gone. Any user can cause that (PTRACE_O_TRACEEXIT).
func TestAbendThenRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.sendWith(kill.SIGABRT, func(e *kill.Event) { e.Kind, e.Sender = kill.KindAbend, kill.Process{Command: "kernel"} }, pid)
	f.sendWith(kill.SIGABRT, func(e *kill.Event) {
		e.Result = kill.Result{Known: true, Errno: 1}
		from("mallory", 65534)(e)
	}, pid)
	f.died(pid, 0x86)
	e := f.only(t)
	assert.Equal(t, "kernel", e.Sender.Command, "the sender that was refused did not kill it")
	assert.Equal(t, "kernel", e.Outcome.LastSender.Command)
	assert.Len(t, e.Outcome.Signals, 2)
}

// A process does not die of a signal that is sent to it while it is dying already.
func TestAbendThenSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.sendWith(kill.SIGABRT, func(e *kill.Event) { e.Kind, e.Sender = kill.KindAbend, kill.Process{Command: "kernel"} }, pid)
	f.at = time.Millisecond
	f.sendWith(kill.SIGABRT, from("late", 4), pid)
	f.died(pid, 0x86)
	assert.Equal(t, "kernel", f.only(t).Sender.Command)
}

// Signals before the kernel's report stay in the history when the signal that the process dies of arrives.
func TestAbendAmongOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.send(kill.SIGTERM, pid)
	f.at = 4 * time.Millisecond
	f.sendWith(kill.SIGABRT, func(e *kill.Event) { e.Kind = kill.KindAbend }, pid)
	f.died(pid, 0x86)
	f.sendWith(kill.SIGABRT, func(e *kill.Event) {
		from("mykill", 3997)(e)
		e.Time = epoch.Add(2 * time.Millisecond)
	}, pid)
	f.pass(lateness)
	o := f.only(t).Outcome
	require.Len(t, o.Signals, 2)
	assert.Equal(t, kill.SIGTERM, o.Signals[0].Signal)
	assert.Equal(t, "mykill", o.Signals[1].Sender.Command)
	assert.Equal(t, "mykill", o.LastSender.Command)
}

// TestRandomLives mixes signals of all kinds, abends, ends, restarts and losses in any order for a few processes
// whose pids are reused again and again. Nothing may panic, each termination that began has one outcome, and the
// table's counters are right after each step.
func TestRandomLives(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 13)) //nolint:gosec // repeatable, not secret
			m := newModel(t, random)
			for range 400 {
				m.step()
				m.check()
			}
			m.end()
		})
	}
}

// model is a table and what is expected of it.
type model struct {
	*fixture
	t      *testing.T
	random *rand.Rand
	// births counts processes, so that each has a start of its own.
	births int
	// signals counts signals, so that no two have the same time: terminations that begin at the same time share an id.
	signals int
	// begun counts the signals to each termination by its span, reported its outcomes.
	begun, reported map[kill.Span]int
	// certain are the terminations with a signal that reached its target, so that the outcome is told
	// in any case.
	certain map[kill.Span]bool
}

func newModel(t *testing.T, random *rand.Rand) *model {
	t.Helper()
	m := &model{
		fixture: newFixture(t, random.IntN(2) == 0), t: t, random: random,
		begun: map[kill.Span]int{}, reported: map[kill.Span]int{},
		certain: map[kill.Span]bool{},
	}
	return m
}

// pids are few, so that they are reused.
const pids = 6

func (m *model) step() {
	switch m.random.IntN(20) {
	case 0, 1:
		m.start(1 + m.random.IntN(pids))
	case 2:
		m.die(1 + m.random.IntN(pids))
	case 3:
		m.vanish(1 + m.random.IntN(pids))
	case 4:
		m.at += []time.Duration{time.Millisecond, lateness, grace, sweepInterval, 2 * time.Minute}[m.random.IntN(5)]
	case 5:
		m.RequestSweep()
	case 6, 7:
		m.Expire()
	case 8:
		m.restart()
	case 9:
		m.overflow()
	case 10:
		m.Settle()
	case 11:
		if m.random.IntN(4) == 0 {
			m.Abandon()
		}
	default:
		m.send()
	}
}

// start starts a process with a pid, whether or not the end of the last process with it was seen.
func (m *model) start(pid int) {
	m.births++
	m.exits.starts[pid] = time.Duration(m.births) * 10 * time.Millisecond
}

// die ends a process and reports it.
func (m *model) die(pid int) {
	if _, lives := m.exits.starts[pid]; lives {
		m.died(pid, []int{0, 3 << 8, 9, 15, 0x86}[m.random.IntN(5)])
	}
}

// vanish ends a process without a report.
func (m *model) vanish(pid int) { delete(m.exits.starts, pid) }

// overflow sends a signal while no process can be watched.
func (m *model) overflow() {
	m.exits.err = errFull
	m.send()
	m.exits.err = nil
}

var (
	someSignals    = []kill.Signal{0, 1, kill.SIGABRT, kill.SIGKILL, 11, kill.SIGTERM, kill.SIGSTOP, 17, 34}
	someDeliveries = []kill.Delivery{
		kill.DeliveryUnknown, kill.DeliveryDelivered, kill.DeliveryIgnored, kill.DeliveryPending, kill.DeliveryOverflow,
	}
)

// send sends a signal to one or more processes, or to none, or reports a death.
func (m *model) send() {
	targets := m.random.Perm(pids)[:1+m.random.IntN(8)/6*m.random.IntN(pids)]
	event := m.sendWith(someSignals[m.random.IntN(len(someSignals))], m.change, targets...)
	for i := range event.Targets {
		if span := event.Targets[i].Span; span != (kill.Span{}) {
			m.begun[span]++
			if ep := m.open[event.Targets[i].PID]; ep != nil && ep.Span == span && ep.signals.certain() {
				m.certain[span] = true
			}
		}
	}
}

// change turns an event into one of many kinds.
func (m *model) change(e *kill.Event) {
	e.Sender.PID = m.random.IntN(3)
	m.signals++
	e.Time = e.Time.Add(time.Duration(m.random.IntN(40)-30)*time.Millisecond + time.Duration(m.signals))
	e.Delivery = someDeliveries[m.random.IntN(len(someDeliveries))]
	e.Complete = m.random.IntN(8) > 0
	switch m.random.IntN(8) {
	case 0:
		e.Result = kill.Result{Known: true, Errno: 1}
	case 1, 2:
		e.Kind = kill.KindAbend
	case 3:
		e.SignalKnown = false
	}
	for i := range e.Targets {
		target := &e.Targets[i]
		switch m.random.IntN(8) {
		case 0:
			target.Instance = nil // as from the audit system
		case 1:
			target.Instance = &kill.Instance{SinceBoot: time.Duration(m.random.IntN(m.births+2)) * 10 * time.Millisecond}
		case 2:
			target.PID = 0 // as if the pid is not known
		case 3:
			target.Leader, target.ThreadID = "leader", target.PID+1
		case 4:
			target.Result = &kill.Result{} // as of one of many, which may have been refused
		case 5:
			target.Result = &kill.Result{Known: true, Errno: 1}
		}
	}
}

// restart goes on with a new table, as after a restart of the collector or the host.
func (m *model) restart() {
	m.take()
	data, err := m.Save()
	require.NoError(m.t, err)
	if m.random.IntN(4) == 0 {
		data = data[:m.random.IntN(len(data)+1)] // damaged
	}
	next := newFixture(m.t, m.config.Ordered)
	next.exits.starts, next.at = m.exits.starts, m.at
	if m.random.IntN(4) == 0 {
		next.config.BootID = "another"
	}
	before := m.fixture
	m.fixture = next
	if next.Restore(data) != nil {
		m.forget(before)
	}
	next.config.BootID = before.config.BootID // so that ids stay comparable
}

// forget removes the terminations of a table whose state was lost.
func (m *model) forget(before *fixture) {
	for _, ep := range before.open {
		delete(m.begun, ep.Span)
	}
	for _, queue := range []*list.List{before.alive, before.gone, before.ended} {
		for at := queue.Front(); at != nil; at = at.Next() {
			delete(m.begun, at.Value.(*episode).Span)
		}
	}
}

// take checks the outcomes.
func (m *model) take() {
	for _, e := range m.TakeOutcomes() {
		if e.Kind == kill.KindCall {
			assert.NotEmpty(m.t, e.Outcome.Verdicts)
			continue
		}
		o := e.Outcome
		m.reported[o.Span]++
		assert.LessOrEqual(m.t, m.reported[o.Span], 1, "one outcome for each termination")
		require.NotEmpty(m.t, o.Signals)
		assert.True(m.t, slices.IsSortedFunc(o.Signals, func(a, b kill.Sent) int { return a.Time.Compare(b.Time) }), "signals in order")
		assert.Equal(m.t, o.Began, o.Signals[0].Time)
		assert.Equal(m.t, e.Signal, o.Signals[0].Signal)
		assert.False(m.t, o.Signals[0].Result.Failed(), "it begins with a signal that was not refused")
		assert.LessOrEqual(m.t, len(o.Signals), maxSignals)
		assert.False(m.t, e.Time.Before(o.Began))
		assert.NotNil(m.t, o.LastSender)
		assert.NotZero(m.t, o.LastSignal)
		for _, sent := range o.Signals {
			assert.NotNil(m.t, sent.Sender)
		}
	}
}

// check compares the counters with what the table holds.
func (m *model) check() {
	m.take()
	held, watched, calls := 0, 0, map[*call]int{}
	for _, queue := range []*list.List{m.alive, m.gone, m.ended} {
		for at := queue.Front(); at != nil; at = at.Next() {
			ep := at.Value.(*episode)
			held += ep.signals.len()
			if ep.call != nil {
				calls[ep.call]++
			}
			if queue == m.alive {
				watched++
			}
			assert.Equal(m.t, queue == m.ended, !ep.Ended.IsZero(), "ended episodes, and only those, are in the queue of ended ones")
			assert.Same(m.t, ep, m.open[ep.pid], "one open episode for each pid")
		}
	}
	assert.Equal(m.t, m.held, held)
	assert.EqualValues(m.t, watched, m.Watched())
	assert.Len(m.t, m.open, m.alive.Len()+m.gone.Len()+m.ended.Len())
	for c, open := range calls {
		assert.Equal(m.t, open, c.open)
	}
	assert.Len(m.t, m.calls, len(calls))
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// end closes all episodes.
func (m *model) end() {
	m.Settle()
	m.Abandon()
	m.check()
	assert.Empty(m.t, m.open)
	assert.Zero(m.t, m.held)
	for span := range m.begun {
		if m.certain[span] {
			assert.Equal(m.t, 1, m.reported[span], "each termination has an outcome")
		}
	}
}
