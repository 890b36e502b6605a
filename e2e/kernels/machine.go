// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"os/exec"
	"slices"
	"time"
)

// machine is what QEMU emulates for one architecture.
type machine struct {
	program   string
	arguments []string
	// parameters are those of the kernel that only this machine needs.
	parameters string
}

// On a busy host an emulated timer seems not to work when the kernel checks it at boot.
// Pointer authentication that is computed as the hardware does it would take most of
// the time.
var machines = map[string]machine{
	"amd64": {"qemu-system-x86_64", []string{"-M", "q35", "-cpu", "max"}, "console=ttyS0 no_timer_check"},
	"arm64": {"qemu-system-aarch64", []string{"-M", "virt", "-cpu", "max,pauth-impdef=on"}, "console=ttyAMA0"},
}

// boot has the machine do the job in a file of its disk, from when it is turned on
// until it turns itself off, and writes what its console shows. What it has written to
// the disk is there the next time if keep is set. It returns how much processor time that took.
//
// The disk is NVMe and ext4, whose drivers are part of Debian's kernels: so it
// takes neither an initramfs nor modules, and the machine's memory is left to the
// tests. Only the kernel's own panic goes to the console, which must not mix with
// the output of the tests.
func (m machine) boot(ctx context.Context, kernel, disk, job string, keep bool, console io.Writer) (time.Duration, error) {
	arguments := slices.Concat(m.arguments, []string{
		"-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024",
		"-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
		"-drive", "if=none,id=disk,format=raw,file=" + disk, "-device", "nvme,drive=disk,serial=disk",
		"-kernel", kernel, "-append", m.parameters + " loglevel=1 panic=-1 mitigations=off psi=1 random.trust_cpu=on " +
			"root=/dev/nvme0n1 rootwait rw init=/init -- " + job,
	})
	if !keep {
		arguments = append(arguments, "-snapshot")
	}
	qemu := exec.CommandContext(ctx, m.program, arguments...) //nolint:gosec // one of the table
	qemu.Stdout, qemu.Stderr = console, console
	err := qemu.Run()
	if qemu.ProcessState == nil {
		return 0, err
	}
	return qemu.ProcessState.UserTime() + qemu.ProcessState.SystemTime(), err
}
