// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/telling"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// Around is how long before and after a death others count as having died at the same time.
	Around = 5 * time.Second
	// ofOneRequest is how long before a death others count that the same process has asked for.
	ofOneRequest = 10 * time.Minute
	// episode is how long before a death signals belong to it, if nothing says when it began: the receiver watches
	// for two minutes, and a stop takes 90 seconds at most by default.
	episode = 2 * time.Minute
	// maxRecent is how many events are held to look back at. Each takes some kilobytes.
	maxRecent = 8192
	// maxNames is how many names are remembered to suggest one.
	maxNames = 4096
)

// Finder finds the last death of a target among events, which come in the order of time.
type Finder struct {
	target Target
	until  time.Time

	recent []Moment
	// last is the last death, until it has been looked at. since counts the events after it.
	last  *Moment
	since int
	found *Death
	// candidates may have ended it since, survived is the last signal that has not.
	candidates candidates
	survived   *Moment
	matched    int
	names      map[string]int
	programs   programs
}

// Moment is an event and the target that it is about.
type Moment struct {
	telling.Telling
	Target *kill.Process
	match  match
}

// NewFinder returns a Finder of deaths until some time; the zero time is no limit.
func NewFinder(target Target, until time.Time) *Finder {
	return &Finder{target: target, until: until, names: make(map[string]int), programs: make(programs)}
}

// Add takes the next event.
func (f *Finder) Add(t telling.Telling) {
	if f.last != nil && t.Time.Sub(f.last.Time) > Around {
		f.settle()
	}
	if !f.until.IsZero() && t.Time.After(f.until.Add(Around)) {
		return
	}
	for i := range t.Targets {
		f.add(Moment{Telling: t, Target: &t.Targets[i], match: f.target.matches(&t.Targets[i], t)})
	}
}

func (f *Finder) add(m Moment) {
	if len(f.recent) == maxRecent {
		f.forget()
	}
	f.recent = append(f.recent, m)
	f.learn(m.Target)
	f.since++
	if f.last != nil && f.since == maxRecent/2 {
		f.settle() // otherwise what came before it would be forgotten
	}
	if m.match == noMatch || !f.until.IsZero() && m.Time.After(f.until) {
		return
	}
	f.matched += m.Signals()
	switch {
	case m.died():
		f.programs.add(&m)
		f.candidates, f.survived = nil, nil
		if f.replaces(m) {
			f.last, f.since, f.found = &m, 0, nil
		}
	case m.Outcome != nil && m.Outcome.Verdict == kill.VerdictSurvived:
		f.survived = &m
		f.candidates.survive(m.Target)
	case m.chance() == good || !f.hasJustDied(&m): // what may not have reached the dead is no news
		f.candidates.add(&m)
	}
}

// lastDeath returns the last death, whether or not it has been looked at; nil if there was none.
func (f *Finder) lastDeath() *Moment {
	if f.last == nil && f.found != nil {
		return &f.found.Moment
	}
	return f.last
}

// hasJustDied reports whether the target is the process that has died last, not long ago.
func (f *Finder) hasJustDied(m *Moment) bool {
	last := f.lastDeath()
	return last != nil && sameProcess(last.Target, m.Target) && m.Time.Sub(last.Time) <= episode
}

// forget makes room. Events about the target are held longest: anybody can cause others.
func (f *Finder) forget() {
	half := len(f.recent) / 2
	old := slices.DeleteFunc(slices.Clone(f.recent[:half]), func(m Moment) bool { return m.match == noMatch })
	old = old[max(0, len(old)-maxRecent/4):]
	f.recent = append(append(f.recent[:0], old...), f.recent[half:]...)
}

// replaces reports whether a death is a later one than the last, rather than a part of it.
func (f *Finder) replaces(m Moment) bool {
	last := f.lastDeath()
	switch {
	case last == nil:
		return true
	case sameProcess(last.Target, m.Target):
		return m.rank() >= last.rank() || m.Time.Sub(last.Time) > episode
	case m.Time.Sub(last.Time) > Around:
		return true
	}
	// Of a unit or a container that ends, the first process counts.
	return m.match == itself && (last.match == member || m.Cause != kill.CauseMainProcessEnd)
}

// learn remembers a name, to suggest it.
func (f *Finder) learn(p *kill.Process) {
	for _, name := range []string{p.Command, unitOf(p)} {
		if _, known := f.names[name]; name != "" && (known || len(f.names) < maxNames) {
			f.names[name]++
		}
	}
}

func unitOf(p *kill.Process) string {
	if p.Instance == nil {
		return ""
	}
	return p.Instance.Unit
}

// rank says how much an event says about a death: an outcome most.
func (m *Moment) rank() int {
	switch m.Kind {
	case kill.KindOutcome:
		return 2
	case kill.KindAbend:
		return 1
	}
	return 0
}

// died reports whether the target is dead for certain.
func (m *Moment) died() bool {
	switch m.Kind {
	case kill.KindOutcome:
		switch m.Outcome.Verdict {
		case kill.VerdictExited, kill.VerdictKilled, kill.VerdictCoreDumped, kill.VerdictEnded:
			return true
		}
		return false
	case kill.KindAbend:
		return m.Result.Known
	case kill.KindSignal:
		return m.Signal == kill.SIGKILL && m.fatal()
	}
	return false
}

// fatal reports whether a signal got through that by default ends its target.
func (m *Moment) fatal() bool {
	return !m.harmless() && m.SignalKnown && m.ResultFor(m.Target).Succeeded() && !m.toInit()
}

// harmless reports whether a signal has certainly not ended its target.
func (m *Moment) harmless() bool {
	switch m.DeliveryTo(m.Target) {
	case kill.DeliveryIgnored, kill.DeliveryOverflow:
		return true
	}
	if m.toInit() && (m.Target.PID == 1 || m.Signal == kill.SIGKILL) {
		return true // the host goes on, and nothing can handle SIGKILL
	}
	return m.SignalKnown && !m.Signal.Fatal() || m.ResultFor(m.Target).Failed()
}

// toInit reports whether the target is the first process of its pid namespace, as far as the sender saw it. The kernel drops what such
// a process does not handle, also SIGKILL, and lets the call succeed (kernel/signal.c, sig_task_ignored).
func (m *Moment) toInit() bool {
	return m.Origin != kill.OriginKernel && (m.Target.PID == 1 || m.Scope == kill.ScopeProcess && m.Requested == 1)
}

// sameProcess reports whether two are the same process, as far as is known.
func sameProcess(a, b *kill.Process) bool {
	if a.PID != b.PID || a.PID == 0 {
		return false
	}
	if a.Instance != nil && b.Instance != nil && !a.Instance.Start.IsZero() && !b.Instance.Start.IsZero() {
		return a.Instance.Start.Equal(b.Instance.Start)
	}
	return true
}
