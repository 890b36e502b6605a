// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// getProcess is NS_GET_TGID_FROM_PIDNS of include/uapi/linux/nsfs.h, since Linux 6.11.
	getProcess = 0x8004b707
	// scanInterval is how often all processes may be looked at, which takes some milliseconds.
	scanInterval = 100 * time.Millisecond
)

// translator finds processes that are named by their pid in another pid namespace.
type translator struct {
	mu      sync.Mutex
	scanned time.Time
}

// outer returns the pid, in our own pid namespace, of a process in that of a systemd; 0 if it cannot be found.
func (t *translator) outer(of *process, pid int) int {
	if !of.nested || pid <= 0 {
		return max(pid, 0)
	}
	namespace, err := unix.Openat(of.dir, "ns/pid", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(namespace)
	// It returns the pid instead of 0, so that IoctlRetInt does.
	found, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(namespace), getProcess, uintptr(pid))
	switch errno {
	case 0:
		return int(found)
	case unix.ESRCH:
		return 0
	}
	return t.scan(of, pid)
}

// scan looks at all processes, unless it has just done so. Newer kernels know it themselves.
func (t *translator) scan(of *process, pid int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.scanned) < scanInterval {
		return 0
	}
	defer func() { t.scanned = time.Now() }()
	namespace := link64(of.dir, "ns/pid")
	proc, err := os.Open(filepath.Join(of.root, "proc"))
	if err != nil || namespace == "" {
		return 0
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		if outer, err := strconv.Atoi(name); err == nil && innerPID(proc, name) == pid && link64(int(proc.Fd()), name+"/ns/pid") == namespace {
			return outer
		}
	}
	return 0
}

// innerPID returns the pid of a process in its own pid namespace.
func innerPID(proc *os.File, name string) int {
	fd, err := unix.Openat(int(proc.Fd()), name+"/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	var buffer [maxStatus]byte
	n, _ := unix.Read(fd, buffer[:])
	if pids := numbers(buffer[:max(n, 0)], "NSpid"); len(pids) > 0 {
		return pids[len(pids)-1]
	}
	return 0
}

// link64 returns a short link such as that of a namespace; empty if it cannot be read.
func link64(dir int, name string) string {
	var buffer [64]byte
	n, err := unix.Readlinkat(dir, name, buffer[:])
	if err != nil {
		return ""
	}
	return string(buffer[:n])
}
