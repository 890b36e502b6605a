// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package ebpfsource is the source that sees every signal as the kernel
// generates it, also those that the kernel sends by itself, by programs of ours at
// its tracepoints (eBPF).
//
// The programs are in the folder kernel, in C. They are compiled once for all
// kernels and for all processors that are little-endian: what they need to know of
// the running kernel is taken from its type information (BTF) when they are loaded.
// They write records into a ring buffer and wait for nothing.
//
//	kernel/   the programs, and what their records look like
//	programs  loads them, attaches them, tells what they have lost
//	calls     chooses how the end of a system call is seen
//	reader    takes the records out of the ring
//	assembler makes events of the records
//	loops     puts together what the kernel itself kills in one go
//	exits     knows whose end is told, and when
//	source    hands the events on
package ebpfsource

//go:generate go tool -modfile=../../../tools/go.mod bpf2go -go-package ebpfsource -target bpfel -cc clang -cflags "-O2 -g -mcpu=v2 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-parentheses -Wno-sign-compare" -type name -type identity -type group -type ancestor -type call -type party -type signal_record -type victim_record -type fork_record -type exec_record -type exit_record -type cgroup_record kernel kernel/signal.bpf.c
