// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package filter decides which events and targets are wanted.
package filter

import (
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Config says what is wanted. An empty list wants all.
type Config struct {
	Signals []kill.Signal
	Targets []string
	Senders []string
	// ExcludeTargets and ExcludeSenders are not wanted, whatever else says that they are. A process of which nothing is
	// known is none of them, nor is one that is excluded by a path, if its own is not known.
	ExcludeTargets, ExcludeSenders []string
	IncludeFailed                  bool
	// Self is this process; 0 if it is not known by which pid the events name it. A signal that ends
	// or stops it is always wanted: after it nothing else is reported.
	Self int
}

// Filter removes unwanted events and targets. What is not known passes: an event with a lost
// record may be the one that matters.
type Filter struct {
	signals map[kill.Signal]bool
	targets names
	senders names
	// noTargets and noSenders are not wanted.
	noTargets, noSenders names
	includeFailed        bool
	self                 int
}

// New compiles a filter. It returns an error if a name is not a valid glob.
func New(config Config) (*Filter, error) {
	f := &Filter{signals: make(map[kill.Signal]bool), includeFailed: config.IncludeFailed, self: config.Self}
	for _, signal := range config.Signals {
		f.signals[signal] = true
	}
	var err error
	if f.targets, err = compile(config.Targets); err != nil {
		return nil, err
	}
	if f.senders, err = compile(config.Senders); err != nil {
		return nil, err
	}
	if f.noTargets, err = compile(config.ExcludeTargets); err != nil {
		return nil, err
	}
	f.noSenders, err = compile(config.ExcludeSenders)
	return f, err
}

// NeedsPaths reports whether a name is the path of a program, so that Apply needs the paths of
// both processes of an event.
func (f *Filter) NeedsPaths() bool {
	return f.targets.needPaths() || f.senders.needPaths() || f.noTargets.needPaths() || f.noSenders.needPaths()
}

// NeedsLeaders reports whether a target is chosen by its name, so that Apply needs the name of the
// process if the sender addressed one of its threads.
func (f *Filter) NeedsLeaders() bool { return len(f.targets) > 0 || len(f.noTargets) > 0 }

// Apply removes unwanted targets from an event, and reports whether the event is still
// wanted. Tampering with the monitor is always wanted.
func (f *Filter) Apply(e *kill.Event) bool {
	if e.Kind == kill.KindTamper {
		return true
	}
	at := f.blinds(e)
	if at < 0 {
		return f.selects(e)
	}
	self := e.Targets[at]
	if !f.selects(e) {
		e.Targets = e.Targets[:0]
	}
	if !slices.ContainsFunc(e.Targets, f.isSelf) {
		e.Targets = append(e.Targets, self)
	}
	return true
}

// blinds returns which target is this process, if the signal has ended or stopped it; -1 if none.
func (f *Filter) blinds(e *kill.Event) int {
	if e.Kind != kill.KindSignal || e.Signal != kill.SIGKILL && e.Signal != kill.SIGTERM && e.Signal != kill.SIGSTOP {
		return -1
	}
	return slices.IndexFunc(e.Targets, func(p kill.Process) bool { return f.isSelf(p) && !e.ResultFor(&p).Failed() })
}

func (f *Filter) isSelf(p kill.Process) bool { return f.self != 0 && p.PID == f.self }

// selects does what Apply does, for events that are wanted only if they match.
func (f *Filter) selects(e *kill.Event) bool {
	if e.SignalKnown && len(f.signals) > 0 && !f.signals[e.Signal] && !e.EndsTarget {
		return false
	}
	if !f.wantsSender(e) || f.noSenders.hold(&e.Sender) {
		return false
	}
	if len(e.Targets) == 0 {
		return (f.includeFailed || !e.Result.Failed()) && (len(f.targets) == 0 || !e.Complete)
	}
	if !f.includeFailed || len(f.targets) > 0 || len(f.noTargets) > 0 {
		e.Targets = slices.DeleteFunc(e.Targets, func(p kill.Process) bool { return !f.wantsTarget(e, &p) })
	}
	return len(e.Targets) > 0
}

func (f *Filter) wantsTarget(e *kill.Event, p *kill.Process) bool {
	return (f.includeFailed || !e.ResultFor(p).Failed()) && (len(f.targets) == 0 || f.targets.match(p)) && !f.noTargets.hold(p)
}

// wantsSender reports whether the sender is wanted. A signal of the kernel has a sender only if
// the process that caused it is known; the report of a death has none.
func (f *Filter) wantsSender(e *kill.Event) bool {
	switch {
	case len(f.senders) == 0:
		return true
	case e.Kind == kill.KindAbend:
		return false
	case e.Sender.PID == 0:
		return e.Origin != kill.OriginKernel
	}
	return f.senders.match(&e.Sender)
}
