// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package process knows what the host knows about processes and users beyond
// the events themselves.
//
// A Table remembers processes and a Users names users. Of processes, it would
// rather know nothing than take one for another:
//   - A process is its pid and the time it was created, never its pid alone.
//   - Where an event tells no more than pid and time, the process that lives now is
//     it if it was created before; one that is dead is it if its pid cannot have
//     been given out again, which the kernel's counters tell (given).
//   - A program is told only if it bears the name, or has the path, of the event.
package process
