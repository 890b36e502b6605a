// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// Which system call a task is in, and with which arguments.

#pragma once

#include "record.h"

#define PF_EXITING 0x00000004   // include/linux/sched.h
#define PF_KTHREAD 0x00200000   // include/linux/sched.h
#define TS_COMPAT 0x0002        // arch/x86/include/asm/thread_info.h
#define TIF_32BIT 22            // arch/arm64/include/asm/thread_info.h
#define X32_SYSCALL_BIT 0x40000000
#define PIDFD_SIGNAL_PROCESS_GROUP 4 // include/uapi/linux/pidfd.h

enum syscall {
	NONE = 0,
	KILL = 1,
	TKILL = 2,
	TGKILL = 3,
	RT_SIGQUEUEINFO = 4,
	RT_TGSIGQUEUEINFO = 5,
	PIDFD_SEND_SIGNAL = 6,
	CONNECTS = 7,        // connect(2), which sends none
	CONNECTS_AMONG = 8,  // socketcall(2) of 32-bit programs, which may be connect(2)
};

struct arguments {
	u64 a0, a1, a2, a3;
};

// arch/x86/entry/syscalls/syscall_64.tbl. The kernel calls by the lower half of the register: with something in the upper
// half, any user could send signals unseen.
static __always_inline u32 x86_64_call(u32 number)
{
	switch (number & ~X32_SYSCALL_BIT) {
	case 62: return KILL;
	case 200: return TKILL;
	case 234: return TGKILL;
	case 129: case 524: return RT_SIGQUEUEINFO;
	case 297: case 536: return RT_TGSIGQUEUEINFO;
	case 424: return PIDFD_SEND_SIGNAL;
	case 42: return CONNECTS;
	}
	return NONE;
}

// arch/x86/entry/syscalls/syscall_32.tbl
static __always_inline u32 i386_call(u32 number)
{
	switch (number) {
	case 37: return KILL;
	case 238: return TKILL;
	case 270: return TGKILL;
	case 178: return RT_SIGQUEUEINFO;
	case 335: return RT_TGSIGQUEUEINFO;
	case 424: return PIDFD_SEND_SIGNAL;
	case 362: return CONNECTS;
	case 102: return CONNECTS_AMONG;
	}
	return NONE;
}

// include/uapi/asm-generic/unistd.h
static __always_inline u32 arm64_call(u32 number)
{
	switch (number) {
	case 129: return KILL;
	case 130: return TKILL;
	case 131: return TGKILL;
	case 138: return RT_SIGQUEUEINFO;
	case 240: return RT_TGSIGQUEUEINFO;
	case 424: return PIDFD_SEND_SIGNAL;
	case 203: return CONNECTS;
	}
	return NONE;
}

// arch/arm64/tools/syscall_32.tbl
static __always_inline u32 arm_call(u32 number)
{
	switch (number) {
	case 37: return KILL;
	case 238: return TKILL;
	case 268: return TGKILL;
	case 178: return RT_SIGQUEUEINFO;
	case 363: return RT_TGSIGQUEUEINFO;
	case 424: return PIDFD_SEND_SIGNAL;
	case 283: return CONNECTS;
	}
	return NONE;
}

static __always_inline u32 registers(struct task_struct *task, struct arguments *a)
{
	void *any = (void *)bpf_task_pt_regs(task);

	if (bpf_core_field_exists(((struct pt_regs___arm64 *)0)->syscallno)) {
		struct pt_regs___arm64 *regs = any;
		a->a0 = regs->orig_x0;
		a->a1 = regs->regs[1];
		a->a2 = regs->regs[2];
		a->a3 = regs->regs[3];
		if (task->thread_info.flags >> TIF_32BIT & 1)
			return arm_call(regs->syscallno);
		return arm64_call(regs->syscallno);
	}

	struct pt_regs___x86 *regs = any;
	struct task_struct___x86 *x86 = (void *)task;
	if (x86->thread_info.status & TS_COMPAT) {
		a->a0 = regs->bx;
		a->a1 = regs->cx;
		a->a2 = regs->dx;
		a->a3 = regs->si;
		return i386_call(regs->orig_ax);
	}
	a->a0 = regs->di;
	a->a1 = regs->si;
	a->a2 = regs->dx;
	a->a3 = regs->r10;
	return x86_64_call(regs->orig_ax);
}

// current_call describes the call by which the running task sends a signal; 0 if there is none. In a fault or an interrupt
// the registers hold something else, and after a call they still hold its arguments: callers must check that they fit.
// What a task that exits sends, no call does.
FUNCTION int current_call(struct call *call)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct arguments a;

	if (!call || task->flags & (PF_KTHREAD | PF_EXITING))
		return false;
	call->number = registers(task, &a);
	if (call->number == NONE || call->number >= CONNECTS)
		return false;
	call->number |= nothing;
	call->pid = a.a0;
	call->signal = a.a1;
	call->flags = 0;
	if (call->number == TGKILL || call->number == RT_TGSIGQUEUEINFO)
		call->signal = a.a2;
	if (call->number == PIDFD_SEND_SIGNAL)
		call->flags = a.a3;
	return true;
}

// connecting reports whether the running task is in connect(2), and with which file descriptor.
FUNCTION int connecting(s32 *fd)
{
	const u64 connect = 3; // include/uapi/linux/net.h, SYS_CONNECT
	struct task_struct *task = bpf_get_current_task_btf();
	struct arguments a;
	u32 number;

	if (!fd || task->flags & PF_KTHREAD)
		return false;
	number = registers(task, &a);
	*fd = a.a0;
	if (number == CONNECTS)
		return true;
	return number == CONNECTS_AMONG && a.a0 == connect && !bpf_probe_read_user(fd, sizeof(*fd), (void *)a.a1);
}

// for_many reports whether a call may signal more than one process.
static __always_inline bool for_many(struct call *call)
{
	return call->number == KILL && call->pid <= 0 ||
	       call->number == PIDFD_SEND_SIGNAL && call->flags == PIDFD_SIGNAL_PROCESS_GROUP;
}
