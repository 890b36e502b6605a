// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package outcome follows processes that were sent a fatal signal: did they die, of
// what, and when.
//
// A Table joins the signals to a process and its end into one episode. Either the source of
// the signals reports the end, or an exitwatch.Watcher does.
package outcome
