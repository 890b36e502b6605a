// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package diagnosis finds out which sources of signals work on a host, why the others do not,
// and what fixes that.
//
// A Host returns Facts, without changing anything on it. Judge draws conclusions from these
// facts alone, so that tests can judge any host anywhere. Its Report is written as a table for
// people or as JSON.
package diagnosis
