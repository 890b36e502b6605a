// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package pluginsource

// dropFileRights does nothing: only on Linux do the tests run as root.
func dropFileRights() {}
