// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package outcome finds out whether processes died of the fatal signals that they were
// sent, how and when.
//
// A Table joins the signals to a process and its end into one episode. The end is reported
// by the source of the signals or, if the source cannot, by an exitwatch.Watcher.
package outcome
