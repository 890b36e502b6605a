// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
)

// connects is how it is seen that a process has connected to a manager's socket.
type connects string

const (
	// connectsOfFunction traces the kernel's function. It costs only connects to Unix sockets
	// anything.
	connectsOfFunction connects = "functions"
	// connectsOfCall uses the tracepoint of connect(2), which costs every system call as much as
	// endsOfSixCalls does, and does not see 32-bit programs either.
	connectsOfCall connects = "tracepoints"
	// connectsOfAllCalls runs a short program at the end of every call. It is the same program as that
	// of endsOfAllCalls.
	connectsOfAllCalls connects = "all calls"
	// connectsUnseen sees none.
	connectsUnseen connects = "none"
)

// The functions that are traced. The second shows what is asked for; without it only who has connected is known.
const (
	connectFunction = "unix_stream_connect"
	sendFunction    = "unix_stream_sendmsg"
)

// chooseConnects returns the cheapest way that the kernel permits.
func chooseConnects(calls callEnds) connects {
	if connectsOfFunction.check() == nil {
		return connectsOfFunction
	}
	// Where a program runs at the end of every call anyway, nothing costs less.
	if calls != endsOfAllCalls && connectsOfCall.check() == nil {
		return connectsOfCall
	}
	return connectsOfAllCalls
}

// checkFunction traces a function with a program that does nothing.
func checkFunction(name string, how ebpf.AttachType) error {
	return tryOut(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: how, AttachTo: name, License: "GPL", Instructions: nothing(),
	}, func(program *ebpf.Program) (link.Link, error) {
		return link.AttachTracing(link.TracingOptions{Program: program})
	})
}

// check attaches a program that does nothing, and detaches it again.
func (c connects) check() error {
	switch c {
	case connectsOfFunction:
		return checkFunction(connectFunction, ebpf.AttachTraceFExit)
	case connectsOfAllCalls:
		return nil
	}
	return tryOut(&ebpf.ProgramSpec{Type: ebpf.TracePoint, License: "GPL", Instructions: nothing()}, c.attachCall)
}

// tryOut attaches a program and detaches it again.
func tryOut(spec *ebpf.ProgramSpec, attach func(*ebpf.Program) (link.Link, error)) error {
	program, err := ebpf.NewProgram(spec)
	if err != nil {
		return err
	}
	defer program.Close()
	attached, err := attach(program)
	if err != nil {
		return err
	}
	return attached.Close()
}

func (connects) attachCall(program *ebpf.Program) (link.Link, error) {
	return link.Tracepoint("syscalls", "sys_exit_connect", program, nil)
}

// specify keeps only those of the programs that this way needs. It is called before that of
// callEnds, which removes the program at the end of every call unless one of the two needs it.
func (c connects) specify(spec *ebpf.CollectionSpec) {
	if c != connectsOfFunction {
		delete(spec.Programs, kernelProgStreamConnected)
	}
	if c != connectsOfCall {
		delete(spec.Programs, kernelProgConnectEnded)
	}
	if c == connectsUnseen || checkFunction(sendFunction, ebpf.AttachTraceFEntry) != nil {
		delete(spec.Programs, kernelProgStreamSent)
	}
}

// costsAll reports whether this way costs every system call something. It is, or may have to be replaced
// by, the program at the end of every call.
func (c connects) costsAll() bool { return c == connectsOfCall || c == connectsOfAllCalls }

// attachCallEnds attaches what sees the ends of calls, and what reports requests.
func (p *programs) attachCallEnds() error {
	ends, err := p.calls.attach(p.collection)
	if err == nil && p.connects == connectsOfCall {
		var attached link.Link
		if attached, err = p.connects.attachCall(p.collection.Programs[kernelProgConnectEnded]); err == nil {
			ends = append(ends, attached)
		}
	}
	if err != nil {
		ends, err = p.withoutTracepoints(ends, err)
	}
	p.links = append(p.links, ends...)
	if err != nil {
		return fmt.Errorf("attaching to the ends of system calls: %w", err)
	}
	var others []string
	if p.calls == endsOfAllCalls || p.connects == connectsOfAllCalls {
		others = append(others, kernelProgAnyCallEnded)
	}
	for _, name := range []string{kernelProgStreamConnected, kernelProgStreamSent} {
		if p.collection.Programs[name] != nil {
			others = append(others, name)
		}
	}
	return p.attach(others...)
}

// withoutTracepoints replaces the tracepoints of single calls, as tracefs is gone, by the program at the
// end of every call. It returns those ends that remain attached.
func (p *programs) withoutTracepoints(ends []link.Link, err error) ([]link.Link, error) {
	if p.calls != endsOfSixCalls && p.connects != connectsOfCall {
		return ends, err
	}
	if p.connects == connectsOfCall {
		p.connects = connectsOfAllCalls
	}
	if p.calls != endsOfSixCalls {
		return ends, nil
	}
	p.calls = endsOfAllCalls
	for _, end := range ends {
		_ = end.Close() // or the same end would be reported twice
	}
	return nil, nil
}

// socketName returns a path as the kernel looks it up.
func socketName(path string) kernelSocketName {
	var name kernelSocketName
	before, after, numbered := strings.Cut(path, "*")
	copy(name.Path[:], before+after)
	if numbered {
		name.Any = 1
	}
	return name
}

// longestNumber is how many digits the number may have that a * stands for (kernel/request.h, DIGITS).
const longestNumber = 10

// socketLengths returns the lengths that the paths of sockets may have, as the kernel compares them.
func socketLengths(paths []string) (set [2]uint64) {
	for _, path := range paths {
		shortest, longest := len(path), len(path)
		if strings.Contains(path, "*") {
			longest += longestNumber - 1
		}
		for n := shortest; n <= min(longest, len(kernelSocketName{}.Path)-1); n++ {
			set[n/64] |= 1 << (n % 64)
		}
	}
	return set
}

// socketBeginnings returns what the paths of sockets may begin with, as the kernel compares it
// (kernel/request.h, may_begin).
func socketBeginnings(paths []string) (set [2]uint64) {
	const wordsCompared, userFolder = 16, "/run/user/"
	for _, path := range paths {
		name := socketName(path)
		if before, numbered := strings.CutSuffix(path, "*"); numbered && len(before) < wordsCompared && before != userFolder {
			return [2]uint64{^uint64(0), ^uint64(0)} // the number may be a part of it
		}
		second := binary.LittleEndian.Uint64(name.Path[8:])
		if strings.HasPrefix(path, "/run/use") {
			second &= 0xffff
		}
		addHash(&set, second)
	}
	return set
}

// socketEnds returns what the paths of sockets may end with, as the kernel compares it (kernel/request.h, may_end), and
// whether one may end in a digit.
func socketEnds(paths []string) (set [2]uint64, inDigit bool) {
	for _, path := range paths {
		_, fixed, numbered := strings.Cut(path, "*")
		if !numbered {
			fixed = path
		}
		switch last := path[len(path)-1]; {
		case last == '*' || '0' <= last && last <= '9':
			inDigit = true
		case len(fixed) < 4: // the number may be a part of it
			set = [2]uint64{^uint64(0), ^uint64(0)}
		case strings.HasPrefix(path, "/run/use"):
			addHash(&set, uint64(binary.LittleEndian.Uint32([]byte(fixed[len(fixed)-4:]))))
		case len(fixed) >= 8:
			addHash(&set, binary.LittleEndian.Uint64([]byte(fixed[len(fixed)-8:])))
		} // the ends of shorter ones are not compared
	}
	return set, inDigit
}

// addHash adds a word to a set (kernel/request.h, in_set).
func addHash(set *[2]uint64, word uint64) {
	const factor = 0x9e3779b97f4a7c15
	bit := word * factor >> 57
	set[bit/64] |= 1 << (bit % 64)
}

// specifySockets sets what is known about the listed sockets before loading.
func specifySockets(spec *ebpf.CollectionSpec, paths []string, ring int) error {
	for _, path := range paths {
		if err := attribution.CheckSocket(path); err != nil {
			return fmt.Errorf("the socket %q %w", path, err)
		}
	}
	spec.Maps[kernelMapSockets].MaxEntries = uint32(max(1, len(paths)))
	lengths, beginnings := socketLengths(paths), socketBeginnings(paths)
	ends, inDigit := socketEnds(paths)
	for name, value := range map[string]any{
		kernelVarSocketLengths: lengths[0], kernelVarSocketLengths64: lengths[1],
		kernelVarSocketBeginnings: beginnings[0], kernelVarSocketBeginnings64: beginnings[1],
		kernelVarSocketEnds: ends[0], kernelVarSocketEnds64: ends[1], kernelVarSocketEndsInDigit: inDigit,
		kernelVarRoomForRequests: uint64(ring) / 2,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return nil
}

// listSockets tells the kernel which sockets are listed.
func (p *programs) listSockets(paths []string) error {
	for i, path := range slices.Compact(slices.Sorted(slices.Values(paths))) {
		if err := p.collection.Maps[kernelMapSockets].Put(socketName(path), uint32(i)); err != nil {
			return fmt.Errorf("listing the socket %q: %w", path, err)
		}
	}
	return nil
}
