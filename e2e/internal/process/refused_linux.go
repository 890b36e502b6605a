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

const refusedRole = "die refused"

func init() { harness.Roles[refusedRole] = dieRefused }

// DieRefused has a process of an unprivileged user die of a SIGABRT that a tracer injects, so that no
// sender is known. Before the process is gone, the tracer sends it a SIGABRT that the kernel refuses.
// DieRefused returns the pids of the process and of the tracer.
func DieRefused(t *testing.T) (pid, sender int) {
	t.Helper()
	return playAsNobody(t, refusedRole)
}

// playAsNobody has an unprivileged user play a role that writes the pid of a process. It returns that, and the pid of
// the player.
func playAsNobody(t *testing.T, role string, variables ...string) (pid, player int) {
	t.Helper()
	audit.NoteSender(t)
	command := exec.CommandContext(t.Context(), "/proc/self/exe") // the other user may not be able to enter the folder of this program
	command.Env = append(append(os.Environ(), harness.RoleVariable+"="+role), variables...)
	command.Stderr = os.Stderr
	harness.Attributes(command).Credential = &syscall.Credential{Uid: harness.NobodyID, Gid: harness.NobodyID}
	said, err := command.Output()
	require.NoError(t, err)
	pid, err = strconv.Atoi(strings.TrimSpace(string(said)))
	require.NoError(t, err, "%q", said)
	return pid, command.Process.Pid
}

// siginfo has the beginning and the size of siginfo_t (sigaction(2)).
type siginfo struct {
	number, errno, code int32
	_                   [29]int32
}

// dieRefused is the role of the tracer.
func dieRefused() {
	runtime.LockOSThread() // only the tracing thread may call ptrace(2)
	victim := exec.Command("sleep", "600")
	check(victim.Start())
	pid := victim.Process.Pid
	await(func() bool {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return err == nil && string(name) == "sleep\n"
	})
	// The process stops at a signal that it ignores, and again before it ends.
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, unix.PTRACE_O_TRACEEXIT, 0, 0)
	checkErrno(errno)
	check(unix.Kill(pid, unix.SIGWINCH))
	awaitStop(pid)
	check(unix.PtraceCont(pid, int(unix.SIGABRT)))
	awaitStop(pid)
	time.Sleep(time.Second) // by then its death has been reported
	info := siginfo{number: int32(unix.SIGABRT)}
	_, _, errno = unix.Syscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(unix.SIGABRT), uintptr(unsafe.Pointer(&info))) //nolint:gosec // a system call
	if errno != unix.EPERM {
		checkErrno(errno)
		panic("the kernel accepts a signal that pretends to come from it")
	}
	time.Sleep(time.Second)
	check(unix.PtraceCont(pid, 0))
	_ = victim.Wait() // it was killed
	fmt.Println(pid)  //nolint:forbidigo // read by DieRefused
}

func awaitStop(pid int) {
	var status unix.WaitStatus
	_, err := unix.Wait4(pid, &status, unix.WALL, nil)
	check(err)
	if !status.Stopped() {
		panic(fmt.Sprintf("the process has not stopped: %x", status))
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
