// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package oomwatch

import (
	"errors"
	"time"
)

// History is what the kernel's log still holds: nothing is known of it here.
type History struct{}

// Has reports that it holds nothing.
func (*History) Has(time.Duration, string) bool { return false }

// Time is never asked for.
func (*History) Time(time.Duration) time.Time { return time.Time{} }

// Check fails: only Linux has the log.
func Check(string) error { return errors.ErrUnsupported }
