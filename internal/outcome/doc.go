// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package outcome follows processes that were sent a fatal signal: did they die, of
// what, and when.
//
// A Table joins the signals and the end of each into one episode. Of the ends it is
// told by events of kill.KindExit: either the source of the signals makes them, or an
// exitwatch.Watcher does.
package outcome
