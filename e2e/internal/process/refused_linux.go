// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

const (
	refusedRole = "die refused"
	nobodyID    = 65534
)

func init() { harness.Roles[refusedRole] = dieRefused }

// DieRefused has an ordinary user's process die of a SIGABRT that a tracer injects, so that
// nobody is seen to send it, and be sent a SIGABRT that the kernel refuses before it is gone.
// It returns the pids of the process and of its sender.
func DieRefused(t *testing.T) (pid, sender int) {
	t.Helper()
	audit.NoteSender(t)
	command := exec.CommandContext(t.Context(), "/proc/self/exe") // which no other user may find by its path
	command.Env = append(os.Environ(), harness.RoleVariable+"="+refusedRole)
	command.Stderr = os.Stderr
	attributes := harness.Attributes(command)
	attributes.Credential = &syscall.Credential{Uid: nobodyID, Gid: nobodyID}
	said, err := command.Output()
	require.NoError(t, err)
	pid, err = strconv.Atoi(strings.TrimSpace(string(said)))
	require.NoError(t, err, "%q", said)
	return pid, command.Process.Pid
}

// siginfo is the beginning of siginfo_t (sigaction(2)).
type siginfo struct {
	number, errno, code int32
	_                   [29]int32
}

// dieRefused is the program of DieRefused.
func dieRefused() {
	runtime.LockOSThread() // ptrace(2) is for the thread that traces
	victim := exec.Command("sleep", "600")
	check(victim.Start())
	pid := victim.Process.Pid
	await(func() bool {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return err == nil && string(name) == "sleep\n"
	})
	// The process stops at a signal that it would ignore, and again at its end.
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, unix.PTRACE_O_TRACEEXIT, 0, 0)
	checkErrno(errno)
	check(unix.Kill(pid, unix.SIGWINCH))
	awaitStop(pid)
	check(unix.PtraceCont(pid, int(unix.SIGABRT)))
	awaitStop(pid)
	time.Sleep(time.Second) // its death has been reported by then
	info := siginfo{number: int32(unix.SIGABRT)}
	_, _, errno = unix.Syscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(unix.SIGABRT), uintptr(unsafe.Pointer(&info))) //nolint:gosec // a system call
	if errno != unix.EPERM {
		checkErrno(errno)
		panic("a user may pretend that the kernel sends a signal")
	}
	time.Sleep(time.Second)
	check(unix.PtraceCont(pid, 0))
	_ = victim.Wait() // it was killed
	fmt.Println(pid)  //nolint:forbidigo // this is how it answers
}

func awaitStop(pid int) {
	var status unix.WaitStatus
	_, err := unix.Wait4(pid, &status, unix.WALL, nil)
	check(err)
	if !status.Stopped() {
		panic(fmt.Sprintf("it has not stopped: %x", status))
	}
}

func await(condition func() bool) {
	for !condition() {
		time.Sleep(time.Millisecond)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func checkErrno(errno syscall.Errno) {
	if errno != 0 {
		panic(errno)
	}
}
