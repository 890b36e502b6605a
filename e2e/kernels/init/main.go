// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command init is process 1 of a machine that exists for one test program: it
// mounts what the kernel offers, runs the program, reports over the console how
// it ended, and turns the machine off.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/kernels/internal/console"
)

func main() {
	// The kernel passes what its command line has after --.
	path := os.Args[len(os.Args)-1]
	if os.Getpid() != 1 {
		code, err := run(path)
		if err != nil {
			fmt.Println(err)
		}
		os.Exit(code)
	}
	if err := boot(path); err != nil {
		fmt.Println(console.Broken + err.Error())
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // or the driver runs out of patience
}

// boot makes the machine usable, and starts this program once more to do the
// job: process 1 itself has to wait for whoever else has lost its parent.
func boot(path string) error {
	terminal, err := mount()
	if err != nil {
		return err
	}
	os.Stdout, os.Stderr = terminal, terminal
	var kernel unix.Utsname
	err = errors.Join(delegate(), loopbackUp(), unix.Sethostname([]byte("machine")), unix.Uname(&kernel))
	if err != nil {
		return err
	}
	fmt.Println(console.Kernel + unix.ByteSliceToString(kernel.Release[:]))
	process, err := os.StartProcess("/init", []string{"/init", path}, &os.ProcAttr{
		Env:   []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "CI=true"},
		Files: []*os.File{nil, terminal, terminal},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case pid == process.Pid:
			fmt.Printf("\n%s%d\n", console.Exit, status.ExitStatus())
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		}
	}
}

// run does the job and returns the exit code of its command.
func run(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 1, err
	}
	var job console.Job
	err = json.Unmarshal(text, &job)
	if err != nil {
		return 1, fmt.Errorf("%s: %w", path, err)
	}
	command := exec.Command(job.Command[0], job.Command[1:]...) //nolint:gosec // the driver's
	command.Dir = filepath.Join(console.Sources, job.Folder)
	command.Env = append(os.Environ(), job.Environment...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	err = command.Run()
	return command.ProcessState.ExitCode(), err
}

// mount mounts what a distribution's init mounts, and returns the console.
func mount() (*os.File, error) {
	for _, m := range []struct{ kind, path, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"securityfs", "/sys/kernel/security", ""},
		{"debugfs", "/sys/kernel/debug", ""},
		{"tracefs", "/sys/kernel/tracing", ""},
		{"bpf", "/sys/fs/bpf", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"devtmpfs", "/dev", ""},
		{"devpts", "/dev/pts", "mode=620,ptmxmode=666"},
		{"tmpfs", "/dev/shm", "mode=1777"},
		{"tmpfs", "/run", "mode=755"},
		{"tmpfs", "/tmp", "mode=1777"},
	} {
		if err := os.MkdirAll(m.path, 0o755); err != nil { //nolint:gosec // as everywhere
			return nil, err
		}
		if err := unix.Mount(m.kind, m.path, m.kind, 0, m.options); err != nil {
			return nil, fmt.Errorf("mounting %s on %s: %w", m.kind, m.path, err)
		}
	}
	if err := os.Mkdir("/run/lock", 0o750); err != nil {
		return nil, err
	}
	return os.OpenFile("/dev/console", os.O_RDWR|unix.O_NOCTTY, 0)
}

// delegate lets control groups limit what systemd lets them limit.
func delegate() error {
	return os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+cpu +memory +pids"), 0)
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
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("turning the loopback interface on: %w", err)
	}
	return nil
}
