// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// What the records say about a task.

#pragma once

#include "record.h"

static __always_inline void copy_command(u8 *to, struct task_struct *task)
{
	*(u64 *)to = *(u64 *)&task->comm[0];
	*(u64 *)(to + 8) = *(u64 *)&task->comm[8];
}

static __always_inline void identify(struct identity *to, struct task_struct *leader)
{
	to->start = leader->start_boottime;
	to->pid = leader->tgid;
	to->unused = 0;
}

static __always_inline bool in_hierarchy(struct group *to, struct css_set *set, u32 controller)
{
	struct cgroup *cgroup = set->subsys[controller]->cgroup;

	to->hierarchy = cgroup->root->hierarchy_id;
	to->id = cgroup->kn->id;
	return to->hierarchy != 0 && cgroup->level != 0;
}

// locate finds the control group: that of cgroup v2, or of a v1 controller if only v1 groups the task.
static __always_inline void locate(struct group *to, struct task_struct *task)
{
	struct css_set *set = task->cgroups;
	struct cgroup *cgroup = set->dfl_cgrp;

	to->unused = 0;
	if (cgroup->level == 0) {
		if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id) &&
		    in_hierarchy(to, set, bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id)))
			return;
		if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id) &&
		    in_hierarchy(to, set, bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id)))
			return;
	}
	to->hierarchy = 0;
	to->id = cgroup->kn->id;
}

// login_of tells who has logged in; -1 is nobody.
static __always_inline void login_of(struct task_struct *task, u32 *login, u32 *session)
{
	*login = *session = -1;
	if (bpf_core_field_exists(task->loginuid)) { // CONFIG_AUDIT
		*login = task->loginuid.val;
		*session = task->sessionid;
	}
}

static __always_inline void describe(struct party *to, struct task_struct *task, const struct cred *cred)
{
	struct task_struct *leader = task->group_leader;

	identify(&to->identity, leader);
	locate(&to->group, task);
	to->thread = task->pid;
	to->uid = cred->uid.val;
	to->euid = cred->euid.val;
	to->suid = cred->suid.val;
	login_of(task, &to->login, &to->session);
	copy_command(to->command, task);
	copy_command(to->leader, leader);
}

static __always_inline u32 parents(struct ancestor *to, struct task_struct *task)
{
	u32 n;

	for (n = 0; n < ANCESTORS; n++) {
		task = task->real_parent;
		if (!task || task->tgid == 0)
			break;
		task = task->group_leader;
		to[n].pid = task->tgid;
		copy_command(to[n].command, task);
	}
	return n;
}

// copy_title copies the beginning of the task's own command line, and returns its length. A kernel thread has none.
static __always_inline u32 copy_title(u8 *to, struct task_struct *task)
{
	struct mm_struct *mm = task->mm;
	u64 length;

	if (!mm)
		return 0;
	length = mm->arg_end - mm->arg_start;
	if (length > TITLE)
		length = TITLE;
	if (length && !bpf_probe_read_user(to, length, (void *)mm->arg_start))
		return length;
	return 0;
}

#define SIGNAL_GROUP_EXIT 0x00000004 // include/linux/sched/signal.h

// status_of returns the status that the parent will get from waitpid(2) (kernel/exit.c, wait_task_zombie).
static __always_inline s32 status_of(struct task_struct *leader)
{
	struct signal_struct *signal = leader->signal;

	return signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : leader->exit_code;
}

// file_of returns the file that a task has open under a number; NULL if it has none.
static __always_inline struct file *file_of(struct task_struct *task, s32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL;

	if (fd >= 0 && fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(table, fd) + fd);
	return file;
}
