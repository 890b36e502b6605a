// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// The programs that report requests: who connects to a manager's socket, and what is sent there.
//
// Only what the kernel itself knows counts. The path is the one under which the listener has bound its socket: the kernel
// hands it on to each connection (net/unix/af_unix.c, unix_stream_connect). What a client has asked for may lead anywhere
// in a mount namespace of its own. The listener is told, too: anybody may bind a socket of any name there.

#pragma once

#include "record.h"
#include "task.h"

#define AF_UNIX 1
#define SOCK_DGRAM 2

void *bpf_rdonly_cast(const void *object, u32 type) __ksym __weak;

// MEMBER reads a member of what a pointer points to that the verifier knows nothing of. Since Linux 6.2 that is a single
// instruction, and before that a call.
#define MEMBER(type, pointer, member)                                                                             \
	(bpf_rdonly_cast ? ((type *)bpf_rdonly_cast(pointer, bpf_core_type_id_kernel(type)))->member              \
			 : BPF_CORE_READ((type *)(pointer), member))

// The paths of the listed sockets, by their numbers.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct socket_name);
	__type(value, u32);
} sockets SEC(".maps");

// A process at a socket. It is another one once it runs another program, or acts as another user.
struct visitor {
	u64 start;
	u64 memory;
	u32 pid;
	u32 euid;
	u32 listener;
	u32 socket;
};

struct visits {
	u64 since;
	u64 count;
};

// How often visitors were told lately. Whoever makes others forgotten only makes them told more often.
struct counts {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct visitor);
	__type(value, struct visits);
};
struct counts connects_told SEC(".maps");
struct counts messages_told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct request_record);
} request_scratch SEC(".maps");

// A manager's socket, as a client is connected to it.
struct place {
	const char *path;
	u32 length;
	u32 socket; // its number
	u32 listener;
};

// copy_path copies a path that is not longer than the most.
static __always_inline bool copy_path(u8 *to, u64 length, u64 most, const char *from)
{
	// The verifier has to see that what is compared is what is passed on.
	asm volatile("" : "+r"(length));
	return length <= most && !bpf_probe_read_kernel(to, length, from);
}

static __always_inline bool digit(u8 c)
{
	return c >= '0' && c <= '9';
}

#define RUN_USER 0x6573752f6e75722f // the first word of /run/user/
#define DIGITS 10 // of the largest pid or user id

// omit_user leaves out the user's number after /run/user/. It reports whether there was one.
static __always_inline bool omit_user(struct socket_name *name, const char *path, u32 length)
{
	const u32 at = 10;
	u32 n;

	if (*(u64 *)&name->path[0] != RUN_USER || *(u16 *)&name->path[8] != 0x2f72) // "r/"
		return false;
	for (n = 0; n < DIGITS && digit(name->path[at + n]); n++)
		;
	if (n == 0 || length <= at + n)
		return false;
	__builtin_memset(name, 0, sizeof(*name));
	name->any = 1;
	return copy_path(name->path, at, at, path) && copy_path(&name->path[at], length - at - n, SOCKET - 1 - at, path + at + n);
}

// omit_end leaves out a number at the end, where supervisord puts its pid: it binds its socket under such a name, and
// makes a link to it afterwards.
static __always_inline bool omit_end(struct socket_name *name, const char *path, u32 length)
{
	u8 end[DIGITS] = {};
	u32 n;

	if (length <= DIGITS || bpf_probe_read_kernel(end, sizeof(end), path + length - DIGITS))
		return false;
	for (n = 0; n < DIGITS && digit(end[DIGITS - 1 - n]); n++)
		;
	if (n == 0)
		return false;
	__builtin_memset(name, 0, sizeof(*name));
	name->any = 1;
	return copy_path(name->path, length - n, SOCKET - 1, path);
}

const volatile u64 socket_ends = 0; // see may_end
const volatile u64 socket_ends_64 = 0;
const volatile bool socket_ends_in_digit = false;

// in_set reports whether a set of 128 hashes has that of a word.
static __always_inline bool in_set(u64 word, u64 first, u64 second)
{
	u64 bit = word * 0x9e3779b97f4a7c15 >> 57;

	return (bit < 64 ? first : second) >> (bit & 63) & 1;
}

// may_begin reports whether a listed socket's path may begin like this one: its bytes 8 to 15 tell most others, or what
// comes before a user's number. ../connects_linux.go computes the same.
static __always_inline bool may_begin(const u64 *words)
{
	u64 second = words[1];

	if (words[0] == RUN_USER)
		second &= 0xffff;
	return in_set(second, socket_beginnings, socket_beginnings_64);
}

// may_end reports the same of how the path ends: its last 8 bytes, or 4 that come after a user's number. A number at the
// end may be any. This spares copying and looking up the path of a socket that lies beside a listed one.
static __always_inline bool may_end(const u64 *words, const char *path, u32 length)
{
	u64 last;

	if (bpf_probe_read_kernel(&last, sizeof(last), path + length - sizeof(last)))
		return false;
	if (digit(last >> 56))
		return socket_ends_in_digit;
	if (words[0] == RUN_USER)
		last >>= 32;
	return in_set(last, socket_ends, socket_ends_64);
}

// number_of returns the number of a listed socket. Most others are told by their length, beginning and end.
static __always_inline u32 *number_of(const char *path, u32 length)
{
	struct socket_name name;
	u64 words[2];
	u64 lengths = length < 64 ? socket_lengths : socket_lengths_64;
	u32 *number;

	if (length >= SOCKET || !(lengths >> (length & 63) & 1) || bpf_probe_read_kernel(words, sizeof(words), path) ||
	    length >= sizeof(words) && (!may_begin(words) || !may_end(words, path, length)))
		return NULL;
	__builtin_memset(&name, 0, sizeof(name));
	if (!copy_path(name.path, length, SOCKET - 1, path) || name.path[0] != '/')
		return NULL;
	number = bpf_map_lookup_elem(&sockets, &name);
	if (number)
		return number;
	if (omit_user(&name, path, length) || omit_end(&name, path, length))
		return bpf_map_lookup_elem(&sockets, &name);
	return NULL;
}

// find reports whether a socket is connected to a listed one. Its peer is the listener's end of the connection.
static __always_inline bool find(struct place *to, struct sock *sk)
{
	struct sock *peer = MEMBER(struct unix_sock, sk, peer);
	const u32 family = 2; // before the path in a struct sockaddr_un
	struct unix_address *address;
	u32 *number;

	if (!peer)
		return false;
	address = MEMBER(struct unix_sock, peer, addr);
	if (!address) // as a client's own end, or a pair of sockets
		return false;
	to->length = MEMBER(struct unix_address, address, len) - family - 1 /* NUL */;
	to->path = (void *)address + bpf_core_field_offset(struct unix_address, name) + family;
	number = number_of(to->path, to->length);
	if (!number)
		return false;
	to->socket = *number;
	to->listener = BPF_CORE_READ(sk, sk_peer_pid, numbers[0].nr);
	return true;
}

#define MOMENT 50000000 // ns

// too_often counts a visit, and reports whether the visitor was told as often as it may be within a moment. This is by
// process, so that nobody's requests can keep those of others from being told.
static __always_inline bool too_often(void *told, struct task_struct *task, struct place *at, u64 most)
{
	struct visitor visitor = {
		.start = task->group_leader->start_boottime, .memory = (u64)task->mm, .pid = task->tgid,
		.euid = task->cred->euid.val, .listener = at->listener, .socket = at->socket,
	};
	struct visits *known = bpf_map_lookup_elem(told, &visitor);
	struct visits first = { .since = bpf_ktime_get_boot_ns(), .count = 1 };

	if (!known) {
		bpf_map_update_elem(told, &visitor, &first, BPF_ANY);
		return false;
	}
	if (first.since - known->since >= MOMENT) {
		*known = first;
		return false;
	}
	return __sync_fetch_and_add(&known->count, 1) >= most;
}

// no_room_for_request reports whether the ring is too full. It leaves more free than the records of processes do, except
// to root: ordinary users can displace neither signals, processes nor what root asks for.
static __always_inline bool no_room_for_request(struct task_struct *task)
{
	u64 limit = task->cred->euid.val == 0 ? room_for_signals : room_for_requests;

	if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) <= limit)
		return false;
	__sync_fetch_and_add(&dropped_requests, 1);
	return true;
}

// The part of struct request_record that is about the requester: a function of its own takes only whole structs, and a
// record has room only for what is in use.
struct request_requester {
	struct party party;
	u32 parent;
	u32 level;
	u32 title_length;
	u32 ancestor_count;
	struct ancestor ancestors[ANCESTORS];
	u8 title[TITLE];
};

_Static_assert(__builtin_offsetof(struct request_record, requester) + sizeof(struct request_requester) ==
		       __builtin_offsetof(struct request_record, socket), "the fields are the same");

// add_requester describes the process that is running.
FUNCTION int add_requester(struct request_requester *r)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (!r)
		return 0;
	describe(&r->party, task, task->cred);
	r->parent = task->real_parent->tgid;
	r->level = task->thread_pid->level;
	r->ancestor_count = parents(r->ancestors, task->group_leader);
	r->title_length = copy_title(r->title, task);
	return 0;
}

static __always_inline void add_request(struct request_record *r, u8 kind, struct place *at)
{
	r->kind = kind;
	r->listener = at->listener;
	r->time = bpf_ktime_get_boot_ns();
	add_requester((struct request_requester *)&r->requester);
	__builtin_memset(r->socket, 0, sizeof(r->socket));
	copy_path(r->socket, at->length, SOCKET - 1, at->path);
	r->sent_length = 0;
}

// by_others reports whether somebody's requests are of interest at all: not the reader's own.
static __always_inline bool by_others(struct task_struct *task)
{
	return task->tgid != self && !(task->flags & PF_KTHREAD);
}

// connected reports a socket that was just connected. A process that connects all the time is told once in a moment,
// which is exact enough: what it asks for comes later than that.
static __always_inline int connected(struct sock *sk)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct request_record *r;
	struct place at;

	if (!by_others(task) || !find(&at, sk) || too_often(&connects_told, task, &at, 1) || no_room_for_request(task))
		return 0;
	r = bpf_ringbuf_reserve(&ring, __builtin_offsetof(struct request_record, sent), 0);
	if (!r) {
		__sync_fetch_and_add(&dropped_requests, 1);
		return 0;
	}
	add_request(r, CONNECT, &at);
	bpf_ringbuf_submit(r, life());
	return 0;
}

// There are three ways to see a connect that has succeeded; ../connects_linux.go chooses the cheapest that the kernel
// permits. A program of a control group (cgroup/connect_unix) is none: it runs before the connect, and sees only the path
// that the client has asked for.

// This costs only connects to sockets of this kind anything, and also sees those of io_uring.
SEC("fexit/unix_stream_connect")
int BPF_PROG(stream_connected, struct socket *socket, void *address, int length, int flags, int result)
{
	return result ? 0 : connected(socket->sk);
}

// call_connected reports the socket of a connect(2) that has succeeded. By now the file descriptor may be another file's:
// the process would only lie about itself.
static __always_inline int call_connected(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file = NULL;
	struct fdtable *table;
	struct socket *socket;
	struct sock *sk;
	s32 fd = -1;

	if (!connecting(&fd))
		return 0;
	table = task->files->fdt;
	if (fd < 0 || fd >= table->max_fds)
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	if (!file)
		return 0;
	socket = MEMBER(struct file, file, private_data);
	if (!socket || MEMBER(struct socket, socket, file) != file) // it is no socket
		return 0;
	sk = MEMBER(struct socket, socket, sk);
	if (!sk || MEMBER(struct sock, sk, __sk_common.skc_family) != AF_UNIX ||
	    MEMBER(struct sock, sk, sk_type) == SOCK_DGRAM)
		return 0;
	return connected(sk);
}

// As sys_exit_kill, see call_ended.
SEC("tracepoint/syscalls/sys_exit_connect")
int connect_ended(u64 *context)
{
	const u32 result = 2; // struct sys_exit

	return context[result] ? 0 : call_connected();
}

// segment returns one part of a message that is about to be sent.
static __always_inline u64 segment(struct iov_iter *from, u32 index, void **base)
{
	const struct iovec *parts;
	struct iovec part = {};
	u64 offset = BPF_CORE_READ(from, iov_offset);

	*base = NULL;
	if (bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
	    BPF_CORE_READ(from, iter_type) == bpf_core_enum_value(enum iter_type, ITER_UBUF)) {
		if (index > 0)
			return 0;
		*base = BPF_CORE_READ(from, ubuf) + offset;
		return BPF_CORE_READ(from, count);
	}
	if (BPF_CORE_READ(from, iter_type) != bpf_core_enum_value(enum iter_type, ITER_IOVEC) ||
	    index >= BPF_CORE_READ(from, nr_segs))
		return 0;
	if (bpf_core_field_exists(((struct iov_iter___since *)0)->__iov)) {
		asm volatile("" : "+r"(from)); // or the compiler chooses between the offsets, of which there is only one
		parts = BPF_CORE_READ((struct iov_iter___since *)from, __iov);
	} else {
		asm volatile("" : "+r"(from));
		parts = BPF_CORE_READ((struct iov_iter___before *)from, iov);
	}
	bpf_probe_read_kernel(&part, sizeof(part), &parts[index]);
	if (index > 0 || offset > part.iov_len)
		offset = 0;
	*base = part.iov_base + offset;
	return part.iov_len - offset;
}

#define SEGMENTS 4 // of a message that are joined: sd-bus sends the header and each part of the body by itself

// add_message copies the beginning of a message. The process may change it before it is sent, and only lies about itself.
static __always_inline void add_message(struct request_record *r, struct iov_iter *from)
{
	u64 length, at = 0;
	void *base;

	for (u32 i = 0; i < SEGMENTS; i++) {
		length = segment(from, i, &base);
		if (length > SENT)
			length = SENT;
		if (at >= SENT || bpf_probe_read_user(&r->sent[at & (SENT - 1)], length, base))
			break;
		at += length;
	}
	r->sent_length = at > SENT ? SENT : at;
}

// may_ask reports whether a message may be a call to a manager: a method call of D-Bus or what comes before it, Varlink,
// HTTP or XML.
static __always_inline bool may_ask(struct iov_iter *message)
{
	u8 start[2] = {};
	void *base;
	u64 length = segment(message, 0, &base);

	if (length == 0 || bpf_probe_read_user(start, length < sizeof(start) ? 1 : sizeof(start), base))
		return false;
	switch (start[0]) {
	case 'l': return start[1] == 1;
	case 'B': return start[1] == 1 || start[1] == 'E'; // BEGIN
	case 0: case 'A': case '{': case '<': case 'P': case 'D': // AUTH, POST, DELETE
		return true;
	}
	return false;
}

#define MOST_MESSAGES 64 // of a process in a moment

SEC("fentry/unix_stream_sendmsg")
int BPF_PROG(stream_sent, struct socket *socket, struct msghdr *message)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct iov_iter *from = &message->msg_iter;
	struct request_record *r;
	struct place at;
	u32 zero = 0;
	u64 length;

	if (!find(&at, socket->sk) || !by_others(task) || !may_ask(from) ||
	    too_often(&messages_told, task, &at, MOST_MESSAGES) || no_room_for_request(task))
		return 0;
	r = bpf_map_lookup_elem(&request_scratch, &zero);
	if (!r)
		return 0;
	add_request(r, MESSAGE, &at);
	add_message(r, from);
	length = r->sent_length;
	if (length > SENT)
		length = SENT;
	if (bpf_ringbuf_output(&ring, r, __builtin_offsetof(struct request_record, sent) + length, life()))
		__sync_fetch_and_add(&dropped_requests, 1);
	return 0;
}
