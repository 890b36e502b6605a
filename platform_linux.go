// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

// checkPlatform refuses what does not exist on this operating system.
func checkPlatform(*Config) error { return nil }
