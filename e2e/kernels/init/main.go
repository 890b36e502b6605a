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
	j, err := read(path)
	if os.Getpid() != 1 {
		os.Exit(run(j, err))
	}
	if j.Systemd {
		err = handOver(path) // which returns only if it fails
	} else {
		err = boot(path) // where the job shows that it could not be read
	}
	if err != nil {
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
	err = errors.Join(delegate(), loopbackUp(), unix.Sethostname([]byte("machine")))
	if err != nil {
		return err
	}
	fmt.Println(console.Kernel + release())
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

// read reads the file of a job.
func read(path string) (j console.Job, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return j, err
	}
	if err := json.Unmarshal(text, &j); err != nil {
		return j, fmt.Errorf("%s: %w", path, err)
	}
	return j, nil
}

// run does the job, unless it could not be read, and returns the exit code of its command.
func run(j console.Job, err error) int {
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if j.Systemd {
		fmt.Println(console.Kernel + release())
	}
	command := exec.Command(j.Command[0], j.Command[1:]...) //nolint:gosec // the driver's
	command.Dir = filepath.Join(console.Sources, j.Folder)
	command.Env = append(os.Environ(), j.Environment...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		fmt.Println(err)
	}
	code := command.ProcessState.ExitCode()
	if j.Systemd {
		fmt.Printf("\n%s%d\n", console.Exit, code)
	}
	return code
}

// release returns the release of the kernel.
func release() string {
	var kernel unix.Utsname
	_ = unix.Uname(&kernel) // cannot fail
	return unix.ByteSliceToString(kernel.Release[:])
}

// service is the job for systemd, which turns the machine off after it.
const service = `[Unit]
Wants=dbus.socket systemd-oomd.service
After=dbus.socket systemd-oomd.service
SuccessAction=poweroff-immediate
FailureAction=poweroff-immediate
[Service]
Type=oneshot
Environment=HOME=/root CI=true
ExecStart=/init %s
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/console
`

// handOver makes systemd process 1, and the job its service.
func handOver(path string) error {
	err := errors.Join(
		os.WriteFile("/etc/systemd/system/job.service", fmt.Appendf(nil, service, path), 0o600),
		os.WriteFile("/etc/machine-id", []byte("0123456789abcdef0123456789abcdef\n"), 0o600), // or this is a first boot
		os.WriteFile("/etc/hostname", []byte("machine\n"), 0o600),
	)
	if err != nil {
		return err
	}
	const systemd = "/lib/systemd/systemd"
	return fmt.Errorf("%s: %w", systemd, syscall.Exec(systemd, []string{systemd, "--unit=job.service", "--show-status=0", "--log-target=null"}, os.Environ())) //nolint:gosec // the driver's
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
