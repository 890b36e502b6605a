// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package diagnosis tells whether a host is ready: which of the sources of signals can be
// used, why another cannot, and what mends that.
//
// A Host is asked for Facts, which changes nothing on it. Judge draws the conclusions
// from these alone, so that any host can be judged anywhere. The Report that it makes is
// written for people or as JSON.
package diagnosis
