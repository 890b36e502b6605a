// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package netlinksource takes signal events from the kernel the moment they
// happen, over the audit system's netlink socket.
//
// # Two ways to listen
//
// One process may be the kernel's audit daemon (unicast). Without a daemon the
// kernel prints every record to its own log. Anybody with CAP_AUDIT_READ may
// listen beside it (multicast). The source listens beside a daemon, or is the
// daemon where there is none, and by default follows a change.
//
// # How data flows
//
//	socket -> reader -> correlator -> queue -> Run -> deliver
//
// The reader has a goroutine of its own that never waits for the pipeline: what
// does not fit into the queue is dropped and counted. A supervisor looks at the
// kernel's state once a second, over a socket of its own, as replies would be
// lost among the records.
//
// # What it guarantees
//
//   - No system call of the host waits for the source: as the audit daemon it
//     sets the kernel's backlog_wait_time to 0.
//   - It never takes the place of a running audit daemon, and gives its own to
//     one that asks (mode auto).
//   - Changing the way of listening neither loses nor repeats a record.
//   - At shutdown the kernel's settings are as they were found.
//
// # What it does not
//
//   - What happens while no collector runs is in nobody's records; use the file
//     source beside auditd if that matters.
//   - After a kill -9 the settings of the kernel stay as they are:
//     backlog_wait_time 0 and a larger backlog_limit, which harm nobody.
package netlinksource
