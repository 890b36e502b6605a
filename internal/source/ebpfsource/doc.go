// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package ebpfsource is the source that sees every signal as the kernel generates
// it, including those that the kernel itself sends. Its own programs at the
// kernel's tracepoints (eBPF) report them.
//
// The programs are in the folder kernel, in C. They are compiled once for all
// kernels and for all little-endian processors: what they need to know about the
// running kernel comes from its type information (BTF) when they are loaded. They
// write records into a ring buffer and wait for nothing.
//
//	kernel/   the programs, and the layout of their records
//	programs  loads and attaches them, and reports what they have lost
//	calls     chooses how the end of a system call is seen
//	connects  chooses how it is seen who turns to a manager
//	reader    reads the records from the ring
//	assembler makes events from the records
//	loops     joins what the kernel itself kills in one go
//	memory    says what victims of the OOM killer held, and which limit was reached
//	exits     knows which ends to report, and when
//	source    hands the events on
package ebpfsource

//go:generate go tool -modfile=../../../tools/go.mod bpf2go -go-package ebpfsource -target bpfel -cc clang -cflags "-O2 -g -mcpu=v2 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-parentheses -Wno-sign-compare" -type name -type identity -type group -type ancestor -type call -type party -type signal_record -type victim_record -type handled_record -type fork_record -type exec_record -type changed_record -type exit_record -type cgroup_record -type pulse_record -type request_record -type socket_name -type sum_key -type sum_party -type sum kernel kernel/signal.bpf.c
//go:generate llvm-objcopy --remove-section=.rel.BTF --remove-section=.rel.BTF.ext --wildcard --strip-symbol=LBB* kernel_bpfel.o
