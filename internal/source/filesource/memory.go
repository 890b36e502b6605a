// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// placed is a fact with the position of the line that has told it.
type placed struct {
	fact *attribution.Fact
	at   correlate.Position
}

// memory keeps beside the checkpoint what was told before it and still explains what comes after it.
type memory struct {
	store   source.Store
	key     string
	conceal func(commandLine string) string

	attribution.Memory
	// ahead are the facts that come after the checkpoint, and are read again if reading starts there.
	ahead []placed
	saved []byte
}

func newMemory(settings *Settings) *memory {
	return &memory{store: settings.Store, key: "facts:" + settings.Path, conceal: settings.Conceal}
}

// load returns the facts that were stored.
func (m *memory) load(ctx context.Context) ([]*attribution.Fact, error) {
	if m.store == nil {
		return nil, nil
	}
	data, err := m.store.Get(ctx, m.key)
	if err != nil || data == nil {
		return nil, err
	}
	facts, err := attribution.Decode(data)
	for _, f := range facts {
		m.Add(f)
	}
	m.saved = data
	return facts, err
}

// add takes note of further facts, of which those count that come before the checkpoint.
func (m *memory) add(facts []placed, safe correlate.Position) {
	m.ahead = append(m.ahead, facts...)
	n := 0
	for n < len(m.ahead) && m.ahead[n].at < safe {
		m.Add(m.ahead[n].fact)
		n++
	}
	m.ahead = slices.Delete(m.ahead, 0, n)
}

// save stores the facts if there are new ones.
func (m *memory) save(ctx context.Context) error {
	if m.store == nil || !m.Changed() {
		return nil
	}
	facts := m.Facts()
	for i, f := range facts {
		if f.Command != nil {
			facts[i] = m.concealed(f)
		}
	}
	data := attribution.Encode(facts)
	if bytes.Equal(data, m.saved) {
		return nil
	}
	if err := m.store.Set(ctx, m.key, data); err != nil {
		return fmt.Errorf("saving the facts %q: %w", m.key, err)
	}
	m.saved = data
	return nil
}

// concealed returns a command as it may be stored.
func (m *memory) concealed(f *attribution.Fact) *attribution.Fact {
	if m.conceal == nil {
		return f
	}
	command := *f.Command
	command.Title = m.conceal(command.Title)
	return &attribution.Fact{Node: f.Node, Command: &command}
}

// remember loads the facts from before the restart, for those that come from now on.
func (s *Source) remember(ctx context.Context) {
	if !s.settings.Facts {
		return
	}
	facts, err := s.memory.load(ctx)
	if err != nil {
		s.settings.Logger.Warn("who is logged in is known only from now on: signals of earlier sessions will not name "+
			"where they came from", zap.Error(err))
	}
	s.scanner.Correlator.Know(facts)
	for _, f := range facts {
		s.remembered = append(s.remembered, source.Observation{Fact: f})
	}
}
