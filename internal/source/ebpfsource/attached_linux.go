// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attachment is a link as it was made. The kernel lets nobody detach links to tracepoints and
// functions (kernel/bpf/syscall.c, bpf_tracing_link_lops has no detach): that takes closing our own
// file descriptors, as a debugger can.
type attachment struct {
	link.Link
	id      link.ID
	program ebpf.ProgramID
	// name is that of the program.
	name string
}

// note remembers what is attached. Links of perf events do not say (before Linux 6.6).
func (p *programs) note() {
	names := make(map[ebpf.ProgramID]string)
	for name, program := range p.collection.Programs {
		if info, err := program.Info(); err == nil {
			if id, known := info.ID(); known {
				names[id] = name
			}
		}
	}
	for _, attached := range p.links {
		if info, err := attached.Info(); err == nil {
			p.attachments = append(p.attachments, attachment{attached, info.ID, info.Program, names[info.Program]})
		}
	}
}

// detached returns the names of the programs that are not attached any more.
func (p *programs) detached() []string {
	var names []string
	for _, a := range p.attachments {
		if info, err := a.Info(); err != nil || info.ID != a.id || info.Program != a.program {
			names = append(names, a.name)
		}
	}
	return names
}

// beat asks the program that reports signals to return a number through the ring.
func (p *programs) beat(number uint32) error {
	if err := p.collection.Variables[kernelVarPulse].Set(number); err != nil {
		return err
	}
	// The Go runtime sends itself this signal all the time, to interrupt its threads, and does
	// nothing if it has not asked for it (runtime/signal_unix.go, sigPreempt).
	return unix.Tgkill(unix.Getpid(), unix.Getpid(), unix.SIGURG)
}
