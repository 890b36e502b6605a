// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package process adds what the host knows about processes and users to the events.
//
// A Table remembers processes, and a Users names users. The table prefers knowing
// nothing about a process to mistaking another process for it:
//   - A process is identified by its pid and the time it was created, never by its
//     pid alone.
//   - If an event has only a pid and a time, the living process with that pid counts
//     if it was created before the event. One that has ended counts if its pid cannot
//     have been given out again, according to the kernel's counters (mayBeNew).
//   - A program is reported only if it has the name or the path in the event.
//
// It also prefers knowing nothing to mistaking a container for the host: what a path, a user id or a
// pid means depends on who uses it (homes).
package process
