// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package diagnosis

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/source/ebpfsource"
)

// tryBPF loads a program of the kind that traces signals. It uses the newest kernel feature that
// the programs of ebpfsource need (bpf_task_pt_regs, Linux 5.15), and one that a locked down
// kernel refuses. It is never attached, and unloaded at once. Loading the programs themselves
// would take a quarter of a second.
func tryBPF() error {
	if err := rlimit.RemoveMemlock(); err != nil { // changes only this process, and only before Linux 5.11
		return err
	}
	ring, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(unix.Getpagesize())})
	if err != nil {
		return err
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "signal_generate", License: "GPL",
		Instructions: asm.Instructions{
			asm.FnGetCurrentTaskBtf.Call(),
			asm.Mov.Reg(asm.R1, asm.R0),
			asm.FnTaskPtRegs.Call(),
			asm.Mov.Reg(asm.R3, asm.R0),
			asm.Mov.Imm(asm.R2, 8),
			asm.Mov.Reg(asm.R1, asm.RFP),
			asm.Add.Imm(asm.R1, -8),
			asm.FnProbeReadKernel.Call(),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		},
	})
	if err != nil {
		return errors.Join(err, ring.Close())
	}
	return errors.Join(program.Close(), ring.Close())
}

// tryMemory traces, for a moment, the function that knows which limit was reached by what the kernel kills.
func tryMemory() error { return ebpfsource.CheckMemory() }

// explainBPF returns what an error of tryBPF means.
func explainBPF(err error) BPF {
	b := BPF{Possible: err == nil}
	if err == nil {
		return b
	}
	b.Error = err.Error()
	var verifier *ebpf.VerifierError
	switch {
	case errors.As(err, &verifier) || errors.Is(err, ebpf.ErrNotSupported):
		b.Problem = BPFTooOld
		if verifier != nil && errors.Is(verifier.Cause, unix.EPERM) {
			b.Problem = BPFRefused
		}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		b.Problem = BPFRefused
	case errors.Is(err, unix.ENOSYS):
		b.Problem = BPFAbsent
	default:
		b.Problem = BPFOther
	}
	return b
}
