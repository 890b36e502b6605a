// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate ./tools/mdatagen.sh

// Package auditkillreceiver reports which process sent the signal that ended another one.
// It captures signals from the Linux kernel, and emits one log record per signal and target process,
// and the outcome of each fatal signal as a log record and a span.
package auditkillreceiver
