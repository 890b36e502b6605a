// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"os/exec"
	"path/filepath"
)

// machine is what QEMU emulates for one architecture.
type machine struct {
	program   string
	arguments []string
	console   string
}

// A pointer authentication that is computed as the hardware does it would cost
// most of the time of a machine that is emulated.
var machines = map[string]machine{
	"amd64": {"qemu-system-x86_64", []string{"-M", "q35", "-cpu", "max"}, "ttyS0"},
	"arm64": {"qemu-system-aarch64", []string{"-M", "virt", "-cpu", "max,pauth-impdef=on"}, "ttyAMA0"},
}

// boot starts the machine of a folder and writes what its console shows, until
// it is turned off. Drivers for NVMe and ext4 are part of the kernel, so that
// neither modules nor an initramfs are needed.
func (m machine) boot(ctx context.Context, directory, steps string, console io.Writer) error {
	command := exec.CommandContext(ctx, m.program, m.arguments...) //nolint:gosec // one of the table
	command.Args = append(command.Args,
		"-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024",
		"-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
		"-kernel", filepath.Join(directory, "vmlinuz"),
		"-append", "console="+m.console+" loglevel=1 panic=-1 mitigations=off random.trust_cpu=on "+
			"root=/dev/nvme0n1 rootwait rw init=/init -- "+steps,
		"-drive", "if=none,id=disk,format=raw,file="+filepath.Join(directory, "disk.img"),
		"-device", "nvme,drive=disk,serial=disk")
	command.Stdout, command.Stderr = console, console
	return command.Run()
}
