// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package netlinksource receives signal events from the kernel as they happen, over
// the audit system's netlink socket.
//
// # Two ways to listen
//
// One process may be the kernel's audit daemon (unicast). Without a daemon the
// kernel prints every record to its own log. Any process with CAP_AUDIT_READ may
// listen beside the daemon (multicast). The source listens beside a daemon, or acts
// as the daemon where there is none, and by default adapts when that changes.
//
// # How data flows
//
//	socket -> reader -> correlator -> queue -> Run -> deliver
//
// The reader has a goroutine of its own that never waits for the pipeline: what
// does not fit into the queue is dropped and counted. A supervisor checks the
// kernel's state once a second, over a socket of its own, because replies would be
// lost among the records.
//
// # Guarantees
//
//   - No system call of the host waits for the source: as the audit daemon it
//     sets the kernel's backlog_wait_time to 0.
//   - It never takes the place of a running audit daemon, and gives up its own to
//     a daemon that asks for it (mode auto).
//   - Changing the way of listening neither loses nor repeats a record.
//   - After shutdown the kernel's settings are what they were before.
//
// # Not guaranteed
//
//   - Nothing records what happens while no collector runs; use the file source
//     beside auditd if that matters.
//   - After a kill -9 the kernel keeps the settings: backlog_wait_time 0 and a larger
//     backlog_limit, which do no harm.
package netlinksource
