// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// The records that the programs write for the reader. ../record.go reads the same bytes: change both together.

#pragma once

#include "types.h"

#define COMMAND 16     // include/linux/sched.h, TASK_COMM_LEN
#define ANCESTORS 8
#define TITLE 128      // as much as the audit system tells (kernel/audit.h, MAX_PROCTITLE_AUDIT_LEN)
#define PATH_MAX 1024  // the parts of a program's path
#define NAME_MAX 256   // one part of it, with the NUL
#define ARGUMENTS 1024 // the command line that a process was started with

#define SOCKET 108     // include/uapi/linux/un.h, sun_path
#define SENT 512       // what is told of a message to a manager

#define FEW 8          // names that are compared one by one

// The name of a process or thread, padded with zeros.
struct name {
	u64 words[COMMAND / sizeof(u64)];
};

#define TERMINAL 32    // the name of a terminal, which is mostly shorter (include/linux/tty.h)

enum kind {
	SIGNAL = 1, // was generated
	CALL = 2,   // has ended: it failed, struck a group, or only asked (signal 0)
	DEATH = 3,  // by a signal that dumps core
	VICTIM = 4, // of the OOM killer
	FORK = 5,
	EXEC = 6,
	EXIT = 7,
	CGROUP = 8,
	PULSE = 9,
	CONNECT = 10, // to a manager's socket
	MESSAGE = 11, // sent on such a connection
	HANDLED = 12, // the OOM killer has killed all that it wants
	CHANGED = 13, // a process runs another program; there was no room for more
};

struct group {
	u64 id;
	u32 hierarchy; // 0 is cgroup v2
	u32 unused;
};

struct identity {
	u64 start; // since boot, in ns
	u32 pid;
	u32 unused;
};

// A process as it was when the signal was generated.
struct party {
	struct identity identity;
	struct group group;
	u32 thread;
	u32 uid, euid, suid;
	u32 login, session;
	u8 command[COMMAND]; // of the thread
	u8 leader[COMMAND];  // of the process
};

struct ancestor {
	u32 pid;
	u32 unused;
	u8 command[COMMAND];
};

// The sender's system call, with its arguments; number is 0 if the sender was in none.
struct call {
	u32 number; // enum syscall
	s32 pid;    // as the sender named it
	s32 signal;
	u32 flags;
};

// Why the kernel sends a signal on its own account, where that is certain.
enum cause {
	NO_CAUSE = 0,
	CPU_LIMIT = 1,
	FILE_SIZE_LIMIT = 2,
	TERMINAL_KEY = 3,
	TERMINAL_HANGUP = 4,
	CGROUP_KILL = 5,
	PID_NAMESPACE_END = 6,
	PARENT_DEATH = 7,
	REALTIME_LIMIT = 8, // of CPU time without a pause
};

struct signal_record {
	u8 kind;
	u8 special; // the siginfo is 0: SEND_SIG_NOINFO, 1: SEND_SIG_PRIV, 2: one of its own
	u8 group;   // to the process, not to a thread
	u8 kernel_thread;
	s32 signal;
	u64 time; // since boot, in ns
	s32 code;
	s32 result; // of the generation, or of the call
	struct call call;
	u32 parent;
	u32 level; // of the sender's pid namespace; 0 is the initial one
	struct party sender, target; // a target with pid 0 is not known
	u32 title_length;
	u32 ancestor_count;
	struct ancestor ancestors[ANCESTORS];
	u8 title[TITLE];
	// What follows counts only with the causes that it is about, and an address with a fault that has one.
	u32 cause;
	s32 parent_status; // as waitpid(2) returns it; -1 if only the thread has ended that was the parent
	u64 number;        // the limit, of CPU time in s or without a pause in us, or of a file's size in bytes; or the address; of a
	                   // DEATH 1 if the process has sent itself the signal, else 0
	u64 killed;        // the control group
	u8 terminal[TERMINAL];
};

// What was out of memory (include/linux/oom.h, enum oom_constraint, plus 1).
enum constraint { UNKNOWN, HOST, CPUSET, MEMPOLICY, MEMCG };

struct victim_record {
	u8 kind;
	u8 has_memory;
	u8 constraint;
	u8 observed; // the kernel says so
	u8 asked;    // whoever was running asked for memory
	u8 unused;
	s16 score_adj;
	u32 pid;    // 0 if not known
	u32 thread; // in whose time the victim was chosen
	u64 time;
	// In pages, but the page tables in bytes.
	u64 anon, file, shmem, total, page_tables;
	u64 limit, usage;
	struct group group; // that has reached its limit
	u32 invoker;
	u32 path_length;
	u8 invoker_command[COMMAND];
	// The parts of the group's path, last part first, each with a NUL. The room beyond PATH_MAX + NAME_MAX spares the
	// verifier from trying every length that is possible.
	u8 path[2 * PATH_MAX + NAME_MAX];
};

struct handled_record {
	u8 kind;
	u8 unused[3];
	u32 thread; // as in struct victim_record
};

struct fork_record {
	u8 kind;
	u8 unused[3];
	u32 uid; // real, of the parent
	u32 login; // as in struct party
	u32 session;
	struct identity parent, child;
};

struct exec_record {
	u8 kind;
	u8 deleted;
	u16 path_length;
	u16 arguments_length;
	u16 user_level; // of the user namespace; 0 is the initial one
	struct identity identity;
	struct group group;
	u32 parent;
	u8 command[COMMAND];
	u32 mount_namespace; // its inode number
	u64 root;            // of its files: a number that no other folder has
	u32 uid;             // real
	u32 login;           // as in struct party
	u32 session;
	u32 unused;
	// The parts of the path, last part first, each with a NUL; then the arguments.
	u8 text[PATH_MAX + NAME_MAX + ARGUMENTS];
};

struct changed_record {
	u8 kind;
	u8 unused[3];
	u32 uid; // real
	struct identity identity;
	u32 login; // as in struct party
	u32 session;
};

struct exit_record {
	u8 kind;
	u8 unused[3];
	s32 status; // as waitpid(2) returns it
	u64 time;   // since boot, in ns
	struct identity identity;
	u8 command[COMMAND]; // of the first thread, as it was called at the end
	u32 uid; // real
	u32 login; // as in struct party
	u32 session;
	u32 parent;
};

struct cgroup_record {
	u8 kind;
	u8 unused[3];
	u32 path_length;
	struct group group;
	u8 path[PATH_MAX];
};

struct pulse_record {
	u8 kind;
	u8 unused[3];
	u32 number;
};

// Where a process has connected to, or what it sends there.
struct request_record {
	u8 kind;
	u8 unused[3];
	u32 listener; // the process that listens, in the initial pid namespace
	u64 time;     // since boot, in ns
	struct party requester;
	u32 parent;
	u32 level; // as in struct signal_record
	u32 title_length;
	u32 ancestor_count;
	struct ancestor ancestors[ANCESTORS];
	u8 title[TITLE];
	u8 socket[SOCKET]; // the path under which the listener has bound it
	u32 sent_length;
	// The beginning of the message. Only the first SENT bytes are ever told; the rest spares the verifier from trying
	// every length that is possible.
	u8 sent[2 * SENT];
};

// A path of a socket as it is looked up, padded with zeros. Where it has a number that may be any, that is left out, and
// any is 1.
struct socket_name {
	u8 path[SOCKET];
	u32 any;
};
