// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package exitwatch watches how processes end, for sources that do not report it. It holds a
// pidfd of each watched process, and asks the kernel for the exit status. Before Linux 6.15
// it also needs the process connector.
package exitwatch
