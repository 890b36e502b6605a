// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package process

import "time"

// BootTime returns the zero time: only Linux is supported.
func BootTime() time.Time { return time.Time{} }

// SinceBoot returns 0: only Linux is supported.
func SinceBoot() time.Duration { return 0 }

// threadTime returns 0: only Linux is supported.
func threadTime() time.Duration { return 0 }
