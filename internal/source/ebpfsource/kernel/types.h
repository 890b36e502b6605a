// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// The parts of the kernel's types that the programs use. The names are the kernel's. The loader finds out where each
// member is in the running kernel (CO-RE), so the build needs neither the kernel's headers nor a vmlinux.h.
// CO-RE ignores ___ and what follows: NAME___x86 and NAME___arm64 are the type NAME of these architectures.

#pragma once

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef signed short __s16;
typedef unsigned int __u32;
typedef signed int __s32;
typedef unsigned long long __u64;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef _Bool bool;

#define true 1
#define false 0
#define NULL ((void *)0)

// include/uapi/linux/bpf.h
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_RINGBUF 27
#define BPF_RB_NO_WAKEUP 1
#define BPF_RB_FORCE_WAKEUP 2
#define BPF_RB_AVAIL_DATA 0

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	u32 val;
} kuid_t;

typedef struct {
	s32 counter;
} atomic_t;

// include/linux/user_namespace.h, include/linux/ns_common.h, fs/mount.h, include/linux/nsproxy.h
struct user_namespace {
	s32 level;
};

struct ns_common {
	u32 inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
};

struct cred {
	kuid_t uid, suid, euid;
	struct user_namespace *user_ns;
};

// include/linux/kernfs.h, include/linux/cgroup-defs.h
struct kernfs_node {
	u64 id;
};

struct cgroup_root {
	s32 hierarchy_id;
};

struct cgroup {
	s32 level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

// The loader replaces these values by those of the running kernel.
enum cgroup_subsys_id { memory_cgrp_id = 4, pids_cgrp_id = 11 };

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};

// include/linux/fs.h, include/linux/dcache.h, fs/mount.h
struct qstr {
	const unsigned char *name;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct inode {
	void *i_private;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

// include/linux/fdtable.h
struct fdtable {
	u32 max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root;
};

struct mm_struct {
	unsigned long arg_start, arg_end;
	struct file *exe_file;
};

// include/linux/sched/signal.h, include/linux/signal_types.h
struct sigaction {
	void *sa_handler;
};

struct k_sigaction {
	struct sigaction sa;
};

struct sighand_struct {
	struct k_sigaction action[64];
};

// One word has all signals on the supported architectures.
typedef struct {
	unsigned long sig[1];
} sigset_t;

struct signal_struct {
	atomic_t live;
	u32 flags;
	s32 nr_threads;
	s32 group_exit_code;
};

struct kernel_siginfo {
	s32 si_code;
};

// include/linux/pid.h
struct upid {
	s32 nr;
};

struct pid {
	u32 level;
	struct upid numbers[1];
};

struct thread_info {
	unsigned long flags;
};

struct thread_info___x86 {
	u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	u32 flags;
	u32 ptrace;
	struct mm_struct *mm;
	s32 pid, tgid;
	s32 exit_code;
	struct task_struct *real_parent, *group_leader;
	struct pid *thread_pid;
	u64 start_boottime;
	const struct cred *real_cred, *cred;
	char comm[16];
	struct nsproxy *nsproxy;
	struct fs_struct *fs;
	struct files_struct *files;
	struct signal_struct *signal;
	struct sighand_struct *sighand;
	sigset_t blocked;
	kuid_t loginuid;
	u32 sessionid;
	struct css_set *cgroups;
};

struct task_struct___x86 {
	struct thread_info___x86 thread_info;
};

// arch/x86/include/asm/ptrace.h
struct pt_regs___x86 {
	unsigned long r10, bp, bx, cx, dx, si, di, orig_ax;
};

// arch/arm64/include/asm/ptrace.h
struct pt_regs___arm64 {
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
};

#pragma clang attribute pop
