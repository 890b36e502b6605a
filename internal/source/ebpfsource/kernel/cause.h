// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// Why the kernel sends a signal on its own account. What sends it leaves no trace in the signal: with SEND_SIG_PRIV and
// SEND_SIG_NOINFO there is no siginfo. But the state of the two tasks shows it, and no user can make it up.

#pragma once

#include "call.h"
#include "task.h"

#define NSEC_PER_SEC 1000000000
#define RLIMIT_CPU 0 // include/uapi/asm-generic/resource.h
#define RLIMIT_FSIZE 1
#define RLIMIT_RTTIME 15
#define RLIM_INFINITY (~0ULL)
#define SCHED_FIFO 1 // include/uapi/linux/sched.h
#define SCHED_RR 2

const volatile u64 tick = 0; // of the kernel's clock, in us

// reached_cpu_limit reports whether the process has used up its CPU time (kernel/time/posix-cpu-timers.c,
// check_process_timers). The kernel raises the soft limit by a second after each SIGXCPU.
static __always_inline bool reached_cpu_limit(struct signal_record *r, struct task_struct *task, bool hard)
{
	struct signal_struct *signal = task->signal;
	u64 limit = hard ? signal->rlim[RLIMIT_CPU].rlim_max : signal->rlim[RLIMIT_CPU].rlim_cur;
	u64 used = signal->cputimer.cputime_atomic.utime.counter + signal->cputimer.cputime_atomic.stime.counter;

	r->number = limit;
	return limit != RLIM_INFINITY && used / NSEC_PER_SEC >= limit;
}

// reached_realtime_limit reports whether a thread with a realtime policy has run for too long without a pause
// (kernel/time/posix-cpu-timers.c, check_thread_timers). The kernel counts ticks.
static __always_inline bool reached_realtime_limit(struct signal_record *r, struct task_struct *current, bool hard)
{
	struct rlimit *limits = &current->signal->rlim[RLIMIT_RTTIME];
	u64 limit = hard ? limits->rlim_max : limits->rlim_cur;

	r->number = limit;
	return (current->policy == SCHED_FIFO || current->policy == SCHED_RR) && limits->rlim_cur != RLIM_INFINITY &&
	       limit != RLIM_INFINITY && current->rt.timeout * tick >= limit;
}

// exceeds_file_size reports whether the process has a limit to the size of files (fs/attr.c, inode_newsize_ok).
static __always_inline bool exceeds_file_size(struct signal_record *r, struct task_struct *task)
{
	r->number = task->signal->rlim[RLIMIT_FSIZE].rlim_cur;
	return r->number != RLIM_INFINITY;
}

static __always_inline void name_terminal(struct signal_record *r, struct tty_struct *tty)
{
	if (bpf_probe_read_kernel_str(r->terminal, sizeof(r->terminal), &tty->name) <= 0)
		r->terminal[0] = 0;
}

// in_foreground returns the terminal of a process, if its group is the one in the foreground; else NULL.
static __always_inline struct tty_struct *in_foreground(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct tty_struct *tty = signal->tty;

	return tty && tty->ctrl.pgrp == signal->pids[PIDTYPE_PGID] ? tty : NULL;
}

// pressed_key reports whether the terminal's line discipline took something for a key (drivers/tty/n_tty.c, isig). It
// does so in a kernel thread.
static __always_inline bool pressed_key(struct signal_record *r, struct task_struct *current, struct task_struct *task)
{
	struct tty_struct *tty = in_foreground(task);

	if (!tty || !(current->flags & PF_KTHREAD))
		return false;
	name_terminal(r, tty);
	return true;
}

#define S_IFMT 0170000 // include/uapi/linux/stat.h
#define S_IFCHR 0020000

// terminal_at returns the terminal that a task has open under a number; NULL if it has none.
static __always_inline struct tty_struct *terminal_at(struct task_struct *task, s32 fd)
{
	struct file *file = file_of(task, fd);
	struct tty_file_private *private;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFCHR)
		return NULL;
	private = BPF_CORE_READ(file, private_data);
	if (BPF_CORE_READ(private, file) != file) // a device that is no terminal
		return NULL;
	return BPF_CORE_READ(private, tty);
}

#define TTY_OTHER_CLOSED 2 // include/linux/tty.h

// has_hung_up reports whether a process loses its terminal, which it has open as standard input, output or error output.
// The kernel has taken it from the processes of the session already, but not yet the session from the terminal
// (drivers/tty/tty_jobctrl.c, tty_signal_session_leader). Of a pseudoterminal that has hung up, it tells the programs in
// the foreground only once the leader of the session ends.
static __always_inline bool has_hung_up(struct signal_record *r, struct task_struct *task, bool leader_ends)
{
	struct signal_struct *signal = task->signal;
	struct pid *session = signal->pids[PIDTYPE_SID];
	bool leader = signal->leader;

	for (s32 fd = 0; fd < 3; fd++) {
		struct tty_struct *tty = terminal_at(task, fd);

		if (!tty)
			continue;
		if ((leader || leader_ends) && BPF_CORE_READ(tty, ctrl.session) == session ||
		    leader_ends && BPF_CORE_READ(tty, flags) >> TTY_OTHER_CLOSED & 1) {
			name_terminal(r, tty);
			return true;
		}
	}
	return false;
}

// hung_up reports whether the terminal of a process has hung up, or the leader of its session ends.
static __always_inline bool hung_up(struct signal_record *r, struct task_struct *current, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	bool leader_ends = current->flags & PF_EXITING && current->signal->leader &&
			   current->signal->pids[PIDTYPE_SID] == signal->pids[PIDTYPE_SID];
	struct tty_struct *tty = signal->tty;

	if (!tty)
		return has_hung_up(r, task, leader_ends);
	// drivers/tty/tty_jobctrl.c, disassociate_ctty
	if (!leader_ends || current->signal->tty != tty || !in_foreground(task))
		return false;
	name_terminal(r, tty);
	return true;
}

#define CGROUP2_SUPER_MAGIC 0x63677270 // include/uapi/linux/magic.h

// kills_cgroup reports whether the task writes to a cgroup.kill, whatever the call (kernel/cgroup/cgroup.c,
// __cgroup_kill).
static __always_inline bool kills_cgroup(struct signal_record *r, struct task_struct *current)
{
	union {
		char text[16];
		u64 words[2];
	} name = {}, wanted = {.text = "cgroup.kill"};
	struct kernfs_node *group;
	struct arguments a;
	struct dentry *dentry;
	struct file *file;

	registers(current, &a);
	file = file_of(current, a.a0);
	dentry = BPF_CORE_READ(file, f_path.dentry);
	if (BPF_CORE_READ(dentry, d_sb, s_magic) != CGROUP2_SUPER_MAGIC)
		return false;
	bpf_probe_read_kernel_str(name.text, sizeof(name.text), BPF_CORE_READ(dentry, d_name.name));
	if (name.words[0] != wanted.words[0] || name.words[1] != wanted.words[1])
		return false;
	group = BPF_CORE_READ(dentry, d_parent, d_inode, i_private);
	r->killed = BPF_CORE_READ(group, id);
	return true;
}

static __always_inline void number_at(struct upid *to, struct pid *pid, u32 level)
{
	bpf_probe_read_kernel(&to->nr, sizeof(to->nr), (void *)pid + bpf_core_field_offset(struct pid, numbers) +
		level * bpf_core_type_size(struct upid) + bpf_core_field_offset(struct upid, nr));
	bpf_probe_read_kernel(&to->ns, sizeof(to->ns), (void *)pid + bpf_core_field_offset(struct pid, numbers) +
		level * bpf_core_type_size(struct upid) + bpf_core_field_offset(struct upid, ns));
}

// ends_namespace reports whether the task is the init of a pid namespace that another task belongs to
// (kernel/pid_namespace.c, zap_pid_ns_processes).
static __always_inline bool ends_namespace(struct task_struct *current, struct task_struct *task)
{
	struct pid *init = current->group_leader->thread_pid, *pid = task->thread_pid;
	struct upid of_init = {}, of_task = {};
	u32 level = init->level;

	if (level == 0 || pid->level < level)
		return false;
	number_at(&of_init, init, level);
	number_at(&of_task, pid, level);
	return of_init.nr == 1 && of_init.ns == of_task.ns;
}

#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGKILL 9
#define SIGCONT 18
#define SIGTSTP 20
#define SIGXCPU 24
#define SIGXFSZ 25

// private_cause is the cause of a signal with SEND_SIG_PRIV.
static __always_inline u32 private_cause(struct signal_record *r, struct task_struct *current, struct task_struct *task)
{
	bool own = current->tgid == task->tgid;
	bool ends = current->flags & PF_EXITING;

	switch (r->signal) {
	case SIGINT: case SIGQUIT: case SIGTSTP:
		return pressed_key(r, current, task) ? TERMINAL_KEY : NO_CAUSE;
	case SIGHUP: case SIGCONT:
		return hung_up(r, current, task) ? TERMINAL_HANGUP : NO_CAUSE;
	case SIGXCPU: case SIGKILL:
		if (own && reached_cpu_limit(r, task, r->signal == SIGKILL))
			return CPU_LIMIT;
		if (own)
			return r->group && reached_realtime_limit(r, current, r->signal == SIGKILL) ? REALTIME_LIMIT : NO_CAUSE;
		// A tracer that ends kills what it traces (PTRACE_O_EXITKILL), but one thread each.
		return r->signal == SIGKILL && ends && r->group && ends_namespace(current, task) ? PID_NAMESPACE_END : NO_CAUSE;
	}
	return NO_CAUSE;
}

// add_cause adds why the kernel sends a signal that has no siginfo, if that is certain.
static __always_inline void add_cause(struct signal_record *r, struct task_struct *current, struct task_struct *task)
{
	bool ends = current->flags & PF_EXITING;

	if (r->special == 1) {
		r->cause = private_cause(r, current, task);
	} else if (ends) { // kernel/exit.c, forget_original_parent
		if (!r->group || task->pdeath_signal != r->signal)
			return;
		r->cause = PARENT_DEATH;
		if (current->signal->live.counter && !(current->signal->flags & SIGNAL_GROUP_EXIT))
			r->parent_status = -1;
		else
			r->parent_status = status_of(current->group_leader);
	} else if (r->signal == SIGXFSZ) {
		if (current == task && exceeds_file_size(r, task))
			r->cause = FILE_SIZE_LIMIT;
	} else if (r->signal == SIGKILL && !r->group && !r->kernel_thread) {
		if (kills_cgroup(r, current))
			r->cause = CGROUP_KILL;
	}
}
