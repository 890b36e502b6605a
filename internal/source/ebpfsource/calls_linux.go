// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// callEnds is how the ends of the system calls that send signals are seen. They show which
// calls failed, and that a call to a group has signaled all its targets.
type callEnds string

const (
	// endsOfFunctions traces the kernel's functions behind the calls. It costs only these
	// calls anything, and requires BPF trampolines: x86, and arm64 since Linux 6.4.
	endsOfFunctions callEnds = "functions"
	// endsOfSixCalls uses the tracepoints of these calls. Every system call of the host
	// then takes the kernel's slow path, which checks whether it is one of them. Calls of
	// 32-bit programs are not seen (kernel/trace/trace_syscalls.c, trace_get_syscall_nr).
	endsOfSixCalls callEnds = "tracepoints"
	// endsOfAllCalls runs a short program at the end of every call.
	endsOfAllCalls callEnds = "all calls"
	// endsUnseen sees no ends. It is chosen if failed calls and signal 0 are of no interest
	// and functions cannot be traced: knowing when a group is complete is not worth the
	// cost of the other ways.
	endsUnseen callEnds = "none"
)

// callFunctions are the functions behind the calls. Those with a ? may be missing (32-bit
// programs; arch/*/include/asm/syscall_wrapper.h).
var callFunctions = map[string][]string{
	"amd64": {
		"__x64_sys_kill", "__x64_sys_tkill", "__x64_sys_tgkill", "__x64_sys_rt_sigqueueinfo",
		"__x64_sys_rt_tgsigqueueinfo", "__x64_sys_pidfd_send_signal",
		"?__ia32_sys_kill", "?__ia32_sys_tkill", "?__ia32_sys_tgkill", "?__ia32_compat_sys_rt_sigqueueinfo",
		"?__ia32_compat_sys_rt_tgsigqueueinfo", "?__ia32_sys_pidfd_send_signal",
		"?__x64_compat_sys_rt_sigqueueinfo", "?__x64_compat_sys_rt_tgsigqueueinfo",
	},
	"arm64": {
		"__arm64_sys_kill", "__arm64_sys_tkill", "__arm64_sys_tgkill", "__arm64_sys_rt_sigqueueinfo",
		"__arm64_sys_rt_tgsigqueueinfo", "__arm64_sys_pidfd_send_signal",
		"?__arm64_compat_sys_rt_sigqueueinfo", "?__arm64_compat_sys_rt_tgsigqueueinfo",
	},
}

// chooseCallEnds returns the cheapest way that the kernel permits. Unless the ends matter
// for more than completing groups, that may be none.
func chooseCallEnds(matter bool) callEnds {
	ways := []callEnds{endsOfFunctions}
	if matter {
		ways = append(ways, endsOfSixCalls, endsOfAllCalls)
	}
	for _, way := range ways {
		if way.check() == nil {
			return way
		}
	}
	return endsUnseen
}

// check attaches a program that does nothing, and detaches it again: a function or
// tracepoint may exist in the kernel and still not be usable.
func (c callEnds) check() error {
	spec := &ebpf.ProgramSpec{License: "GPL", Instructions: nothing()}
	switch c {
	case endsOfFunctions:
		functions, err := existing(callFunctions[runtime.GOARCH])
		if err != nil {
			return err
		}
		spec.Type, spec.AttachType, spec.AttachTo = ebpf.Tracing, ebpf.AttachTraceFExit, functions[0]
	case endsOfSixCalls:
		spec.Type = ebpf.TracePoint
	default:
		return nil
	}
	return tryOut(spec, func(program *ebpf.Program) (link.Link, error) {
		return c.attachOne(program, callNames[callKill])
	})
}

// attachOne attaches a program to the end of one call.
func (c callEnds) attachOne(program *ebpf.Program, call string) (link.Link, error) {
	if c == endsOfSixCalls { // requires CONFIG_FTRACE_SYSCALLS and a mounted tracefs
		return link.Tracepoint("syscalls", "sys_exit_"+call, program, nil)
	}
	return link.AttachTracing(link.TracingOptions{Program: program})
}

// specify keeps only those of the programs for the ends of calls that this way needs, one
// for each function. shared is true if the program at the end of every call is needed anyway.
func (c callEnds) specify(spec *ebpf.CollectionSpec, shared bool) error {
	function := spec.Programs[kernelProgFunctionEnded]
	keep := map[callEnds]string{endsOfSixCalls: kernelProgCallEnded, endsOfAllCalls: kernelProgAnyCallEnded}[c]
	for _, name := range []string{kernelProgFunctionEnded, kernelProgCallEnded, kernelProgAnyCallEnded} {
		// The tracepoints may be gone by the time of attaching, if tracefs is unmounted.
		spare := (shared || c == endsOfSixCalls) && name == kernelProgAnyCallEnded
		if name != keep && !spare {
			delete(spec.Programs, name)
		}
	}
	if c != endsOfFunctions {
		return nil
	}
	functions, err := existing(callFunctions[runtime.GOARCH])
	if err != nil {
		return err
	}
	for _, name := range functions {
		spec.Programs[name] = function.Copy()
		spec.Programs[name].AttachTo = name
	}
	return nil
}

// existing returns those of the functions that the kernel has.
func existing(functions []string) ([]string, error) {
	if len(functions) == 0 {
		return nil, fmt.Errorf("the names of system calls on %s are not known: %w", runtime.GOARCH, errors.ErrUnsupported)
	}
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, err
	}
	var there []string
	for _, name := range functions {
		optional := name[0] == '?'
		if optional {
			name = name[1:]
		}
		var function *btf.Func
		err := types.TypeByName(name, &function)
		switch {
		case err == nil:
			there = append(there, name)
		case !optional:
			return nil, fmt.Errorf("the kernel has no function %s: %w", name, err)
		}
	}
	return there, nil
}

// attach attaches what was loaded, except the program at the end of every call. It returns what it has attached even if it fails.
func (c callEnds) attach(collection *ebpf.Collection) ([]link.Link, error) {
	programs := map[string]*ebpf.Program{} // by the call, or by the function behind it
	switch c {
	case endsOfFunctions:
		for name, program := range collection.Programs {
			if strings.HasPrefix(name, "__") {
				programs[name] = program
			}
		}
	case endsOfSixCalls:
		for _, name := range callNames[callKill:] {
			programs[name] = collection.Programs[kernelProgCallEnded]
		}
	}
	var links []link.Link
	for name, program := range programs {
		attached, err := c.attachOne(program, name)
		if err != nil {
			return links, fmt.Errorf("%s: %w", name, err)
		}
		links = append(links, attached)
	}
	return links, nil
}

// nothing is a program that does nothing.
func nothing() asm.Instructions { return asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()} }
