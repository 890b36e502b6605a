// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/moby/sys/capability"

	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/problem"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// pidfdInfo is the first version of struct pidfd_info (include/uapi/linux/pidfd.h), which
// golang.org/x/sys lacks.
type pidfdInfo struct {
	mask     uint64
	_        uint64     // cgroupid
	_        [11]uint32 // pid to fsgid
	exitCode int32
}

const (
	// pidfdGetInfo is PIDFD_GET_INFO: _IOWR(0xFF, 11, struct pidfd_info).
	pidfdGetInfo = 3<<30 | unsafe.Sizeof(pidfdInfo{})<<16 | 0xff<<8 | 11
	// pidfdInfoExit is PIDFD_INFO_EXIT, since Linux 6.15.
	pidfdInfoExit = 1 << 3
)

// exitOf returns the exit status of a process that its parent has reaped. Before that, the
// kernel does not report it, and some kernels leak memory if asked.
func exitOf(pidfd int) kill.Exit {
	info := pidfdInfo{mask: pidfdInfoExit}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(pidfd), pidfdGetInfo, uintptr(unsafe.Pointer(&info))) //nolint:gosec // a system call
	if errno != 0 || info.mask&pidfdInfoExit == 0 {
		return kill.Exit{}
	}
	return kill.Exit{Known: true, Status: int(info.exitCode)}
}

// poll returns the events of a pidfd: POLLIN once the process has ended, and POLLHUP once its
// parent has reaped it, which no kernel before Linux 6.9 reports.
func poll(pidfd int) int16 {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return fds[0].Revents
		}
	}
}

// explainOpen says what fixes a failure to open a pidfd.
func explainOpen(pid int, err error) error {
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return fmt.Errorf("process %d: %w", pid, outcome.ErrGone) // the last two: the id is a thread's now
	case errors.Is(err, unix.EMFILE):
		return &problem.Problem{
			Err: fmt.Errorf("watching process %d: %w", pid, err),
			Fix: "allow this process more file descriptors, with systemd by LimitNOFILE=",
		}
	case errors.Is(err, unix.ENFILE):
		return &problem.Problem{Err: fmt.Errorf("watching process %d: %w", pid, err), Fix: "raise the sysctl fs.file-max"}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return &problem.Problem{
			Err: fmt.Errorf("watching process %d: pidfd_open: %w", pid, err),
			Fix: "allow that system call in the seccomp profile of this process",
		}
	case errors.Is(err, unix.ENOSYS):
		return &problem.Problem{
			Err: fmt.Errorf("watching process %d: pidfd_open: %w", pid, err), Fix: "use Linux 5.3 or newer, or grant CAP_NET_ADMIN",
		}
	}
	return fmt.Errorf("watching process %d: pidfd_open: %w", pid, err)
}

// explainStat says what fixes a failure to read the /proc files of a process that is alive.
func explainStat(pid int, proc string, err error) error {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return explainOpen(pid, err)
	}
	return &problem.Problem{
		Err:     fmt.Errorf("watching process %d: reading %s%d/stat: %w", pid, proc, pid, err),
		Lacking: privilege.Lacking(capability.CAP_SYS_PTRACE),
		Fix:     "mount /proc without hidepid",
	}
}
