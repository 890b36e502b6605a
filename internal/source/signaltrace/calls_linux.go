// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package signaltrace

import (
	"errors"
	"fmt"
	"maps"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// callEnds is how the end of the system calls is seen that send signals. It tells of
// those that failed, and that a call to a group has struck all that it strikes.
type callEnds string

const (
	// endsOfFunctions traces the kernel's functions behind the calls. It costs nothing
	// but these calls, and needs BPF trampolines: x86, and arm64 since Linux 6.0.
	endsOfFunctions callEnds = "functions"
	// endsOfSixCalls uses the tracepoints of these calls. Every system call of the host
	// then takes the kernel's slow path, which looks whether it is one of them.
	endsOfSixCalls callEnds = "tracepoints"
	// endsOfAllCalls runs a short program at the end of every call.
	endsOfAllCalls callEnds = "all calls"
	// endsUnseen is how it is if failed calls are of no interest, and functions cannot be
	// traced: to know when a group is complete is not worth what the others cost.
	endsUnseen callEnds = "none"
)

// callFunctions are the functions behind the calls, of which those with ? need not be
// there (32-bit programs; arch/*/include/asm/syscall_wrapper.h).
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

// loadWithCallEnds loads the programs with the cheapest way to see the ends of calls
// that the kernel permits.
func loadWithCallEnds(spec *ebpf.CollectionSpec) (*ebpf.Collection, callEnds, error) {
	var includeFailed bool
	if err := spec.Variables[kernelVarIncludeFailed].Get(&includeFailed); err != nil {
		return nil, "", err
	}
	ways := []callEnds{endsOfFunctions, endsUnseen}
	if includeFailed {
		ways = []callEnds{endsOfFunctions, endsOfSixCalls, endsOfAllCalls}
	}
	var errs []error
	for _, way := range ways {
		collection, err := loadWay(spec, way)
		if err == nil {
			return collection, way, nil
		}
		errs = append(errs, err)
	}
	// The last way takes least, so what is in its way is what has to be mended.
	return nil, "", errs[len(errs)-1]
}

// loadWay loads all programs but those of other ways.
func loadWay(spec *ebpf.CollectionSpec, way callEnds) (*ebpf.Collection, error) {
	spec = spec.Copy()
	function := spec.Programs[kernelProgFunctionEnded]
	keep := map[callEnds]string{endsOfSixCalls: kernelProgCallEnded, endsOfAllCalls: kernelProgAnyCallEnded}[way]
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool {
		switch name {
		case kernelProgFunctionEnded, kernelProgCallEnded, kernelProgAnyCallEnded:
			return name != keep
		}
		return false
	})
	switch way {
	case endsOfFunctions:
		functions, err := existing(callFunctions[runtime.GOARCH])
		if err != nil {
			return nil, err
		}
		for _, name := range functions {
			program := function.Copy()
			program.AttachTo = name
			spec.Programs[name] = program
		}
	case endsOfSixCalls:
		if err := checkTracepoints(); err != nil {
			return nil, err
		}
	}
	return ebpf.NewCollection(spec)
}

// existing returns the functions that the kernel has.
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

// checkTracepoints attaches nothing, but finds out whether the tracepoints of system
// calls are within reach: that takes CONFIG_FTRACE_SYSCALLS and a mounted tracefs.
func checkTracepoints() error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.TracePoint, License: "GPL", Instructions: nothing()})
	if err != nil {
		return err
	}
	defer program.Close()
	attached, err := link.Tracepoint("syscalls", "sys_exit_kill", program, nil)
	if err != nil {
		return err
	}
	return attached.Close()
}

// attach attaches what was loaded.
func (c callEnds) attach(collection *ebpf.Collection) ([]link.Link, error) {
	var links []link.Link
	switch c {
	case endsOfFunctions:
		for name, program := range collection.Programs {
			if program.Type() != ebpf.Tracing || !isCallFunction(name) {
				continue
			}
			attached, err := link.AttachTracing(link.TracingOptions{Program: program})
			if err != nil {
				return links, fmt.Errorf("%s: %w", name, err)
			}
			links = append(links, attached)
		}
	case endsOfSixCalls:
		for _, name := range callNames[1:] {
			attached, err := link.Tracepoint("syscalls", "sys_exit_"+name, collection.Programs[kernelProgCallEnded], nil)
			if err != nil {
				return links, fmt.Errorf("%s: %w", name, err)
			}
			links = append(links, attached)
		}
	case endsOfAllCalls:
		attached, err := link.AttachTracing(link.TracingOptions{Program: collection.Programs[kernelProgAnyCallEnded]})
		if err != nil {
			return links, err
		}
		links = append(links, attached)
	}
	return links, nil
}

func isCallFunction(name string) bool { return len(name) > 2 && name[:2] == "__" }

// nothing is a program that does nothing.
func nothing() asm.Instructions { return asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()} }
