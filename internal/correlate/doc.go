// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package correlate joins the audit records of one event and turns them into a
// kill.Event.
//
// The kernel writes a signal as several records that share a time and a serial
// number: SYSCALL names the sender, one OBJ_PID each target, PROCTITLE the
// sender's command line. They may come interleaved with those of other events,
// and, once a log went through other tools, in any order. A change of the audit
// system is a CONFIG_CHANGE record, with which newer kernels write the SYSCALL
// and PROCTITLE records of whoever made it.
//
// It exists beside go-libaudit's Reassembler because that one holds every
// record of the host, knows events by their serial alone, cannot tell how far
// a file may be forgotten, and drops what is late.
//
// # When an event is closed
//
//   - At once, if it is settled (the call, a command line and as many targets as
//     there must be are there) and addressed to one process.
//   - At once, if it is a change of the audit system and the call and a command
//     line are there, or with its EOE record, which only a live source sees.
//   - A short while after its last record, if it is settled and addressed to many,
//     since nothing tells how many there must be, or if it is a change of the audit
//     system, since nothing tells whether there will be more than the change.
//   - After the timeout, else. Kernels before 3.14 write no PROCTITLE, so that
//     every event of theirs is closed like this, and is complete nevertheless.
//   - If the table is full: settled ones first, then the oldest, which is
//     incomplete.
//
// How long ago the last record came is measured by the clock only when the
// reader has seen all that was written; while it is catching up, by the times
// in the log and by the number of records in between, so that neither a slow
// consumer nor two hosts with different clocks close an event too early.
package correlate
