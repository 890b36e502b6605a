// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// BenchmarkSignal is the cost from a record to an event, with both processes known.
func BenchmarkSignal(b *testing.B) {
	table := process.NewTable(process.Config{})
	for _, pid := range []uint32{10, 20} {
		p := party(pid, "")
		table.Exec(process.Exec{Key: key(&p.Identity), Parent: 1, Command: "program", Executable: "/usr/bin/program", CommandLine: "program"})
	}
	count := 0
	config := assemblerConfig{timeout: time.Second, maxPending: 100, seesEnds: true, followFor: 5 * time.Minute}
	a := newAssembler(config, newEvents(table), func(source.Observation) { count++ })
	record := bytesOf(sends(func(r *kernelSignalRecord) { r.Sender.Group, r.Target.Group = kernelGroup{}, kernelGroup{} }))
	b.ReportAllocs()
	for b.Loop() {
		a.add(record)
	}
	if count == 0 {
		b.Fatal("no event")
	}
}

// BenchmarkLife is the cost of a process that starts and ends without having been signaled.
func BenchmarkLife(b *testing.B) {
	table := process.NewTable(process.Config{})
	config := assemblerConfig{timeout: time.Second, maxPending: 100, seesEnds: true, followFor: 5 * time.Minute}
	a := newAssembler(config, newEvents(table), func(source.Observation) {})
	parent := party(10, "").Identity
	fork := &kernelForkRecord{Kind: kindFork, Parent: parent}
	exec := execs(0, "sleep\x00bin\x00usr\x00", "sleep\x001000\x00")
	executed := view[kernelExecRecord](exec, execTextOffset)
	executed.Group = kernelGroup{}
	exit := &kernelExitRecord{Kind: kindExit}
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		child := kernelIdentity{Pid: 1000 + i%30000, Start: uint64(i) * uint64(time.Millisecond)}
		fork.Child, executed.Identity, exit.Identity = child, child, child
		a.add(bytesOf(fork))
		a.add(exec)
		a.add(bytesOf(exit))
	}
	if a.counts.malformed > 0 {
		b.Fatal("malformed records")
	}
}

// BenchmarkDeath is the cost of a signal and the end of the process, which is reported.
func BenchmarkDeath(b *testing.B) {
	table := process.NewTable(process.Config{})
	count := 0
	config := assemblerConfig{timeout: time.Second, maxPending: 100, seesEnds: true, followFor: 5 * time.Minute}
	a := newAssembler(config, newEvents(table), func(source.Observation) { count++ })
	strike := kills()
	exit := &kernelExitRecord{Kind: kindExit}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		strike.Target.Identity.Pid = uint32(1000 + i%30000)
		table.Exec(process.Exec{Key: key(&strike.Target.Identity), Parent: 1, Command: "program", Executable: "/program"})
		exit.Identity = strike.Target.Identity
		a.add(bytesOf(strike))
		a.add(bytesOf(exit))
	}
	if count < 2 {
		b.Fatal("no events")
	}
}
