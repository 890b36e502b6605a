// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// programs is what is loaded into the kernel. All of it is bound to file descriptors of
// this process, so that nothing stays behind, however the process ends.
type programs struct {
	collection *ebpf.Collection
	links      []link.Link
	// attachments are the links as they were made.
	attachments []attachment
	calls       callEnds
	waiting     *ebpf.Variable
}

// losses counts the records that found no room in the ring, since the start.
type losses struct{ signals, processes uint64 }

// fewNames is how many names are compared one by one (kernel/record.h, FEW).
const fewNames = 8

// wish is what the programs filter by.
type wish struct {
	ring             int
	signals, ending  []kill.Signal
	targets, senders []string
	includeFailed    bool
	// calls is how the ends of calls are to be seen; empty to choose.
	calls callEnds
}

// errMemlock means that the kernel counts what is loaded as locked memory, and refuses to
// allow this process more of that.
var errMemlock = errors.New("raising the limit of locked memory")

// load loads the programs into the kernel. They are not attached yet.
func load(w wish) (*programs, error) {
	// This does nothing since Linux 5.11 (see rlimit.RemoveMemlock).
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("%w: %w", errMemlock, err)
	}
	p := &programs{calls: w.calls}
	if p.calls == "" {
		p.calls = chooseCallEnds(w.includeFailed || slices.Contains(w.signals, 0))
	}
	spec, err := loadKernel()
	if err != nil {
		return nil, err
	}
	self, err := ownPID()
	if err != nil {
		return nil, err
	}
	err = errors.Join(specify(spec, w, self), p.calls.specify(spec))
	if err != nil {
		return nil, err
	}
	if p.collection, err = ebpf.NewCollection(spec); err != nil {
		return nil, err
	}
	p.waiting = p.collection.Variables[kernelVarWaiting]
	err = p.prepare(w)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// specify sets what is known before loading. self is the pid of this process.
func specify(spec *ebpf.CollectionSpec, w wish, self uint32) error {
	values := map[string]any{
		kernelVarSelf:           self,
		kernelVarSignals:        bits(w.signals),
		kernelVarEndingSignals:  bits(w.ending),
		kernelVarSignalZero:     slices.Contains(w.signals, 0),
		kernelVarIncludeFailed:  w.includeFailed,
		kernelVarOnlyTargets:    plain(w.targets),
		kernelVarOnlySenders:    plain(w.senders),
		kernelVarRoomForSignals: uint64(w.ring) * 3 / 4,
	}
	few(values, w.targets, kernelVarFewTargets, kernelVarFewTargetsCount)
	few(values, w.senders, kernelVarFewSenders, kernelVarFewSendersCount)
	for name, value := range values {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	spec.Maps[kernelMapRing].MaxEntries = uint32(w.ring)
	spec.Maps[kernelMapTargets].MaxEntries = uint32(max(1, len(w.targets)))
	spec.Maps[kernelMapSenders].MaxEntries = uint32(max(1, len(w.senders)))
	return nil
}

// bits returns a set of signals as the kernel has it: bit n-1 is signal n.
func bits(signals []kill.Signal) uint64 {
	var set uint64
	for _, signal := range signals {
		if signal > 0 {
			set |= 1 << (signal - 1)
		}
	}
	return set
}

// few passes the names in a variable if there are only few, so that no map is needed.
func few(values map[string]any, names []string, variable, count string) {
	var commands [fewNames]kernelName
	if !plain(names) || len(names) > len(commands) {
		return
	}
	for i, name := range names {
		commands[i] = commandOf(name)
	}
	values[variable], values[count] = commands, uint32(len(names))
}

// commandOf returns a name as the kernel stores it, cut to the length that it keeps.
func commandOf(name string) kernelName {
	var command [len(kernelParty{}.Command)]byte
	copy(command[:len(command)-1], name)
	var words kernelName
	for i := range words.Words {
		words.Words[i] = binary.LittleEndian.Uint64(command[8*i:]) // as all supported processors are
	}
	return words
}

// plain reports whether all names can be compared in the kernel: globs and paths cannot.
func plain(names []string) bool {
	for _, name := range names {
		if strings.ContainsAny(name, `*?[\/`) {
			return false
		}
	}
	return len(names) > 0
}

// prepare sets what is known only after loading.
func (p *programs) prepare(w wish) error {
	for mapName, names := range map[string][]string{kernelMapTargets: w.targets, kernelMapSenders: w.senders} {
		if !plain(names) {
			continue
		}
		for _, name := range names {
			if err := p.collection.Maps[mapName].Put(commandOf(name), uint8(1)); err != nil {
				return fmt.Errorf("filtering by %q: %w", name, err)
			}
		}
	}
	return p.freeze()
}

// freeze makes the maps unchangeable from user space that only the programs themselves write from now
// on: any process that may load programs could otherwise change what they filter by. The variables
// that are set only once are frozen already (ebpf.CollectionSpec, .rodata). What remains are the ring,
// and the counters and flags that the reader shares with the programs.
func (p *programs) freeze() error {
	for _, name := range []string{kernelMapTargets, kernelMapSenders, kernelMapExecScratch, kernelMapCgroupScratch} {
		if err := p.collection.Maps[name].Freeze(); err != nil {
			return fmt.Errorf("freezing the map %s: %w", name, err)
		}
	}
	return nil
}

// ownPID asks the kernel for the pid of this process in the initial pid namespace: in a container it
// has another one.
func ownPID() (uint32, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "whoami", Type: ebpf.RawTracepoint, License: "GPL",
		Instructions: asm.Instructions{asm.FnGetCurrentPidTgid.Call(), asm.RSh.Imm(asm.R0, 32), asm.Return()},
	})
	if err != nil {
		return 0, err
	}
	defer program.Close()
	pid, err := program.Run(&ebpf.RunOptions{})
	if err != nil {
		return 0, fmt.Errorf("asking the kernel for our process id: %w", err)
	}
	return pid, nil
}

// attachProcesses attaches the programs that report processes.
func (p *programs) attachProcesses() error {
	return p.attach(kernelProgForked, kernelProgExecuted, kernelProgExited, kernelProgMadeCgroup)
}

// attachSignals attaches the programs that report signals.
func (p *programs) attachSignals() error {
	victims, err := link.AttachRawTracepoint(link.RawTracepointOptions{
		Name: "mark_victim", Program: p.collection.Programs[kernelProgMarkVictim],
	})
	if err != nil {
		return fmt.Errorf("attaching to the tracepoint mark_victim: %w", err)
	}
	p.links = append(p.links, victims)
	ends, err := p.calls.attach(p.collection)
	if err != nil && p.calls == endsOfSixCalls {
		for _, end := range ends {
			_ = end.Close() // or the same end would be reported twice
		}
		p.calls = endsOfAllCalls
		ends, err = p.calls.attach(p.collection)
	}
	p.links = append(p.links, ends...)
	if err != nil {
		return fmt.Errorf("attaching to the ends of system calls: %w", err)
	}
	return p.attach(kernelProgDeliver, kernelProgGenerate)
}

func (p *programs) attach(names ...string) error {
	for _, name := range names {
		attached, err := link.AttachTracing(link.TracingOptions{Program: p.collection.Programs[name]})
		if err != nil {
			return fmt.Errorf("attaching the program %s: %w", name, err)
		}
		p.links = append(p.links, attached)
	}
	return nil
}

// wake sets whether the next signal wakes the reader.
func (p *programs) wake(waiting bool) error {
	var value uint32
	if waiting {
		value = 1
	}
	return p.waiting.Set(value)
}

// losses returns what has been lost since the start.
func (p *programs) losses() (losses, error) {
	var l losses
	err := errors.Join(
		p.collection.Variables[kernelVarDroppedSignals].Get(&l.signals),
		p.collection.Variables[kernelVarDroppedProcesses].Get(&l.processes))
	return l, err
}

// missed returns how often the kernel skipped a program that reports signals or ends. It
// takes a system call for each program. Linux 7.3 was seen to skip some when hundreds of
// processes ended at once on a busy machine.
func (p *programs) missed() uint64 {
	var missed uint64
	for name, program := range p.collection.Programs {
		switch name {
		case kernelProgForked, kernelProgExecuted, kernelProgMadeCgroup:
			continue
		}
		if stats, err := program.Stats(); err == nil { // since Linux 5.12
			missed += stats.RecursionMisses
		}
	}
	return missed
}

// close removes the programs from the kernel.
func (p *programs) close() error {
	var errs []error
	for _, attached := range p.links {
		errs = append(errs, attached.Close())
	}
	p.collection.Close()
	return errors.Join(errs...)
}
