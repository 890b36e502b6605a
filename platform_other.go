// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package auditkillreceiver

import (
	"errors"
	"fmt"
	"runtime"
)

// errOnlyLinux is returned for settings that need a Linux kernel.
var errOnlyLinux = errors.New("only on Linux")

// checkPlatform refuses settings that work on Linux only.
func checkPlatform(config *Config) error {
	if runtime.GOOS == "windows" { // where system calls have no names (internal/auditrecord)
		return errOnlyLinux
	}
	for _, kind := range config.namedSources() {
		if kind.onlyLinux {
			return fmt.Errorf("%s: %w; use file to read an audit log that was copied here", kind.key, errOnlyLinux)
		}
	}
	if config.Rules.Manage != nil && *config.Rules.Manage {
		return fmt.Errorf("rules::manage: %w", errOnlyLinux)
	}
	return nil
}
