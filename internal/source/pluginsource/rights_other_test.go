// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package pluginsource

// dropFileRights has nothing to do but for root, which tests on Linux only are.
func dropFileRights() {}
