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
typedef __s16 s16;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;
typedef _Bool bool;

#define true 1
#define false 0
#define NULL ((void *)0)

// include/uapi/linux/bpf.h
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_LRU_HASH 9
#define BPF_MAP_TYPE_RINGBUF 27
#define BPF_ANY 0
#define BPF_NOEXIST 1
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

typedef struct {
	long counter;
} atomic_long_t;

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
	const char *name;
	struct kernfs_node *__parent; // since Linux 6.15
};

struct kernfs_node___before {
	struct kernfs_node *parent;
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
	struct cgroup_subsys_state *parent;
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

struct super_block {
	unsigned long s_magic;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
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
	u16 i_mode;
	void *i_private;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

// include/net/sock.h, include/linux/net.h
struct sock_common {
	u16 skc_family;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_type;
	struct pid *sk_peer_pid;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

// include/net/af_unix.h, include/uapi/linux/un.h. The name is a struct sockaddr_un.
struct unix_address {
	s32 len;
	char name[1];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

// include/linux/uio.h, include/linux/socket.h. The kernel has called the parts iov and __iov (since Linux 6.4).
enum iter_type { ITER_IOVEC = 1, ITER_UBUF = 2 };

struct iovec {
	void *iov_base;
	u64 iov_len;
};

struct iov_iter {
	u8 iter_type;
	u64 iov_offset, count, nr_segs;
	void *ubuf; // since Linux 6.0
};

struct iov_iter___before {
	const struct iovec *iov;
};

struct iov_iter___since {
	const struct iovec *__iov;
};

struct msghdr {
	struct iov_iter msg_iter;
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

// include/linux/mm_types.h, include/linux/percpu_counter.h. The counters of pages are one per kind.
struct percpu_counter {
	s64 count;
};

struct mm_rss_stat {
	atomic_long_t count[4];
};

struct mm_struct {
	unsigned long arg_start, arg_end;
	unsigned long total_vm;
	atomic_long_t pgtables_bytes;
	struct file *exe_file;
};

struct mm_struct___before {
	struct mm_rss_stat rss_stat;
};

struct mm_struct___since { // Linux 6.2
	struct percpu_counter rss_stat[4];
};

// include/linux/page_counter.h, include/linux/memcontrol.h, include/linux/oom.h
struct page_counter {
	atomic_long_t usage;
	unsigned long max;
};

struct mem_cgroup {
	struct cgroup_subsys_state css;
	struct page_counter memory;
	struct page_counter memsw;
};

enum oom_constraint { CONSTRAINT_NONE, CONSTRAINT_CPUSET, CONSTRAINT_MEMORY_POLICY, CONSTRAINT_MEMCG };

struct oom_control {
	struct mem_cgroup *memcg;
	s32 order;
	enum oom_constraint constraint;
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

// include/uapi/linux/resource.h, include/linux/sched/cputime.h
struct rlimit {
	unsigned long rlim_cur, rlim_max;
};

typedef struct {
	s64 counter;
} atomic64_t;

struct task_cputime_atomic {
	atomic64_t utime, stime;
};

struct thread_group_cputimer {
	struct task_cputime_atomic cputime_atomic;
};

// include/linux/tty.h
struct tty_control {
	struct pid *pgrp, *session;
};

struct tty_struct {
	struct tty_control ctrl;
	unsigned long flags;
	char name[64];
};

struct tty_file_private {
	struct tty_struct *tty;
	struct file *file;
};

// include/linux/pid_types.h
enum pid_type { PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID, PIDTYPE_MAX };

struct signal_struct {
	atomic_t live;
	u32 flags;
	s32 nr_threads;
	s32 group_exit_code;
	s16 oom_score_adj;
	struct mm_struct *oom_mm;
	s32 leader;
	struct thread_group_cputimer cputimer;
	struct pid *pids[PIDTYPE_MAX];
	struct tty_struct *tty;
	struct rlimit rlim[16];
};

struct kernel_siginfo {
	s32 si_code;
	union {
		struct {
			s32 _pid;
		} _kill;
		struct {
			void *_addr;
		} _sigfault;
	} _sifields;
};

// include/linux/xarray.h, include/linux/radix-tree.h, include/linux/idr.h, include/linux/pid_namespace.h
struct xarray {
	void *xa_head;
};

struct xa_node {
	u8 shift;
	void *slots[64];
};

struct idr {
	struct xarray idr_rt;
};

struct pid_namespace {
	struct idr idr;
};

// include/linux/pid.h
struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct upid {
	s32 nr;
	struct pid_namespace *ns;
};

struct pid {
	u32 level;
	struct hlist_head tasks[4];
	struct upid numbers[1];
};

struct thread_info {
	unsigned long flags;
};

// include/linux/sched.h
struct sched_rt_entity {
	unsigned long timeout;
};

struct thread_info___x86 {
	u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	u32 flags;
	u32 ptrace;
	u32 policy;
	struct sched_rt_entity rt;
	struct mm_struct *mm;
	s32 pid, tgid;
	s32 exit_code, pdeath_signal;
	struct task_struct *real_parent, *group_leader;
	struct pid *thread_pid;
	struct hlist_node pid_links[4];
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

// A function of the running task, which gets no task. It could be one that the verifier checks by itself, once for each
// program (__attribute__((noinline))): where it checks a function as a part of its callers, it does so for each way to get
// there, and looks up by name, among all types of the kernel, what each pointer in a task leads to. Programs then load
// three times as fast, but on arm64 with Linux 6.1 failed calls were not reported.
#define FUNCTION static __always_inline

// nothing is 0, which the verifier does not know: a variable that begins with it can be anything from the start, so that
// each round of a loop is like the others, and is checked once and not for each way to get there.
u64 nothing = 0;
