// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the distribution that `make otelcol` builds, as its users
// run it: a process with a configuration file, whose output and metrics are
// looked at from outside.
//
// It is a module of its own so that what it needs stays out of the receiver's.
// It imports nothing of the receiver: what must be true of the output is said
// here once more, independently.
package e2e
