// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Death is the last death of a target, and what else happened then.
type Death struct {
	// Moment is the outcome or, if there is none, the report of the kernel or the SIGKILL.
	Moment
	// Signals are those to the process that belong to it, in the order of time.
	Signals []Moment
	// Others are the other processes that have died then, each once.
	Others []Moment
	// Namesakes are the last deaths of other programs that go by the same name, the latest first: anybody may call his
	// own so.
	Namesakes []Moment
	// Later is what may have ended what was asked for after it; nil if there is nothing.
	Later *Maybe
}

// settle looks at what happened around the last death.
func (f *Finder) settle() {
	if f.last == nil {
		return
	}
	d := &Death{Moment: *f.last}
	f.last = nil
	began := d.Time.Add(-episode)
	if d.Outcome != nil {
		began = d.Outcome.Began.Add(-time.Millisecond)
	}
	for i := range f.recent {
		m := &f.recent[i]
		switch {
		case sameProcess(m.Target, d.Target):
			if m.Kind == kill.KindSignal && !m.Time.Before(began) && !m.Time.After(d.Time) && (m.Signal.Fatal() || !m.SignalKnown) {
				d.Signals = append(d.Signals, *m)
			}
		case m.died() && d.with(m):
			d.add(*m)
		}
	}
	f.found = d
}

// with reports whether another process has died at the same time, or because the same process asked for it.
func (d *Death) with(m *Moment) bool {
	apart := m.Time.Sub(d.Time)
	if apart.Abs() <= Around {
		return true
	}
	return apart < 0 && -apart <= ofOneRequest && sameRequest(d.Behind, m.Behind)
}

func sameRequest(a, b *kill.Behind) bool {
	if a == nil || b == nil {
		return false
	}
	if a.Initiator != nil && b.Initiator != nil {
		return a.Initiator.PID != 0 && a.Initiator.PID == b.Initiator.PID && a.Initiator.Command == b.Initiator.Command
	}
	return a.Requester != nil && b.Requester != nil && a.Requester.PID != 0 && a.Requester.PID == b.Requester.PID &&
		a.Requester.Command == b.Requester.Command
}

// ignored reports whether the first of its signals is known, and had no effect.
func (d *Death) ignored() bool {
	if len(d.Signals) == 0 || d.Outcome == nil {
		return false
	}
	first := &d.Signals[0]
	return first.Signal == d.Signal && first.Time.Sub(d.Outcome.Began).Abs() <= time.Millisecond &&
		first.DeliveryTo(first.Target) == kill.DeliveryIgnored
}

// add adds another process that died, or what says more about it.
func (d *Death) add(m Moment) {
	for i := range d.Others {
		if sameProcess(d.Others[i].Target, m.Target) {
			if m.rank() >= d.Others[i].rank() {
				d.Others[i] = m
			}
			return
		}
	}
	d.Others = append(d.Others, m)
}

// Death returns the last death; nil if there was none.
func (f *Finder) Death() *Death {
	f.settle()
	if f.found != nil {
		f.found.Later, f.found.Namesakes = f.Maybe(), f.programs.besides(&f.found.Moment)
	}
	return f.found
}

// Maybe returns what may have ended the target; nil if there was nothing since it died or survived.
func (f *Finder) Maybe() *Maybe { return f.candidates.best() }

// Survived returns the last signal after which the target was still alive; nil if there was none.
func (f *Finder) Survived() *Moment { return f.survived }

// Matched returns how many signals to the target there were, and reports about it.
func (f *Finder) Matched() int { return f.matched }
