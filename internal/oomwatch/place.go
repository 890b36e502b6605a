// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package oomwatch

import "time"

// Place is a place in the kernel's log.
type Place struct {
	// Boot identifies the boot that it is about.
	Boot string `json:"boot"`
	// Sequence is the number of the last record of which nothing remains to be reported.
	Sequence uint64 `json:"sequence"`
	// Ahead is how far the time since boot was ahead of the log's clock.
	Ahead time.Duration `json:"ahead"`
}
