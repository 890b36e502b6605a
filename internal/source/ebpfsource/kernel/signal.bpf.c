//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// The programs that report signals, and how processes begin and end. They filter by what is cheap to compare, and leave
// the rest to user space. None of them waits: records that find no room in the ring are dropped and counted.

#include "types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#include "call.h"
#include "record.h"
#include "task.h"

char LICENSE[] SEC("license") = "GPL";

// Set before loading, so that the verifier removes the code for what nobody asked for.
const volatile u64 signals = 0;          // bit n-1 is signal n
const volatile u64 ending_signals = 0;   // further ones, told only if the target ends of them
const volatile bool signal_zero = false; // kill(pid, 0), which only asks
const volatile bool include_failed = false;
const volatile bool only_targets = false; // those named, see struct names
const volatile bool only_senders = false;
const volatile struct name few_targets[FEW];
const volatile struct name few_senders[FEW];
const volatile u32 few_targets_count = 0;
const volatile u32 few_senders_count = 0;
const volatile u64 ring_size = 0;
const volatile u64 room_for_signals = 0; // bytes of the ring that the records of processes leave free
const volatile u64 room_for_requests = 0; // the same of the requests of ordinary users
// Bit n is set if a listed socket's path may have n bytes, and 64 + n.
const volatile u64 socket_lengths = 0;
const volatile u64 socket_lengths_64 = 0;
const volatile u64 socket_beginnings = 0; // see may_begin
const volatile u64 socket_beginnings_64 = 0;
// What the program at the end of every call is for.
const volatile bool any_call_sends = false;
const volatile bool any_call_connects = false;
const volatile u32 self = 0;             // the reader's pid in the initial pid namespace, which nobody can change later

volatile u32 waiting = 0; // what wakes the reader: nothing while it is awake, a signal, or also the record of a process
volatile u32 pulse = 0;   // the reader wants this number back, see beat
u64 dropped_signals = 0;
u64 dropped_processes = 0;
u64 dropped_execs = 0; // of them those that say that a process runs another program
u64 dropped_requests = 0;

// Keeps these types in the type information, from which bpf2go generates the Go types.
const union {
	struct signal_record signal;
	struct victim_record victim;
	struct handled_record handled;
	struct fork_record fork;
	struct exec_record exec;
	struct changed_record changed;
	struct exit_record exit;
	struct cgroup_record cgroup;
	struct pulse_record pulse;
	struct request_record request;
} *records __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} ring SEC(".maps");

// The names of processes to filter by, if there are more than FEW.
struct names {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct name);
	__type(value, u8);
};
struct names targets SEC(".maps");
struct names senders SEC(".maps");

// Long records are built here, so that only the part in use takes room in the ring.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct exec_record);
} exec_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cgroup_record);
} cgroup_scratch SEC(".maps");

// wakeup returns the flags to submit the record of a signal with. A wakeup costs more than everything else together, so
// the reader gets one only if it sleeps.
static __always_inline u64 wakeup(void)
{
	if (!waiting)
		return BPF_RB_NO_WAKEUP;
	waiting = 0;
	return BPF_RB_FORCE_WAKEUP;
}

#define WAITS_FOR_PROCESSES 2

// life returns the flags to submit the record of a process with. It wakes the reader only if the ring is filling up, or if
// so little happens that the reader does not look by itself.
static __always_inline u64 life(void)
{
	if (waiting == WAITS_FOR_PROCESSES || bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > room_for_signals / 2)
		return wakeup();
	return BPF_RB_NO_WAKEUP;
}

static __always_inline bool in(u64 set, s32 signal)
{
	return signal > 0 && signal <= 64 && set >> (signal - 1) & 1;
}

static __always_inline bool wanted(s32 signal)
{
	if (signal == 0)
		return signal_zero;
	return in(signals, signal);
}

// before_nul returns the bytes of a word that are before its first NUL, and whether there is one.
static __always_inline u64 before_nul(u64 word, bool *ended)
{
	u64 nuls = (word - 0x0101010101010101) & ~word & 0x8080808080808080;

	*ended = nuls != 0;
	return *ended ? word & ((nuls & -nuls) - 1) : word;
}

// has reports whether a filter has a task's name. A few are compared one by one: a map lookup would double the cost.
static __always_inline bool has(void *map, const volatile struct name *few, u32 count, struct task_struct *task)
{
	struct name name;
	bool ended;

	// Older kernels leave remains of the previous name after the NUL.
	name.words[0] = before_nul(*(u64 *)&task->comm[0], &ended);
	name.words[1] = ended ? 0 : before_nul(*(u64 *)&task->comm[8], &ended);
	if (count == 0)
		return bpf_map_lookup_elem(map, &name) != NULL;
	for (u32 i = 0; i < FEW && i < count; i++) {
		if (few[i].words[0] == name.words[0] && few[i].words[1] == name.words[1])
			return true;
	}
	return false;
}

static __always_inline bool is_target(struct task_struct *task)
{
	return has(&targets, few_targets, few_targets_count, task) ||
	       task->pid != task->tgid && has(&targets, few_targets, few_targets_count, task->group_leader);
}

static __always_inline bool is_sender(struct task_struct *task)
{
	return has(&senders, few_senders, few_senders_count, task) ||
	       task->pid != task->tgid && has(&senders, few_senders, few_senders_count, task->group_leader);
}

static __always_inline bool from_wanted(struct task_struct *sender)
{
	return !only_senders || is_sender(sender);
}

// by_call reports whether a call sends signals with a code (include/uapi/asm-generic/siginfo.h: SI_USER, SI_QUEUE, SI_TKILL).
static __always_inline bool by_call(s32 code)
{
	return code == 0 || code == -1 || code == -6;
}

#include "sums.h"

// has_room reports whether the ring has room for the record of a user's process. While there is much room, it has. Then a user is
// limited to a share, all but root together to half of the ring, and root to three quarters.
static __always_inline bool has_room(u32 user, u32 size)
{
	u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);

	if (used <= ring_size / 4)
		return true;
	if (user == 0)
		return used <= room_for_signals;
	return used <= ring_size / 2 && in_byte_share(user, size, ring_size / 16);
}

// shuts_out reports whether a user's next exec finds no room either, so that nothing has to be found out about it.
static __always_inline bool shuts_out(u32 user)
{
	u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	struct share *share;

	if (used <= ring_size / 4)
		return false;
	if (user == 0)
		return used > room_for_signals;
	if (used > ring_size / 2)
		return true;
	share = bpf_map_lookup_elem(&shares, &user);
	return share && share->round == rounds && share->bytes + __builtin_offsetof(struct exec_record, text) > ring_size / 16;
}

static __always_inline bool drops(u32 user, u32 size)
{
	if (has_room(user, size))
		return false;
	__sync_fetch_and_add(&dropped_processes, 1);
	return true;
}

static __always_inline void clear_party(struct party *p)
{
	u64 *words = (u64 *)p;

	for (u32 i = 0; i < sizeof(*p) / sizeof(u64); i++)
		words[i] = 0;
}

static __always_inline void add_key(struct signal_record *r, struct sum_key *key)
{
	r->kind = key->kind;
	r->special = key->special;
	r->group = key->group;
	r->kernel_thread = key->kernel_thread;
	r->signal = key->signal;
	r->time = bpf_ktime_get_boot_ns();
	r->code = key->code;
	r->result = key->result;
	r->call = key->call;
	r->cause = NO_CAUSE;
}

// add_sender describes the process in whose context the kernel sends the signal.
FUNCTION int add_sender(struct signal_record *r)
{
	struct task_struct *sender = bpf_get_current_task_btf();

	if (!r)
		return 0;
	describe(&r->sender, sender, sender->cred);
	r->parent = sender->real_parent->tgid;
	r->level = sender->thread_pid->level;
	r->kernel_thread = (sender->flags & PF_KTHREAD) != 0;
	r->ancestor_count = parents(r->ancestors, sender->group_leader);
	r->title_length = r->kernel_thread ? 0 : copy_title(r->title, sender);
	return 0;
}

// fault reports whether a program's own instruction has raised a signal (include/uapi/asm-generic/siginfo.h).
static __always_inline bool fault(s32 signal, s32 code)
{
	switch (signal) {
	case 4: case 5: case 7: case 8: case 11: case 31: // ILL TRAP BUS FPE SEGV SYS
		return code > 0;
	}
	return false;
}

// handler_of returns a process's handler of a signal: 0 is the default (SIG_DFL), 1 is none (SIG_IGN).
static __always_inline u64 handler_of(struct task_struct *task, s32 signal)
{
	const void *actions = (void *)task->sighand + bpf_core_field_offset(struct sighand_struct, action);
	u64 handler = 0;

	bpf_probe_read_kernel(&handler, sizeof(handler), actions + (signal - 1) * bpf_core_type_size(struct k_sigaction) +
		bpf_core_field_offset(struct k_sigaction, sa.sa_handler));
	return handler;
}

// handled reports whether the program handles its fault itself, as the runtimes of Java and Go do all the time, or a
// debugger has asked for it.
static __always_inline bool handled(struct task_struct *task, s32 signal)
{
	return signal == 5 && task->ptrace || handler_of(task, signal) > 1;
}

#define SIGNAL_UNKILLABLE 0x00000040 // include/linux/sched/signal.h

// ends reports whether a signal that nobody asked for ends its target, which neither handles nor blocks it. Of several
// threads, any may take a signal to the process: what one of them blocks says nothing.
static __always_inline bool ends(struct task_struct *task, s32 signal, int group)
{
	return in(ending_signals, signal) && !handler_of(task, signal) &&
	       (group && task->signal->nr_threads > 1 || !in(task->blocked.sig[0], signal)) &&
	       !(task->signal->flags & SIGNAL_UNKILLABLE);
}

#include "request.h"
#include "cause.h"

#define SIGURG 23

// beat returns a number to the reader, which has sent itself a signal to see whether it would still learn of one.
static __always_inline void beat(void)
{
	struct pulse_record *r;
	u32 number = pulse;

	if (number == 0)
		return;
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r)
		return;
	pulse = 0;
	r->kind = PULSE;
	r->number = number;
	bpf_ringbuf_submit(r, wakeup());
}

// blinds reports whether a signal ends or stops the reader. It is wanted whatever the filters are.
static __always_inline bool blinds(s32 signal, struct task_struct *task)
{
	return (signal == 9 || signal == 15 || signal == 19) && task->tgid == self; // KILL TERM STOP
}

SEC("tp_btf/signal_generate")
int BPF_PROG(generate, int signal, void *info, struct task_struct *task, int group, int result)
{
	struct task_struct *sender;
	struct signal_record *r;
	struct call call = {};
	u64 special = 0;
	s32 code = 0;
	bool faults = false;

	if (signal == SIGURG && task->tgid == self)
		beat();
	if (!blinds(signal, task)) {
		if (!wanted(signal) && !ends(task, signal, group))
			return 0;
		if (!from_wanted(bpf_get_current_task_btf()) || only_targets && !is_target(task))
			return 0;
	}
	sender = bpf_get_current_task_btf();
	if ((u64)info > 1) {
		special = 2;
		bpf_probe_read_kernel(&code, sizeof(code), &((struct kernel_siginfo *)info)->si_code);
		faults = fault(signal, code);
		if (faults && handled(task, signal))
			return 0;
	} else if ((u64)info == 1) {
		special = 1;
	}
	// Without this the compiler tests whether info is 0, which the verifier considers impossible.
	asm volatile("" : "+r"(special));
	if (!current_call(&call))
		call.number = NONE;
	// In Linux 7.3 kill(2) passes no siginfo: the kernel fills in the same one later, when it queues the signal.
	if (special == 0 && call.number == KILL && call.signal == signal)
		special = 2;
	// Drops our own signals, but not those that the kernel sends in our context, such as those of the timers of others.
	if (sender->tgid == self && special == 2 && by_call(code))
		return 0;
	special += nothing;
	faults |= nothing;
	struct sum_key key = {
		.kind = SIGNAL, .special = special, .group = group != 0, .kernel_thread = (sender->flags & PF_KTHREAD) != 0,
		.signal = signal, .code = code, .result = result, .call = call,
	};
	identify(&key.sender, sender->group_leader);
	identify(&key.target, task->group_leader);
	r = reserve(&key, sender, task);
	if (!r)
		return 0;
	add_key(r, &key);
	add_sender(r);
	describe(&r->target, task, task->real_cred);
	if (special != 2)
		add_cause(r, sender, task);
	else if (faults)
		bpf_probe_read_kernel(&r->number, sizeof(r->number), &((struct kernel_siginfo *)info)->_sifields._sigfault._addr);
	bpf_ringbuf_submit(r, wakeup());
	return 0;
}

struct task_struct *bpf_task_from_pid(s32 pid) __ksym __weak;
struct task_struct *bpf_task_from_vpid(s32 vpid) __ksym __weak;
void bpf_task_release(struct task_struct *p) __ksym __weak;

// pid_of returns the pid, in the initial pid namespace, of the process that a pidfd refers to. It is in the inode
// since Linux 6.9, and was in the file before that (fs/pidfs.c, kernel/fork.c).
static __always_inline s32 pid_of(struct task_struct *task, s32 fd)
{
	struct file *file = file_of(task, fd);
	struct pid *pid;

	pid = BPF_CORE_READ(file, f_inode, i_private);
	if (!pid)
		pid = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(pid, numbers[0].nr);
}

// add_asked describes the process that the call names, because there is no signal whose record would.
static __always_inline void add_asked(struct signal_record *r, struct task_struct *sender)
{
	struct task_struct *task;
	struct arguments a;
	s32 pid = r->call.pid;

	clear_party(&r->target);
	if (for_many(&r->call))
		return;
	if (r->call.number == PIDFD_SEND_SIGNAL) {
		if (r->result != 0 && r->result != -1 /* EPERM */) // it may be no pidfd
			return;
		pid = pid_of(sender, pid);
		if (!bpf_task_from_pid) { // since Linux 6.2
			r->target.identity.pid = pid; // of which user space knows the rest
			return;
		}
		task = bpf_task_from_pid(pid);
	} else {
		if (!bpf_task_from_vpid) // since Linux 6.14
			return;
		if (r->call.number == TGKILL || r->call.number == RT_TGSIGQUEUEINFO) {
			registers(sender, &a);
			pid = a.a1; // the thread
		}
		task = bpf_task_from_vpid(pid);
	}
	if (!task)
		return;
	describe(&r->target, task, task->real_cred);
	bpf_task_release(task);
}

#define EAGAIN 11

// ended reports a system call that has ended: one that failed or sent signal 0 has generated no signal, and one to a
// group has signaled all its targets now.
static __always_inline int ended(long result)
{
	struct task_struct *sender = bpf_get_current_task_btf();
	struct signal_record *r;
	struct call call = {};
	bool failed;

	if (!current_call(&call))
		return 0;
	if (result == -EAGAIN && !for_many(&call)) // the target's queue is full, as the generation has told
		return 0;
	failed = result < 0 && result != -EAGAIN;
	if (!wanted(call.signal) && (failed || !for_many(&call) || !in(ending_signals, call.signal)))
		return 0;
	if (failed ? !include_failed : call.signal != 0 && !for_many(&call))
		return 0;
	if (sender->tgid == self || !from_wanted(sender))
		return 0;
	struct sum_key key = { .kind = CALL, .signal = call.signal, .result = result, .call = call };
	identify(&key.sender, sender->group_leader);
	if (!failed && call.signal != 0) { // only its signals count: without the end, they are complete a little later
		if (!admits(sender->cred->uid.val, SIGNAL, 0, false))
			return 0;
		r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	} else {
		r = reserve(&key, sender, NULL);
	}
	if (!r)
		return 0;
	add_key(r, &key);
	add_sender(r);
	add_asked(r, sender);
	bpf_ringbuf_submit(r, wakeup());
	return 0;
}

// There are three ways to see the end of a call; ../calls_linux.go chooses the cheapest that the kernel permits.

// One instance is loaded for each kernel function behind such a call. It costs only these calls anything.
SEC("fexit")
int BPF_PROG(function_ended, const void *regs, long result)
{
	return ended(result);
}

// include/trace/events/syscalls.h, sys_exit; laid out as in /sys/kernel/tracing/events/syscalls/sys_exit_kill/format
struct sys_exit {
	u64 common;
	long number;
	long result;
};

// With this, every system call of the host takes a slower path, which checks whether it is one of these.
SEC("tracepoint/syscalls/sys_exit_kill")
int call_ended(struct sys_exit *context)
{
	return ended(context->result);
}

// This runs at the end of every system call.
SEC("tp_btf/sys_exit")
int BPF_PROG(any_call_ended, const void *regs, long result)
{
	if (result > 0) // which no call that sends a signal or connects returns
		return 0;
	if (any_call_connects && result == 0)
		call_connected();
	return any_call_sends ? ended(result) : 0;
}

// include/linux/signal.h, SIG_KERNEL_COREDUMP_MASK, without QUIT, which the audit system leaves out as well
// (kernel/auditsc.c, audit_core_dumps).
static __always_inline bool dumps_core(s32 signal)
{
	switch (signal) {
	case 4: case 5: case 6: case 7: case 8: case 11: case 24: case 25: case 31:
		return true;
	}
	return false;
}

// from_itself reports whether a signal's siginfo says that the process itself has sent it.
static __always_inline bool from_itself(void *info, s32 code, struct task_struct *task)
{
	struct pid *pid = task->group_leader->thread_pid;
	s32 sender = 0, own = 0;
	u32 level = BPF_CORE_READ(pid, level);

	if ((u64)info <= 1 || !by_call(code))
		return false;
	bpf_probe_read_kernel(&sender, sizeof(sender), &((struct kernel_siginfo *)info)->_sifields._kill._pid);
	bpf_probe_read_kernel(&own, sizeof(own), (void *)pid + bpf_core_field_offset(struct pid, numbers) +
		(level & 31) * bpf_core_type_size(struct upid) + bpf_core_field_offset(struct upid, nr));
	return sender == own;
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(deliver, int signal, void *info, struct k_sigaction *action)
{
	struct task_struct *task;
	struct signal_record *r;

	if (!dumps_core(signal) || !wanted(signal) || action->sa.sa_handler)
		return 0;
	task = bpf_get_current_task_btf();
	if (task->signal->flags & SIGNAL_UNKILLABLE || only_targets && !is_target(task))
		return 0;
	struct sum_key key = { .kind = DEATH, .special = 2, .group = 1, .signal = signal };
	if ((u64)info > 1)
		bpf_probe_read_kernel(&key.code, sizeof(key.code), &((struct kernel_siginfo *)info)->si_code);
	identify(&key.target, task->group_leader);
	r = reserve(&key, task, task);
	if (!r)
		return 0;
	add_key(r, &key);
	clear_party(&r->sender);
	describe(&r->target, task, task->real_cred);
	r->number = from_itself(info, key.code, task);
	r->parent = r->level = r->ancestor_count = r->title_length = 0;
	bpf_ringbuf_submit(r, wakeup());
	return 0;
}

#include "memory.h"

SEC("tp_btf/sched_process_fork")
int BPF_PROG(forked, struct task_struct *parent, struct task_struct *child)
{
	struct fork_record *r;

	if (child->pid != child->tgid || drops(parent->real_cred->uid.val, sizeof(*r)))
		return 0;
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		__sync_fetch_and_add(&dropped_processes, 1);
		return 0;
	}
	r->kind = FORK;
	r->uid = parent->real_cred->uid.val;
	login_of(parent, &r->login, &r->session);
	identify(&r->parent, parent->group_leader);
	identify(&r->child, child);
	bpf_ringbuf_submit(r, life());
	return 0;
}

#define MOST_PARTS 48 // of a path, and the mounts on the way

// add_path adds the path of the program as seen from the process's own root (fs/d_path.c, prepend_path). If the path is
// too long, the record has none.
static __always_inline void add_path(struct exec_record *r, struct task_struct *task)
{
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct vfsmount *at = BPF_CORE_READ(file, f_path.mnt);
	struct dentry *root = BPF_CORE_READ(task, fs, root.dentry);
	struct vfsmount *root_at = BPF_CORE_READ(task, fs, root.mnt);
	bool alone = dentry == BPF_CORE_READ(dentry, d_parent) && dentry != BPF_CORE_READ(at, mnt_root);
	u32 length = nothing & (2 * PATH_MAX - 1);

	r->path_length = 0;
	// A memfd is in no directory, and the kernel always calls it deleted (fs/d_path.c, simple_dname).
	r->deleted = alone || !BPF_CORE_READ(dentry, d_hash.pprev) && dentry != BPF_CORE_READ(dentry, d_parent);
	if (alone) {
		long n = bpf_probe_read_kernel_str(r->text, NAME_MAX, BPF_CORE_READ(dentry, d_name.name));
		r->path_length = n > 0 ? n : 0;
		return;
	}
	for (int i = 0; i < MOST_PARTS; i++) {
		if (dentry == root && at == root_at) {
			r->path_length = length;
			return;
		}
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		if (dentry == BPF_CORE_READ(at, mnt_root) || dentry == parent) {
			struct mount *mount = (void *)at - bpf_core_field_offset(struct mount, mnt);
			struct mount *below = BPF_CORE_READ(mount, mnt_parent);
			if (mount == below) {
				r->path_length = length;
				return;
			}
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			at = (void *)below + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		if (length >= PATH_MAX)
			return;
		long n = bpf_probe_read_kernel_str(&r->text[length], NAME_MAX, BPF_CORE_READ(dentry, d_name.name));
		if (n <= 0)
			return;
		// The mask spares the verifier from trying every length that is possible.
		length = (length + n) & (2 * PATH_MAX - 1);
		dentry = parent;
	}
}

// changed says only that a process runs another program. Without that, all that is known of any process would be in doubt, so it finds
// room where the signals of ordinary users find none.
static __always_inline void changed(struct task_struct *task, u32 user)
{
	struct changed_record *r = NULL;

	if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) <= ring_size / 16 * (user == 0 ? 15 : 13))
		r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		__sync_fetch_and_add(&dropped_processes, 1);
		__sync_fetch_and_add(&dropped_execs, 1);
		return;
	}
	r->kind = CHANGED;
	identify(&r->identity, task->group_leader);
	r->uid = user;
	login_of(task, &r->login, &r->session);
	bpf_ringbuf_submit(r, life());
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(executed, struct task_struct *task)
{
	struct exec_record *r;
	struct mm_struct *mm;
	u64 length, path;
	u32 zero = 0;
	u32 user = task->real_cred->uid.val;

	if (shuts_out(user)) {
		changed(task, user);
		return 0;
	}
	r = bpf_map_lookup_elem(&exec_scratch, &zero);
	if (!r)
		return 0;
	r->kind = EXEC;
	identify(&r->identity, task->group_leader);
	locate(&r->group, task);
	r->parent = task->real_parent->tgid;
	copy_command(r->command, task);
	// Which files and users the program's path and ids are about.
	r->mount_namespace = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	r->user_level = BPF_CORE_READ(task, cred, user_ns, level);
	r->root = (u64)BPF_CORE_READ(task, fs, root.dentry);
	r->uid = task->real_cred->uid.val;
	login_of(task, &r->login, &r->session);
	add_path(r, task);
	path = r->path_length;
	if (path > PATH_MAX + NAME_MAX)
		path = PATH_MAX + NAME_MAX;
	mm = task->mm;
	length = mm->arg_end - mm->arg_start;
	if (length > ARGUMENTS)
		length = ARGUMENTS;
	if (bpf_probe_read_user(&r->text[path], length, (void *)mm->arg_start))
		length = 0;
	r->arguments_length = length;
	length += path + __builtin_offsetof(struct exec_record, text);
	if (length > sizeof(*r))
		return 0;
	if (!has_room(user, length) || bpf_ringbuf_output(&ring, r, length, life()))
		changed(task, user);
	return 0;
}

// Reports the process when its last thread ends. By now it has its exit code, and any core dump is written.
SEC("tp_btf/sched_process_exit")
int BPF_PROG(exited, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	struct exit_record *r;

	if (task->signal->live.counter || drops(leader->real_cred->uid.val, sizeof(*r)))
		return 0;
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		__sync_fetch_and_add(&dropped_processes, 1);
		return 0;
	}
	r->kind = EXIT;
	r->status = status_of(leader);
	r->time = bpf_ktime_get_boot_ns();
	identify(&r->identity, leader);
	copy_command(r->command, leader);
	r->uid = leader->real_cred->uid.val;
	login_of(leader, &r->login, &r->session);
	r->parent = leader->real_parent->tgid;
	bpf_ringbuf_submit(r, life());
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(made_cgroup, struct cgroup *cgroup, const char *path)
{
	struct cgroup_record *r;
	u32 zero = 0;

	r = bpf_map_lookup_elem(&cgroup_scratch, &zero);
	if (!r)
		return 0;
	r->kind = CGROUP;
	r->group.id = cgroup->kn->id;
	r->group.hierarchy = cgroup->root->hierarchy_id;
	long n = bpf_probe_read_kernel_str(r->path, sizeof(r->path), path);
	if (n <= 0 || n > sizeof(r->path))
		return 0;
	r->path_length = n;
	if (drops(bpf_get_current_uid_gid(), __builtin_offsetof(struct cgroup_record, path) + n))
		return 0;
	if (bpf_ringbuf_output(&ring, r, __builtin_offsetof(struct cgroup_record, path) + n, life()))
		__sync_fetch_and_add(&dropped_processes, 1);
	return 0;
}
