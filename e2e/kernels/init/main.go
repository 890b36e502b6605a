// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command init is process 1 of a machine that exists for tests: it mounts what
// the kernel offers, runs the steps of a plan one after the other, says over the
// console how each went, and turns the machine off.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/kernels/internal/plan"
)

// runner is the argument of the process that runs the steps. It is not process 1,
// which has to wait for whatever else ends.
const runner = "run"

func main() {
	if os.Getpid() != 1 {
		if err := runSteps(os.Args[2]); err != nil {
			fmt.Println(plan.Broken + err.Error())
		}
		return
	}
	if err := boot(os.Args[len(os.Args)-1]); err != nil {
		fmt.Println(plan.Broken + err.Error())
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // or the machine outside runs out of patience
}

// boot makes the machine usable and waits for the process that runs the steps.
func boot(steps string) error {
	if err := mountAll(); err != nil {
		return err
	}
	console, err := os.OpenFile("/dev/console", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	os.Stdout, os.Stderr = console, console
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("the loopback interface: %w", err)
	}
	process, err := os.StartProcess("/init", []string{"/init", runner, steps}, &os.ProcAttr{
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "TERM=dumb", "CI=true"},
		// Programs that are run have no terminal, as in CI.
		Files: []*os.File{nil, console, console},
		Sys:   &unix.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if pid == process.Pid || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// mountAll mounts what a distribution's init mounts.
func mountAll() error {
	for _, m := range []struct{ kind, path, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"devpts", "/dev/pts", "mode=620,ptmxmode=666"},
		{"tmpfs", "/dev/shm", "mode=1777"},
		{"tmpfs", "/run", "mode=755"},
		{"tmpfs", "/tmp", "mode=1777"},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"tracefs", "/sys/kernel/tracing", ""},
		{"debugfs", "/sys/kernel/debug", ""},
		{"bpf", "/sys/fs/bpf", ""},
		{"securityfs", "/sys/kernel/security", ""},
	} {
		if err := os.MkdirAll(m.path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.path, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.kind, m.path, err)
		}
	}
	return os.Mkdir("/run/lock", 0o1777)
}

// loopbackUp lets the collector and its tests talk to each other.
func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

// runSteps runs the steps that a file on the disk lists.
func runSteps(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var steps []plan.Step
	if err := json.Unmarshal(text, &steps); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, step := range steps {
		fmt.Println(plan.Begin + step.Name)
		command := exec.Command(step.Command[0], step.Command[1:]...) //nolint:gosec // the plan's
		command.Dir = filepath.Join(plan.Directory, step.Name)
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		if err := command.Run(); err != nil {
			fmt.Println(err)
		}
		fmt.Printf("\n%s%d\n", plan.End, command.ProcessState.ExitCode())
	}
	fmt.Println(plan.Done)
	return nil
}
