// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// call is one of the system calls that matter: those that send a signal, those by which
// the audit system is changed, and those that start a program.
type call struct {
	name string
	// signal is the index of the argument that holds the signal, or noSignal.
	signal int
	// starts is true if the call starts a program.
	starts bool
}

// noSignal marks a call that sends none.
const noSignal = -1

func knownCalls() []call {
	return []call{
		{name: "kill", signal: 1},
		{name: "tkill", signal: 1},
		{name: "tgkill", signal: 2},
		{name: "rt_sigqueueinfo", signal: 1},
		{name: "rt_tgsigqueueinfo", signal: 2},
		{name: "pidfd_send_signal", signal: 1},
		{name: "sendto", signal: noSignal},
		{name: "sendmsg", signal: noSignal},
		{name: "socketcall", signal: noSignal},
		{name: "execve", signal: noSignal, starts: true},
		{name: "execveat", signal: noSignal, starts: true},
	}
}

// callTable holds the calls of one architecture by number, less its SyscallBase.
type callTable struct {
	calls [600]*call
	// foreign is true if the architecture's calls are not known.
	foreign bool
}

// callTables holds the calls of all architectures. Finding them by name in go-libaudit's
// tables would cost two map lookups for each SYSCALL record.
type callTables struct {
	calls  []call
	tables map[uint32]*callTable
	// The architecture rarely changes from one record to the next.
	lastArch  uint32
	lastTable *callTable
	lastBase  int
}

func newCallTables() *callTables {
	return &callTables{calls: knownCalls(), tables: map[uint32]*callTable{}}
}

func (t *callTables) lookup(arch uint32, number int) *call {
	if arch == auditrecord.ArchX8664 {
		number = fromX32(number)
	}
	if arch != t.lastArch || t.lastTable == nil {
		t.lastArch, t.lastTable, t.lastBase = arch, t.table(arch), auditrecord.SyscallBase(arch)
	}
	if number -= t.lastBase; number < 0 || number >= len(t.lastTable.calls) {
		return nil
	}
	return t.lastTable.calls[number]
}

// maxArchitectures bounds the tables: Linux has some forty architectures, but a damaged log
// may name any number.
const maxArchitectures = 64

func (t *callTables) table(arch uint32) *callTable {
	if table, ok := t.tables[arch]; ok {
		return table
	}
	table := &callTable{foreign: !auditrecord.Knows(arch)}
	for number := range table.calls {
		name := auditrecord.SyscallName(arch, auditrecord.SyscallBase(arch)+number)
		for i := range t.calls {
			if t.calls[i].name == name {
				table.calls[number] = &t.calls[i]
			}
		}
	}
	if len(t.tables) < maxArchitectures {
		t.tables[arch] = table
	}
	return table
}

// fromX32 maps a number of the x32 ABI to that of x86_64
// (arch/x86/entry/syscalls/syscall_64.tbl). The kernel reports both as x86_64;
// without this, x32 would be a way to kill unseen.
func fromX32(number int) int {
	const bit = 0x40000000
	if number&bit == 0 {
		return number
	}
	switch number &^= bit; number {
	case 524:
		return 129 // rt_sigqueueinfo
	case 536:
		return 297 // rt_tgsigqueueinfo
	case 520:
		return 59 // execve
	case 545:
		return 322 // execveat
	}
	return number
}

// scopeOf returns what kind of target a call addressed, and the pid, thread id or group
// that it named, in the sender's pid namespace.
func scopeOf(c *call, s *auditrecord.Syscall) (kill.Scope, int) {
	if !s.Has(auditrecord.FieldArg0) {
		return kill.ScopeUnknown, 0
	}
	// A 64-bit kernel prints a negative pid with or without leading ones,
	// depending on how the caller passed it (man 2 kill).
	pid := int(int32(uint32(s.Args[0])))
	switch c.name {
	case "tkill", "tgkill", "rt_tgsigqueueinfo":
		return kill.ScopeThread, pid
	case "rt_sigqueueinfo":
		return kill.ScopeProcess, pid
	case "pidfd_send_signal":
		return pidfdScope(s), 0
	}
	return kill.ScopeOf(pid)
}

// pidfdScope reads the flags of pidfd_send_signal (include/uapi/linux/pidfd.h). Without
// flags the pidfd decides. It refers to a process unless it was opened with PIDFD_THREAD,
// which the record does not show.
func pidfdScope(s *auditrecord.Syscall) kill.Scope {
	const thread, processGroup = 1, 4
	switch uint32(s.Args[3]) {
	case thread:
		return kill.ScopeThread
	case processGroup:
		return kill.ScopeProcessGroup
	}
	return kill.ScopeProcess
}
