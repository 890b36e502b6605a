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
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

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
	connects    connects
	waiting     *ebpf.Variable
	counted     *sums
	rounds      uint32
}

// losses counts the records that found no room in the ring, since the start. counted are signals that were counted
// instead; execs are those of the processes' records after which nothing that is known of a process is certain.
type losses struct{ signals, processes, requests, counted, execs uint64 }

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
	// sockets are the paths of managers' sockets, connects is how requests are to be seen; empty to
	// choose.
	sockets  []string
	connects connects
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
	p := &programs{}
	p.choose(w)
	spec, err := loadKernel()
	if err != nil {
		return nil, err
	}
	self, err := ownPID()
	if err != nil {
		return nil, err
	}
	p.connects.specify(spec)
	specifyMemory(spec)
	err = errors.Join(specify(spec, w, self), specifySockets(spec, w.sockets, w.ring), p.specifyAnyCall(spec))
	if err != nil {
		return nil, err
	}
	if p.collection, err = loadAll(spec); err != nil {
		return nil, err
	}
	p.waiting, p.counted = p.collection.Variables[kernelVarWaiting], newSums(p.collection)
	err = p.prepare(w)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// choose chooses how the ends of calls and requests are seen.
func (p *programs) choose(w wish) {
	p.calls, p.connects = w.calls, w.connects
	if p.calls == "" {
		p.calls = chooseCallEnds(w.includeFailed || slices.Contains(w.signals, 0))
	}
	switch {
	case len(w.sockets) == 0:
		p.connects = connectsUnseen
	case p.connects == "":
		p.connects = chooseConnects(p.calls)
	case p.connects == connectsOfCall && p.calls == endsOfAllCalls:
		p.connects = connectsOfAllCalls // or the same connect would be reported twice
	}
}

// specifyAnyCall says what the program at the end of every call is for, or removes it.
func (p *programs) specifyAnyCall(spec *ebpf.CollectionSpec) error {
	sends := p.calls == endsOfSixCalls || p.calls == endsOfAllCalls
	return errors.Join(
		spec.Variables[kernelVarAnyCallSends].Set(sends),
		spec.Variables[kernelVarAnyCallConnects].Set(p.connects.costsAll()),
		p.calls.specify(spec, p.connects.costsAll()))
}

// tickLength returns how long a tick of the kernel's clock takes, in microseconds; 0 if that is not known. The coarse clock is
// set once a tick (clock_getres(2)).
func tickLength() uint64 {
	var length unix.Timespec
	if unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &length) != nil || length.Nano() <= 0 {
		return 0
	}
	hertz := (int64(time.Second) + length.Nano()/2) / length.Nano()
	return uint64(int64(time.Second/time.Microsecond) / max(hertz, 1))
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
		kernelVarRingSize:       uint64(w.ring),
		kernelVarRoomForSignals: uint64(w.ring) * 3 / 4,
		kernelVarHugePage:       hugePage(),
		kernelVarTick:           tickLength(),
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
	return errors.Join(p.listSockets(w.sockets), p.freeze())
}

// freeze makes the maps unchangeable from user space that only the programs themselves write from now
// on: any process that may load programs could otherwise change what they filter by. The variables
// that are set only once are frozen already (ebpf.CollectionSpec, .rodata). What remains are the ring,
// and the counters and flags that the reader shares with the programs.
func (p *programs) freeze() error {
	for _, name := range []string{
		kernelMapTargets, kernelMapSenders, kernelMapExecScratch, kernelMapCgroupScratch, kernelMapVictimScratch,
		kernelMapSockets, kernelMapConnectsTold, kernelMapMessagesTold, kernelMapRequestScratch,
		kernelMapShares, kernelMapLostOfUsers,
	} {
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
	if err := p.attachMemory(); err != nil {
		return err
	}
	if err := p.attachCallEnds(); err != nil {
		return err
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

// wake sets what wakes the reader.
func (p *programs) wake(by alarm) error { return p.waiting.Set(uint32(by)) }

// losses returns what has been lost since the start.
func (p *programs) losses() (losses, error) {
	var l losses
	err := errors.Join(
		p.collection.Variables[kernelVarDroppedSignals].Get(&l.signals),
		p.collection.Variables[kernelVarDroppedProcesses].Get(&l.processes),
		p.collection.Variables[kernelVarDroppedExecs].Get(&l.execs),
		p.collection.Variables[kernelVarDroppedRequests].Get(&l.requests),
		p.collection.Variables[kernelVarSummedSignals].Get(&l.counted))
	return l, err
}

// lostOf returns how many signals of each user have been lost since the start; of the first users only, if there are many.
func (p *programs) lostOf() map[uint32]uint64 {
	lost := map[uint32]uint64{}
	users := p.collection.Maps[kernelMapLostOfUsers]
	if users == nil { // in tests
		return lost
	}
	var user uint32
	var signals uint64
	for all := users.Iterate(); all.Next(&user, &signals); {
		lost[user] = signals
	}
	return lost
}

// emptied says that the ring was emptied once more, so that each user has a new share of it, unless the pipeline is far
// behind.
func (p *programs) emptied(pressed bool) error {
	var far uint32
	if pressed {
		far = 1
	} else {
		p.rounds++
	}
	return errors.Join(
		p.collection.Variables[kernelVarPressed].Set(far), p.collection.Variables[kernelVarRounds].Set(p.rounds))
}

// sums passes on the signals that were counted until now.
func (p *programs) sums(now time.Duration, add func(*kernelSumKey, *kernelSum)) (bool, error) {
	return p.counted.take(now, add)
}

// counts reports whether signals are counted even while the ring has room, or were, and have not been passed on.
func (p *programs) counts() bool { return p.counted.counts() }

// skipped is how often the kernel has skipped programs since they were loaded.
type skipped struct {
	// reports is of those that report signals and ends, processes of those that report what became of processes.
	reports, processes uint64
}

// skipped asks the kernel how often it skipped programs. It takes a system call for each program. Linux 7.3 was seen to skip some when
// hundreds of processes ended at once on a busy machine.
func (p *programs) skipped() skipped {
	var of skipped
	for name, program := range p.collection.Programs {
		stats, err := program.Stats() // since Linux 5.12
		if err != nil {
			continue
		}
		switch name {
		case kernelProgStreamConnected, kernelProgConnectEnded, kernelProgStreamSent:
		case kernelProgForked, kernelProgExecuted, kernelProgMadeCgroup:
			of.processes += stats.RecursionMisses
		default:
			of.reports += stats.RecursionMisses
		}
	}
	return of
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
