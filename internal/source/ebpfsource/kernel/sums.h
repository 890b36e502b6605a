// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// Who may fill the ring, and what becomes of the signals that find no room there: equal ones are counted in sums, of which
// there are enough for 65,536 kinds of signals between two looks of the reader. ../sums_linux.go reads them.

#pragma once

#include "record.h"
#include "task.h"

#define SUMS 65536

// What signals must have in common to be counted together.
struct sum_key {
	struct identity sender, target;
	u8 kind, special, group, kernel_thread; // as in struct signal_record
	s32 signal;
	s32 code;
	s32 result;
	struct call call;
};

// A process as the first of them found it.
struct sum_party {
	u32 thread;
	u32 uid, euid, suid;
	u32 login, session;
	u8 command[COMMAND];
	u8 leader[COMMAND];
};

struct sum {
	u64 count; // 0 if the reader wants what follows to be counted here, even while the ring has room
	u64 first, last; // since boot, in ns
	struct sum_party sender, target;
	u32 parent;
	u32 level;
};

// The programs write to one side while the reader empties the other.
struct sums {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SUMS);
	__type(key, struct sum_key);
	__type(value, struct sum);
};
struct sums sums_0 SEC(".maps");
struct sums sums_1 SEC(".maps");

volatile u32 side = 0;
// How many programs have begun and ended to write to each side.
u64 entered[2] = {};
u64 left[2] = {};

volatile u32 storming = 0;  // there are sums
volatile u32 pressed = 0;   // the pipeline is far behind
volatile u32 rounds = 0;    // counts how often the reader has emptied the ring
u64 summed_signals = 0;

volatile u32 looks = 0; // counts how often the reader has changed the side

// How many records of a user's signals are in the ring since the reader has emptied it, how many bytes of records of his
// processes, and how many sums he has begun since it has changed the side.
struct share {
	u32 round;
	u32 records;
	u32 bytes;
	u32 look;
	u32 sums;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct share);
} shares SEC(".maps");

// Signals of each user that neither the ring nor the sums had room for.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} lost_of_users SEC(".maps");

#define IGNORED 1 // include/trace/events/signal.h, TRACE_SIGNAL_IGNORED
#define PENDING 2 // TRACE_SIGNAL_ALREADY_PENDING
#define SIGKILL 9

// in_share counts a record of a user, and reports whether he may have that many.
static __always_inline bool in_share(u32 user, u64 most)
{
	struct share *share = bpf_map_lookup_elem(&shares, &user);
	struct share first = { .round = rounds, .records = 1 };

	if (!share) {
		bpf_map_update_elem(&shares, &user, &first, BPF_ANY);
		return true;
	}
	if (share->round != first.round) {
		share->round = first.round;
		share->records = 1;
		share->bytes = 0;
		return true;
	}
	if (share->records >= most)
		return false;
	share->records++; // to lose one to another processor does no harm
	return true;
}

// in_byte_share counts the record of a process of a user, and reports whether he may have that many bytes.
static __always_inline bool in_byte_share(u32 user, u32 size, u64 most)
{
	struct share *share = bpf_map_lookup_elem(&shares, &user);
	struct share first = { .round = rounds, .bytes = size };

	if (!share) {
		bpf_map_update_elem(&shares, &user, &first, BPF_ANY);
		return true;
	}
	if (share->round != first.round) {
		share->round = first.round;
		share->records = 0;
		share->bytes = size;
		return true;
	}
	if (share->bytes + size > most)
		return false;
	share->bytes += size; // to lose some to another processor does no harm
	return true;
}

// admits reports whether a signal gets a record of its own. While there is much room, all do. Then a user is limited to a
// share, so that others find room: root to a large one. The last quarter is for signals of root that are of consequence, and for
// what the kernel kills, as for lack of memory: whoever has sub-uids has as many shares.
static __always_inline bool admits(u32 user, s32 kind, s32 result, bool kills)
{
	u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	u64 most = ring_size / sizeof(struct signal_record) / (user == 0 ? 4 : 16);

	if (!pressed && used < ring_size / 4 * (user == 0 ? 3 : 1))
		return true;
	if (used >= ring_size / 4 * 3 && (user != 0 && !kills || kind == CALL || result == IGNORED || result == PENDING))
		return false;
	return in_share(user, most);
}

static __always_inline struct sum *find_sum(u32 s, struct sum_key *key)
{
	return s ? bpf_map_lookup_elem(&sums_1, key) : bpf_map_lookup_elem(&sums_0, key);
}

// enter returns the side to write to. The reader, which changes the side, then waits for leave.
static __always_inline u32 enter(void)
{
	u32 s = side & 1;

	for (u32 i = 0; i < 4; i++) {
		__sync_fetch_and_add(&entered[s], 1);
		if ((side & 1) == s)
			return s;
		__sync_fetch_and_add(&left[s], 1);
		s ^= 1;
	}
	return 2;
}

static __always_inline void leave(u32 s)
{
	__sync_fetch_and_add(&left[s & 1], 1);
}

static __always_inline void add_to(struct sum *sum, u64 now)
{
	if (sum->count == 0)
		sum->first = now;
	sum->last = now;
	__sync_fetch_and_add(&sum->count, 1);
}

static __always_inline void sum_party(struct sum_party *to, struct task_struct *task, const struct cred *cred)
{
	to->thread = task->pid;
	to->uid = cred->uid.val;
	to->euid = cred->euid.val;
	to->suid = cred->suid.val;
	login_of(task, &to->login, &to->session);
	copy_command(to->command, task);
	copy_command(to->leader, task->group_leader);
}

// sum_sender describes the process in whose context the kernel sends the signal.
FUNCTION int sum_sender(struct sum *sum)
{
	struct task_struct *sender = bpf_get_current_task_btf();

	if (!sum)
		return 0;
	sum_party(&sum->sender, sender, sender->cred);
	sum->parent = sender->real_parent->tgid;
	sum->level = sender->thread_pid->level;
	return 0;
}

// begin_sum makes a sum of one signal. It fails if there are too many.
static __always_inline bool begin_sum(u32 s, struct sum_key *key, struct task_struct *sender, struct task_struct *target)
{
	struct sum sum = { .count = 1 };
	struct sum *found;
	long failed;

	s |= nothing;
	sum.first = sum.last = bpf_ktime_get_boot_ns();
	if (key->sender.pid)
		sum_sender(&sum);
	if (target)
		sum_party(&sum.target, target, target->real_cred);
	failed = s ? bpf_map_update_elem(&sums_1, key, &sum, BPF_NOEXIST) : bpf_map_update_elem(&sums_0, key, &sum, BPF_NOEXIST);
	if (!failed)
		return true;
	found = find_sum(s, key); // another processor may have been faster
	if (!found)
		return false;
	add_to(found, sum.first);
	return true;
}

// may_sum counts a sum of a user, and reports whether he may begin that many: an ordinary one has a quarter.
static __always_inline bool may_sum(u32 user)
{
	struct share *share;
	u32 look = looks;

	if (user == 0)
		return true;
	share = bpf_map_lookup_elem(&shares, &user);
	if (!share) // others have displaced it
		return true;
	if (share->look != look) {
		share->look = look;
		share->sums = 0;
	}
	if (share->sums >= SUMS / 4)
		return false;
	share->sums++;
	return true;
}

static __always_inline void lose(u32 user)
{
	u64 *lost = bpf_map_lookup_elem(&lost_of_users, &user);
	u64 one = 1;

	__sync_fetch_and_add(&dropped_signals, 1);
	if (lost)
		__sync_fetch_and_add(lost, 1);
	else
		bpf_map_update_elem(&lost_of_users, &user, &one, BPF_NOEXIST);
}

// count_in_sum counts a signal. Without force, it does so only if there is such a sum already, so that a flood stays one.
static __always_inline bool count_in_sum(struct sum_key *key, u32 user, struct task_struct *sender, struct task_struct *target,
	bool force)
{
	u32 s = enter() + nothing;
	struct sum *sum;
	bool counted = false;

	if (s < 2) {
		sum = find_sum(s, key);
		if (sum)
			add_to(sum, bpf_ktime_get_boot_ns());
		counted = sum || force && may_sum(user) && begin_sum(s, key, sender, target);
		leave(s);
	}
	if (counted) {
		storming = 1;
		__sync_fetch_and_add(&summed_signals, 1);
	} else if (force) {
		lose(user);
	}
	return counted;
}

// reserve returns room for the record of a signal. If there is none for this user, the signal is counted instead.
static __always_inline struct signal_record *reserve(struct sum_key *key, struct task_struct *sender, struct task_struct *target)
{
	u32 user = sender->cred->uid.val;
	struct signal_record *r = NULL;

	// What the kernel sends takes the share of the target's user: of his own terminals and timers anybody has as many as he likes.
	if (key->special == 1 || key->kernel_thread || key->special == 2 && !by_call(key->code) && key->call.signal != key->signal)
		user = target ? target->real_cred->uid.val : 0;
	user += nothing;

	if (storming && count_in_sum(key, user, sender, target, false))
		return NULL;
	if (admits(user, key->kind, key->result, key->special == 1 && key->signal == SIGKILL))
		r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r)
		count_in_sum(key, user, sender, target, true);
	return r;
}
