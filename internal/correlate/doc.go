// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package correlate joins the audit records of one event and turns them into a
// kill.Event.
//
// The kernel writes a signal as several records that share a time and a serial
// number: SYSCALL names the sender, one OBJ_PID each target, PROCTITLE the
// sender's command line. They may be interleaved with those of other events and,
// once other tools have processed a log, in any order. A change of the audit system
// is a CONFIG_CHANGE record, with which newer kernels write the SYSCALL and PROCTITLE
// records of the process that made it.
//
// It exists beside go-libaudit's Reassembler because that one holds every record of
// the host, knows events by their serial alone, cannot say how far a file may be
// forgotten, and drops records that are late.
//
// # When an event is closed
//
//   - At once, if it is settled (it has the call, a command line and as many targets
//     as there must be) and addressed to one process.
//   - At once, if it is a change of the audit system that has the call and a command
//     line, or on its EOE record, which only a live source sees.
//   - A short while after its last record, if it is settled and addressed to many,
//     because nothing says how many targets there must be, or if it is a change of the
//     audit system, because nothing says whether there will be more than the change.
//   - After the timeout, otherwise. Kernels before 3.14 write no PROCTITLE, so that
//     each of their events is closed like this, and is complete nevertheless.
//   - If the table is full: settled events first, then the oldest, which is
//     incomplete.
//
// The time since the last record is measured by the clock only once the reader has
// seen everything that was written. While it is catching up, it is measured by the
// times in the log and by the number of records in between, so that neither a slow
// consumer nor two hosts with different clocks close an event too early.
//
// # Facts
//
// Other records are about who is logged in, what was run by sudo, and what systemd has done. They are no
// events, but explain some: they are told at once, as attribution.Fact. What processes say in such records is
// believed only as far as the kernel vouches for it: it adds the process, and the session, that has sent a
// record. So nobody can say anything about the sessions and the services of others. That a container's root
// makes up a session of his own cannot be told from the records.
//
// An event that may be explained by later records (Config.Wait) is held, and with it those after it.
package correlate
