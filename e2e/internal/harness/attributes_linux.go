// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os/exec"
	"syscall"
)

// Attributes returns a command's SysProcAttr for changes, and creates it if necessary.
func Attributes(command *exec.Cmd) *syscall.SysProcAttr {
	if command.SysProcAttr == nil {
		command.SysProcAttr = new(syscall.SysProcAttr)
	}
	return command.SysProcAttr
}

// EndWithTest has a command terminated if the test process ends first, as when it is interrupted.
func EndWithTest(command *exec.Cmd) { Attributes(command).Pdeathsig = syscall.SIGTERM }
