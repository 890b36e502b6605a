// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate ./tools/mdatagen.sh

// Package auditkillreceiver answers which process sent the signal that ended another one.
// It reads signal events from the Linux kernel and emits one log record per signal and target process.
package auditkillreceiver
