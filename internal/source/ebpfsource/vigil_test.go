// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// fakeWatched stands in for the programs.
type fakeWatched struct {
	gone  []string
	lost  losses
	err   error
	beats []uint32
	// heard is what the reader has heard; deaf keeps it from hearing.
	heard uint32
	deaf  bool
}

func (f *fakeWatched) beat(number uint32) error {
	if f.err != nil {
		return f.err
	}
	f.beats = append(f.beats, number)
	if !f.deaf {
		f.heard = number
	}
	return nil
}

func (f *fakeWatched) detached() []string { return f.gone }

func (f *fakeWatched) losses() (losses, error) { return f.lost, f.err }

func TestVigil(t *testing.T) {
	t.Parallel()
	detached := func(name string) kill.Tamper { return kill.Tamper{Action: kill.TamperProgramDetached, Rule: name} }
	silent := detached("generate")
	deaf := func(f *fakeWatched) { f.deaf = true }
	// Each step changes something and then checks.
	type step struct {
		change func(*fakeWatched)
		want   []kill.Tamper
	}
	for name, steps := range map[string][]step{
		"all is well":           {{}, {}, {}, {}},
		"silent":                {{}, {change: deaf}, {}, {want: []kill.Tamper{silent}}, {}},
		"silent from the start": {{change: deaf}, {}, {want: []kill.Tamper{silent}}, {}},
		"silent for a moment":   {{change: deaf}, {change: func(f *fakeWatched) { f.deaf, f.heard = false, 1 }}, {}, {}},
		"silent again": {
			{change: deaf},
			{},
			{want: []kill.Tamper{silent}},
			{change: func(f *fakeWatched) { f.deaf = false }},
			{},
			{change: deaf},
			{},
			{want: []kill.Tamper{silent}},
		},
		"the ring is full": {
			{change: deaf},
			{change: func(f *fakeWatched) { f.lost.signals++ }},
			{change: func(f *fakeWatched) { f.lost.signals++ }},
			{change: func(f *fakeWatched) { f.lost.signals++ }},
		},
		"beats cannot be sent": {{change: func(f *fakeWatched) { f.err, f.deaf = assert.AnError, true }}, {}, {}, {}},
		"detached": {
			{},
			{change: func(f *fakeWatched) { f.gone = []string{"exited"} }, want: []kill.Tamper{detached("exited")}},
			{},
			{change: func(f *fakeWatched) { f.gone = append(f.gone, "deliver") }, want: []kill.Tamper{detached("deliver")}},
			{change: func(f *fakeWatched) { f.gone = nil }},
			{change: func(f *fakeWatched) { f.gone = []string{"exited"} }, want: []kill.Tamper{detached("exited")}},
		},
		"detached and silent": {
			{change: func(f *fakeWatched) { f.deaf, f.gone = true, []string{"generate"} }, want: []kill.Tamper{silent}}, {}, {}, {},
		},
		"losses hidden": {
			{change: func(f *fakeWatched) { f.lost = losses{5, 5, 0, 0, 0} }},
			{
				change: func(f *fakeWatched) { f.lost.processes = 0 },
				want:   []kill.Tamper{{Action: kill.TamperProgramModified, Rule: "the counts of losses"}},
			},
			{},
			{
				change: func(f *fakeWatched) { f.lost.signals = 0 },
				want:   []kill.Tamper{{Action: kill.TamperProgramModified, Rule: "the counts of losses"}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fakeWatched{}
			v := vigil{programs: f, heard: func() uint32 { return f.heard }}
			for i, s := range steps {
				if s.change != nil {
					s.change(f)
				}
				assert.ElementsMatch(t, s.want, v.check(), "check %d", i+1)
			}
			assert.NotContains(t, f.beats, uint32(0))
		})
	}
}

func TestVigilCountsOn(t *testing.T) {
	t.Parallel()
	f := &fakeWatched{}
	v := vigil{programs: f, heard: func() uint32 { return f.heard }, number: 1<<32 - 2}
	for range 3 {
		assert.Empty(t, v.check())
	}
	assert.Equal(t, []uint32{1<<32 - 1, 1, 2}, f.beats, "0 asks for nothing")
}
