// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// eitherNetlink is what the two are called where either will do.
const eitherNetlink = Multicast + " or " + Unicast

// candidate is a source that may be opened.
type candidate struct {
	source.Source
	// name is what people call it, and began, if it is not nil, what it is called more exactly
	// once it is open.
	name  string
	began func() string
	// check says what is missing, where that can be told before anything is touched.
	check func() error
	// guard loads the rules that it needs; nil if it needs none.
	guard *guard
	// tellsProcesses is true if it keeps the table of processes up to date.
	tellsProcesses bool
	// exits sees the ends of processes; nil if the source does, or nobody.
	exits exits
	// advise tells what is worth knowing once it is open; may be nil.
	advise func()
}

// exits sees the ends of processes where the source does not.
type exits interface {
	outcome.Exits
	Start() error
	Run(ctx context.Context, deliver source.Deliver)
	Close() error
}

// candidates are the sources that are asked for, the first one first.
func (w *Watch) candidates() []candidate {
	switch w.config.Source {
	case EBPF:
		return []candidate{w.ebpf()}
	case Multicast, Unicast:
		return []candidate{w.netlink(w.config.Source)}
	case File:
		return []candidate{w.file()}
	}
	log := w.file()
	log.check = func() error { // nobody waits for a log that was not asked for
		_, err := os.Stat(w.config.Path)
		return err
	}
	return []candidate{w.ebpf(), w.netlink(Auto), log}
}

// refusal is why a source cannot be used.
type refusal struct {
	name string
	err  error
}

// choose opens the first source that can be opened.
func (w *Watch) choose(ctx context.Context, candidates []candidate) error {
	var refused []refusal
	for _, c := range candidates {
		err := w.use(ctx, c)
		if err == nil {
			w.chosen = c.name
			if c.began != nil {
				w.chosen = c.began()
			}
			for _, r := range refused {
				w.config.Say(fmt.Sprintf("not by %s: %v", r.name, r.err))
			}
			return nil
		}
		refused = append(refused, refusal{c.name, plainly(errors.Join(err, w.closeSource()))})
	}
	return w.unusable(refused)
}

// use opens a source, after the rules that it needs, so that our own changes of them are
// not among what it reads.
func (w *Watch) use(ctx context.Context, c candidate) error {
	if c.check != nil {
		if err := c.check(); err != nil {
			return err
		}
	}
	w.source = c
	var problems []string
	if c.guard != nil {
		problems = c.guard.install()
	}
	if err := c.Start(ctx); err != nil {
		return err
	}
	for _, problem := range problems {
		w.config.Say(problem)
	}
	if c.advise != nil {
		c.advise()
	}
	return w.openOutcomes()
}

// closeSource closes what use has opened, and takes the rules away first.
func (w *Watch) closeSource() error {
	var errs []error
	c := w.source
	w.source = candidate{}
	if c.guard != nil {
		errs = append(errs, c.guard.close())
	}
	if w.watching {
		w.watching = false
		errs = append(errs, c.exits.Close())
	}
	if c.Source != nil {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// unusable is the error if no source can be used: why, and what can be done instead.
func (w *Watch) unusable(refused []refusal) error {
	instead := w.instead()
	if len(refused) == 1 {
		return fmt.Errorf("--source %s: %w\n%s", refused[0].name, refused[0].err, instead)
	}
	widest := 0
	for _, r := range refused {
		widest = max(widest, len(r.name))
	}
	var lines []string
	for _, r := range refused {
		lines = append(lines, fmt.Sprintf("  %-*s  %v", widest, r.name, r.err))
	}
	return fmt.Errorf("no source can be used:\n%s\n%s", strings.Join(lines, "\n"), instead)
}

// instead tells whoever lacks the rights what works without.
func (w *Watch) instead() string {
	if os.Geteuid() == 0 {
		return "`auditkill doctor` tells more"
	}
	const asRoot = "run it as root: sudo auditkill watch\n"
	if log, err := os.Open(w.config.Path); err == nil {
		_ = log.Close() // it was only read
		return asRoot + "without, `auditkill watch --source file` and `auditkill report` read the audit log"
	}
	return asRoot +
		"without, `auditkill watch --source file --file FILE` and `auditkill report FILE` read any audit log that you may read;\n" +
		"log_group in /etc/audit/auditd.conf names the group that may read the host's own"
}
