// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

const (
	// maxBehinds is how many different causes of signals are saved; whoever asks for signals may have
	// any number.
	maxBehinds = 1024
	// maxStored is how many bytes of a command line behind a signal are saved, as many as are reported.
	maxStored = 1024
)

// saver gathers what is saved. What signals share is saved once.
type saver struct {
	saved
	table   *Table
	senders map[*kill.Process]int
	behinds map[*kill.Behind]int
}

// place returns the index of a sender.
func (s *saver) place(sender *kill.Process) int {
	place, ok := s.senders[sender]
	if !ok {
		place = len(s.Senders)
		s.senders[sender] = place
		concealed := s.table.concealed(*sender)
		s.Senders = append(s.Senders, &concealed)
	}
	return place
}

// placeOfBehind returns the index of who and what is behind a signal, plus 1; 0 if that is not known or not saved.
func (s *saver) placeOfBehind(b *kill.Behind) int {
	place, ok := s.behinds[b]
	if !ok && b != nil && len(s.Behinds) < maxBehinds {
		s.Behinds = append(s.Behinds, s.table.concealedBehind(b))
		place = len(s.Behinds)
		s.behinds[b] = place
	}
	return place
}

// concealed returns a copy of a process whose command lines may be stored.
func (t *Table) concealed(p kill.Process) kill.Process {
	p.Title = t.config.Conceal(p.Title)
	if p.Instance != nil {
		instance := *p.Instance
		instance.CommandLine = t.config.Conceal(instance.CommandLine)
		p.Instance = &instance
	}
	p.Ancestry = slices.Clone(p.Ancestry)
	for i := range p.Ancestry {
		p.Ancestry[i] = t.concealedAncestor(p.Ancestry[i])
	}
	return p
}

func (t *Table) concealedAncestor(a kill.Ancestor) kill.Ancestor {
	a.Title = visible.Cut(t.config.Conceal(a.Title), maxStored)
	return a
}

// concealedBehind returns a copy of who and what is behind a signal, whose command lines may be stored.
func (t *Table) concealedBehind(b *kill.Behind) *kill.Behind {
	if b == nil {
		return nil
	}
	copied := *b
	if b.Requester != nil {
		requester := t.concealed(*b.Requester)
		requester.Title = visible.Cut(requester.Title, maxStored)
		if requester.Instance != nil {
			requester.Instance.CommandLine = "" // the title says it
		}
		copied.Requester = &requester
	}
	if b.Initiator != nil {
		initiator := t.concealedAncestor(*b.Initiator)
		copied.Initiator = &initiator
	}
	return &copied
}
