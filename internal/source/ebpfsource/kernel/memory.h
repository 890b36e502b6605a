// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// What the OOM killer's victim holds, and which limit was reached. All of this is read where the kernel chooses a
// victim, so that nothing else costs more.

#pragma once

#include "record.h"
#include "task.h"

// How many steps each way up takes at most: whoever may make groups can nest them as deep as he likes.
#define MOST_STEPS 32
// The kernel kills for no larger allocation (include/linux/mmzone.h, PAGE_ALLOC_COSTLY_ORDER), so that fewer pages were
// left (mm/memcontrol.c, mem_cgroup_out_of_memory).
#define COSTLY 8
#define GROUP_PARTS 32 // of the path of a group

#define PF_KTHREAD 0x00200000 // include/linux/sched.h

const volatile u64 huge_page = 0; // in pages

// The kernel's notes about the OOM kill in progress, of which there is one at a time (mm/oom_kill.c, oom_lock), and the
// thread that it is done by. They are valid while that thread chooses victims.
struct oom_control *oom_notes = NULL;
u32 oom_thread = 0;
u32 oom_victims = 0; // so far

// These two run each time that memory is out. Where functions cannot be traced, the reader removes them.
SEC("fentry/out_of_memory")
int BPF_PROG(memory_out, struct oom_control *notes)
{
	oom_thread = bpf_get_current_pid_tgid();
	oom_notes = notes;
	oom_victims = 0;
	return 0;
}

// The kernel may have killed a whole group, and written a line about each of its processes to a slow console.
SEC("fexit/out_of_memory")
int BPF_PROG(memory_handled)
{
	struct handled_record *r;

	oom_notes = NULL;
	if (!oom_victims) // others are still dying
		return 0;
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r)
		return 0; // the reader waits no longer than a moment
	r->kind = HANDLED;
	r->thread = oom_thread;
	bpf_ringbuf_submit(r, wakeup());
	return 0;
}

// find_pid returns the struct pid with a number in the initial pid namespace (lib/xarray.c, xas_load).
static __always_inline struct pid *find_pid(u32 number)
{
	struct task_struct *current = bpf_get_current_task_btf();
	void *entry = BPF_CORE_READ(current, thread_pid, numbers[0].ns, idr.idr_rt.xa_head);

	for (u32 i = 0; i < 6; i++) { // of 6 bits each
		struct xa_node *node = (void *)((u64)entry - 2);
		u8 shift;

		if (((u64)entry & 3) != 2 || (u64)entry <= 4096) // no node: a pid, if it is not empty
			break;
		shift = BPF_CORE_READ(node, shift);
		if (number >> shift >= 64)
			return NULL;
		bpf_probe_read_kernel(&entry, sizeof(entry),
			(void *)node + bpf_core_field_offset(struct xa_node, slots) + (number >> shift) * sizeof(entry));
		number &= (1ULL << shift) - 1;
	}
	return number ? NULL : entry;
}

// find_task returns the process with a pid.
static __always_inline struct task_struct *find_task(u32 number)
{
	struct pid *pid = find_pid(number);
	void *link = BPF_CORE_READ(pid, tasks[0].first);

	return pid && link ? link - bpf_core_field_offset(struct task_struct, pid_links) : NULL;
}

// count returns how many pages of a kind a process has. The parts of the processors that a per-CPU counter has not been
// told of yet are left out, as the kernel's own log does.
static __always_inline u64 count(struct mm_struct *mm, u32 kind)
{
	s64 pages = 0;

	if (bpf_core_type_exists(struct mm_rss_stat)) // before Linux 6.2
		bpf_probe_read_kernel(&pages, sizeof(pages), (void *)mm +
			bpf_core_field_offset(struct mm_struct___before, rss_stat) + kind * sizeof(pages));
	else
		bpf_probe_read_kernel(&pages, sizeof(pages), (void *)mm +
			bpf_core_field_offset(struct mm_struct___since, rss_stat) +
			kind * bpf_core_type_size(struct percpu_counter) + bpf_core_field_offset(struct percpu_counter, count));
	return pages > 0 ? pages : 0;
}

static __always_inline void add_memory(struct victim_record *r, struct task_struct *task)
{
	// The process may be ending already, and have given up its memory (mm/oom_kill.c, mark_oom_victim).
	struct mm_struct *mm = BPF_CORE_READ(task, signal, oom_mm);

	r->score_adj = BPF_CORE_READ(task, signal, oom_score_adj);
	if (!mm)
		return;
	r->has_memory = 1;
	r->file = count(mm, 0); // include/linux/mm_types_task.h, MM_FILEPAGES
	r->anon = count(mm, 1);
	r->shmem = count(mm, 3);
	r->total = BPF_CORE_READ(mm, total_vm);
	r->page_tables = BPF_CORE_READ(mm, pgtables_bytes.counter);
}

static __always_inline struct cgroup_subsys_state *memory_group(struct task_struct *task)
{
	struct cgroup_subsys_state *group = NULL;

	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		bpf_probe_read_kernel(&group, sizeof(group), (void *)BPF_CORE_READ(task, cgroups) +
			bpf_core_field_offset(struct css_set, subsys) +
			bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id) * sizeof(group));
	return group;
}

// add_group adds the path of a group, last part first. If it is too long, the record has none.
static __always_inline void add_group(struct victim_record *r, struct cgroup_subsys_state *group)
{
	struct kernfs_node *node = BPF_CORE_READ(group, cgroup, kn);
	u32 length = nothing & (2 * PATH_MAX - 1);

	r->group.hierarchy = BPF_CORE_READ(group, cgroup, root, hierarchy_id);
	r->group.id = BPF_CORE_READ(node, id);
	for (u32 i = 0; i < GROUP_PARTS; i++) {
		struct kernfs_node *parent;

		if (bpf_core_field_exists(node->__parent)) // since Linux 6.15
			parent = BPF_CORE_READ(node, __parent);
		else
			parent = BPF_CORE_READ((struct kernfs_node___before *)node, parent);
		if (!parent) { // the root has no name
			r->path_length = length;
			return;
		}
		if (length >= PATH_MAX)
			return;
		long n = bpf_probe_read_kernel_str(&r->path[length], NAME_MAX, BPF_CORE_READ(node, name));
		if (n <= 0)
			return;
		length = (length + n) & (2 * PATH_MAX - 1); // see add_path
		node = parent;
	}
}

struct room {
	u64 limit, usage, left; // in pages
};

static __always_inline void read_counter(struct room *room, void *counter)
{
	room->limit = BPF_CORE_READ((struct page_counter *)counter, max);
	room->usage = BPF_CORE_READ((struct page_counter *)counter, usage.counter);
	room->left = room->usage < room->limit ? room->limit - room->usage : 0;
}

// read_room reads the limit of a group that is closest. Version 1 has a second one, for memory and swap together.
static __always_inline void read_room(struct room *room, struct cgroup_subsys_state *group)
{
	void *memory = (void *)group - bpf_core_field_offset(struct mem_cgroup, css);
	struct room both;

	read_counter(room, memory + bpf_core_field_offset(struct mem_cgroup, memory));
	if (!bpf_core_field_exists(((struct mem_cgroup *)memory)->memsw) || !BPF_CORE_READ(group, cgroup, root, hierarchy_id))
		return;
	read_counter(&both, memory + bpf_core_field_offset(struct mem_cgroup, memsw));
	if (both.left < room->left)
		*room = both;
}

// common returns the lowest group that has two others in it; NULL if they are too deep.
static __always_inline struct cgroup_subsys_state *common(struct cgroup_subsys_state *a, struct cgroup_subsys_state *b)
{
	for (u32 i = 0; i < MOST_STEPS && a != b; i++) {
		if (BPF_CORE_READ(a, cgroup, level) >= BPF_CORE_READ(b, cgroup, level))
			a = BPF_CORE_READ(a, parent);
		else
			b = BPF_CORE_READ(b, parent);
	}
	return a == b ? a : NULL;
}

// charged returns the lowest group that may have had to pay for the memory, which both the victim and whoever asked for
// it are in. The kernel's own threads ask for others (include/linux/sched/mm.h, set_active_memcg).
static __always_inline struct cgroup_subsys_state *charged(struct cgroup_subsys_state *group)
{
	struct task_struct *current = bpf_get_current_task_btf();

	return current->flags & PF_KTHREAD ? group : common(group, memory_group(current));
}

// infer finds the group that has reached its limit: the lowest one that has too little left for an allocation or, as some
// may have been given back meanwhile, less than a huge page.
static __always_inline struct cgroup_subsys_state *infer(struct victim_record *r, struct task_struct *victim)
{
	struct cgroup_subsys_state *group = memory_group(victim), *top = charged(group);
	struct room room;
	u64 close = nothing, doubtful = nothing;

	r->constraint = UNKNOWN;
	if (group && !top)
		return NULL;
	for (u32 i = 0; i < MOST_STEPS && group && group != top; i++) {
		read_room(&room, group);
		if (room.usage > room.limit) { // somebody has lowered it (mm/memcontrol.c, memory_max_write)
			r->constraint = MEMCG;
			return group;
		}
		// Whoever asked may have asked for the victim's group, as a debugger does.
		doubtful += room.left < COSTLY;
		group = BPF_CORE_READ(group, parent);
	}
	r->asked = 1;
	for (u32 i = 0; i < MOST_STEPS && top; i++) {
		read_room(&room, top);
		if (room.left < COSTLY) {
			r->constraint = MEMCG;
			return top;
		}
		if (!close && room.left < huge_page && room.left < room.limit / 8)
			close = (u64)top | nothing;
		top = BPF_CORE_READ(top, parent);
	}
	if (close)
		r->constraint = MEMCG;
	else if (!top && !doubtful)
		r->constraint = HOST;
	return (void *)close;
}

// read_notes returns the group that the kernel has noted, and adds what else it has.
static __always_inline struct cgroup_subsys_state *read_notes(struct victim_record *r, struct oom_control *notes)
{
	struct mem_cgroup *memory = BPF_CORE_READ(notes, memcg);
	struct cgroup_subsys_state *group = (void *)memory + bpf_core_field_offset(struct mem_cgroup, css);

	r->observed = 1;
	r->constraint = HOST + BPF_CORE_READ(notes, constraint);
	if (r->constraint != MEMCG) {
		r->asked = BPF_CORE_READ(notes, order) >= 0; // else somebody has pressed a key (drivers/tty/sysrq.c, moom_callback)
		return NULL;
	}
	r->asked = charged(group) == group;
	return group;
}

static __always_inline void add_limit(struct victim_record *r, struct task_struct *victim)
{
	struct cgroup_subsys_state *group;
	struct room room;

	if (oom_notes && oom_thread == r->thread)
		group = read_notes(r, oom_notes);
	else
		group = infer(r, victim);
	if (!group)
		return;
	read_room(&room, group);
	r->limit = room.limit;
	r->usage = room.usage;
	add_group(r, group);
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct victim_record);
} victim_scratch SEC(".maps");

// The argument is the task since Linux 6.9, and the pid before that (include/trace/events/oom.h).
SEC("raw_tp/mark_victim")
int mark_victim(u64 *arguments)
{
	const u64 most_pids = 4 << 20; // include/linux/threads.h, PID_MAX_LIMIT
	struct task_struct *current = bpf_get_current_task_btf(), *victim;
	struct victim_record *r;
	u64 length;
	u32 zero = 0;

	r = bpf_map_lookup_elem(&victim_scratch, &zero);
	if (!r)
		return 0;
	victim = arguments[0] <= most_pids ? find_task(arguments[0]) : (void *)arguments[0];
	__builtin_memset(r, 0, __builtin_offsetof(struct victim_record, path));
	r->kind = VICTIM;
	r->thread = current->pid;
	r->time = bpf_ktime_get_boot_ns();
	r->invoker = current->tgid;
	copy_command(r->invoker_command, current->group_leader);
	if (victim) {
		r->pid = BPF_CORE_READ(victim, tgid);
		add_memory(r, victim);
		add_limit(r, victim);
	}
	oom_victims++;
	length = r->path_length;
	if (length > PATH_MAX + NAME_MAX)
		length = PATH_MAX + NAME_MAX;
	if (bpf_ringbuf_output(&ring, r, __builtin_offsetof(struct victim_record, path) + length, wakeup()))
		__sync_fetch_and_add(&dropped_signals, 1);
	return 0;
}
