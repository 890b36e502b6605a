// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package exitwatch sees how processes end where the source of the signals does not: it
// holds a pidfd of each process that is watched, and asks the kernel for its exit status.
// Before Linux 6.15 it takes the process connector as well.
package exitwatch
