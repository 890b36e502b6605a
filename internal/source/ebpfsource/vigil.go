// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// mostMisses is how often in a row a beat may stay away: a process that was stopped may look for it
// before it reads it.
const mostMisses = 2

// watched is the part of programs that a vigil needs.
type watched interface {
	beat(number uint32) error
	detached() []string
	losses() (losses, error)
}

// vigil finds out whether the programs still report what happens. Looking at the links shows what
// was taken from us, but not all ways to make the programs silent, such as somebody else who empties
// the ring. So it also sends a signal to itself now and then, and expects the programs to report it.
type vigil struct {
	programs watched
	// heard returns the number that the programs returned last.
	heard func() uint32

	// number is that of the last beat, awaited is true if it was sent.
	number  uint32
	awaited bool
	misses  int
	lost    losses
	told    []kill.Tamper
}

// check returns what has come since the last check.
func (v *vigil) check() []kill.Tamper {
	var found []kill.Tamper
	add := func(action kill.TamperAction, name string) {
		if tamper := (kill.Tamper{Action: action, Rule: name}); !slices.Contains(found, tamper) {
			found = append(found, tamper)
		}
	}
	for _, name := range v.programs.detached() {
		add(kill.TamperProgramDetached, name)
	}
	if v.silent() {
		add(kill.TamperProgramDetached, kernelProgGenerate)
	}
	if v.lowered() {
		add(kill.TamperProgramModified, "the counts of losses")
	}
	fresh := slices.DeleteFunc(slices.Clone(found), func(t kill.Tamper) bool { return slices.Contains(v.told, t) })
	v.told = found
	v.send()
	return fresh
}

// silent reports whether beats stay away.
func (v *vigil) silent() bool {
	lost, err := v.programs.losses()
	switch {
	case !v.awaited || v.heard() == v.number:
		v.misses = 0
	case err == nil && lost.signals == v.lost.signals: // otherwise the ring was full, and that is told
		v.misses++
	}
	return v.misses >= mostMisses
}

// lowered reports whether somebody has lowered the counts of losses, which the programs never do.
func (v *vigil) lowered() bool {
	lost, err := v.programs.losses()
	if err != nil {
		return false
	}
	before := v.lost
	v.lost = lost
	return lost.signals < before.signals || lost.processes < before.processes
}

// send sends the next beat.
func (v *vigil) send() {
	v.number = max(1, v.number+1) // 0 asks for nothing
	v.awaited = v.programs.beat(v.number) == nil
}
