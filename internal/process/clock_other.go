// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package process

import "time"

// BootTime returns the zero time: only Linux has processes to tell of.
func BootTime() time.Time { return time.Time{} }

// SinceBoot returns 0: only Linux has processes to tell of.
func SinceBoot() time.Duration { return 0 }
