// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package auditrules

// machine returns the most usual one: elsewhere rules can only be shown.
func machine() string { return "x86_64" }
