// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/filesource"
	"github.com/auditkill/auditkillreceiver/internal/source/netlinksource"
)

// Candidate is a source to try.
type Candidate struct {
	// Name is the name that the caller uses for the source.
	Name string
	// Check returns an error if something that the source needs is missing. It is called
	// before anything is opened or changed; nil checks nothing.
	Check func() error
	// ManageRules loads the audit rules that the source needs, and keeps them loaded.
	ManageRules bool
	// fromKernel reports whether the source reads what the kernel passes to an audit daemon, 0 for
	// none: what hinders the audit rules is reported only then. nil is for sources that need no
	// rules.
	fromKernel func(daemon int) bool
	// Key is the key of the audit rules that the source depends on; empty is DefaultKey.
	Key string

	// ofHost reports whether the source tells what happens on this host now, but not what signals its kernel sends by
	// itself, so that the kernel's log has something to add; nil is for any other source.
	ofHost func(root string) bool

	make func(c *Capture, k *Candidate) source.Source
}

// File reads the log that auditd writes.
type File struct {
	Path string
	// FromBeginning reads the existing log, rotated files first, unless a checkpoint says
	// where to resume. Follow waits for more at the end.
	FromBeginning, Follow bool
}

// Candidate returns the source under a name.
func (f File) Candidate(name string) Candidate {
	written := func(daemon int) bool { return f.Follow && writes(daemon, f.Path) }
	ofHost := f.ofHost
	if !f.Follow {
		ofHost = nil
	}
	return Candidate{Name: name, fromKernel: written, ofHost: ofHost, make: func(c *Capture, k *Candidate) source.Source {
		joined := c.correlation(k)
		if c.settings.Attribution.Enabled {
			joined.Wait = c.waitFor
		}
		return filesource.New(filesource.Settings{
			Path: f.Path, FromBeginning: f.FromBeginning, Follow: f.Follow, Correlation: joined, Facts: c.settings.Attribution.Enabled,
			Store: c.settings.Store, Panics: c.panics, Counts: &c.counts, Logger: c.settings.Logger,
			Tampered: c.requestRulesCheck, Health: c.settings.Health,
		})
	}}
}

// ofHost reports whether the log is where auditd writes, or is open in an audit daemon: a log may have been copied here.
func (f File) ofHost(root string) bool {
	return f.Path == filepath.Join("/", root, DefaultLog) || writes(daemon(), f.Path)
}

// Netlink listens to the kernel's audit system.
type Netlink struct {
	Mode netlinksource.Mode
	// ReceiveBuffer is the size of the socket's buffer in bytes.
	ReceiveBuffer int
}

// Candidate returns the source under a name.
func (n Netlink) Candidate(name string) Candidate {
	return Candidate{Name: name, fromKernel: anyDaemon, ofHost: anyRoot, make: n.source}
}

// EBPF traces signals in the kernel.
type EBPF struct {
	// RingBuffer is the size in bytes of the buffer between the kernel and this program.
	RingBuffer int
}

// Candidate returns the source under a name.
func (t EBPF) Candidate(name string) Candidate { return Candidate{Name: name, make: t.source} }

// Custom returns a source that was made elsewhere, such as in a test.
func Custom(name string, s source.Source) Candidate {
	return Candidate{Name: name, make: func(*Capture, *Candidate) source.Source { return s }}
}

// correlation returns how a candidate joins records to events.
func (c *Capture) correlation(k *Candidate) correlate.Config {
	s := c.settings.Correlation
	return correlate.Config{
		Timeout: s.Timeout, Quiet: s.Quiet, MaxPending: s.MaxPending, KeepOriginal: s.KeepOriginal,
		Key: k.Key, Executable: c.settings.Host.Executable, Changed: c.noteChange,
	}
}

// noteChange remembers what a record says about a change of the audit system, and has the rules
// checked.
func (c *Capture) noteChange(e *kill.Event) {
	c.changes.Add(e)
	c.requestRulesCheck()
}

// Refusal is why a candidate could not be opened.
type Refusal struct {
	Name string
	Err  error
	// Cleanup is why the failed attempt could not be undone; nil if it was.
	Cleanup error
}

// RefusedError is returned if no candidate can be opened.
type RefusedError struct {
	// Refusals has one for each candidate, in the order in which they were tried.
	Refusals []Refusal
}

// Error implements error.
func (e *RefusedError) Error() string {
	var texts []string
	for _, r := range e.Refusals {
		texts = append(texts, fmt.Sprintf("%s: %v", r.Name, r.Err))
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the errors of all candidates.
func (e *RefusedError) Unwrap() []error {
	errs := make([]error, len(e.Refusals))
	for i, r := range e.Refusals {
		errs[i] = r.Err
	}
	return errs
}

// choose opens the first candidate that can be opened.
func (c *Capture) choose(ctx context.Context) error {
	for i := range c.settings.Candidates {
		k := &c.settings.Candidates[i]
		err := c.use(ctx, k)
		if err == nil {
			c.chosen = k
			return nil
		}
		c.refusals = append(c.refusals, Refusal{k.Name, err, c.closeSource()})
	}
	return &RefusedError{c.refusals}
}

// use loads the rules that a source needs and then opens the source, so that it does not
// report our own changes of the rules.
func (c *Capture) use(ctx context.Context, k *Candidate) error {
	if k.Check != nil {
		if err := k.Check(); err != nil {
			return err
		}
	}
	opened := k.make(c, k)
	switch {
	case k.ManageRules:
		if err := c.guardRules(k); err != nil {
			return err
		}
	case k.fromKernel != nil:
		c.observeRules(k)
	}
	c.source = opened
	if err := opened.Start(ctx); err != nil {
		return err
	}
	c.traits = opened.Traits()
	c.beginGuard()
	return nil
}

// closeSource undoes what use has done: it removes the rules, then closes the source.
func (c *Capture) closeSource() error {
	var errs []error
	if c.guard != nil {
		errs = append(errs, c.guard.close())
		c.guard = nil
	}
	if c.source != nil {
		errs = append(errs, c.source.Close())
		c.source = nil
	}
	return errors.Join(errs...)
}
