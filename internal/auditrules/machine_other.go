// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package auditrules

// machine returns the most common one: on other systems rules can only be shown.
func machine() string { return "x86_64" }
