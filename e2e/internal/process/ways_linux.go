// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

const (
	wayRole     = "end a process"
	wayVariable = "AUDITKILL_E2E_WAY"

	exits   = "it exits by itself"
	limited = "a processor limit"

	// TracerReplaces has a tracer send a SIGHUP that becomes a SIGKILL.
	TracerReplaces = "a tracer replaces SIGHUP by SIGKILL"
)

func init() { harness.Roles[wayRole] = endByWay }

// EndBy has an unprivileged user start a sleep(1), or yes(1) or false(1) where that fits the way, and end it in one of
// Ways. It returns the pids of that process and of the one that ended it.
func EndBy(t *testing.T, way string) (pid, ender int) {
	t.Helper()
	return playAsNobody(t, wayRole, wayVariable+"="+way)
}

// Ways are the ways to end a process: system calls that send a signal, and others that make the kernel do
// it, or have it end unseen.
var Ways = map[string]func(pid int){
	"kill":                        func(pid int) { check(unix.Kill(pid, unix.SIGTERM)) },
	"kill its group":              func(pid int) { check(unix.Kill(-pid, unix.SIGTERM)) },
	"tkill":                       func(pid int) { call(unix.SYS_TKILL, pid, int(unix.SIGTERM), 0, 0) },
	"tgkill":                      func(pid int) { check(unix.Tgkill(pid, pid, unix.SIGTERM)) },
	"pidfd_send_signal":           func(pid int) { check(unix.PidfdSendSignal(pidfd(pid), unix.SIGTERM, nil, 0)) },
	"rt_sigqueueinfo":             func(pid int) { queue(pid, unix.SIGTERM) },
	"SIGKILL":                     func(pid int) { check(unix.Kill(pid, unix.SIGKILL)) },
	"SIGHUP":                      func(pid int) { check(unix.Kill(pid, unix.SIGHUP)) },
	"SIGUSR1":                     func(pid int) { check(unix.Kill(pid, unix.SIGUSR1)) },
	"SIGUSR2":                     func(pid int) { check(unix.Kill(pid, unix.SIGUSR2)) },
	"SIGALRM":                     func(pid int) { check(unix.Kill(pid, unix.SIGALRM)) },
	"SIGPIPE":                     func(pid int) { check(unix.Kill(pid, unix.SIGPIPE)) },
	"SIGIO":                       func(pid int) { check(unix.Kill(pid, unix.SIGIO)) },
	"SIGPWR":                      func(pid int) { check(unix.Kill(pid, unix.SIGPWR)) },
	"SIGRTMIN":                    func(pid int) { check(unix.Kill(pid, 34)) },
	"SIGRTMAX":                    func(pid int) { check(unix.Kill(pid, 64)) },
	"USR1 to its group":           func(pid int) { check(unix.Kill(-pid, unix.SIGUSR1)) },
	"a tracer injects SIGTERM":    func(pid int) { replace(pid, unix.SIGWINCH, unix.SIGTERM) },
	"a tracer injects SIGKILL":    func(pid int) { replace(pid, unix.SIGWINCH, unix.SIGKILL) },
	"a tracer injects SIGUSR1":    func(pid int) { replace(pid, unix.SIGWINCH, unix.SIGUSR1) },
	TracerReplaces:                func(pid int) { replace(pid, unix.SIGHUP, unix.SIGKILL) },
	"tgkill, odd number":          func(pid int) { call(unix.SYS_TGKILL|upperHalf, pid, pid, int(unix.SIGTERM)) },
	"rt_sigqueueinfo, odd":        func(pid int) { queueBy(unix.SYS_RT_SIGQUEUEINFO|upperHalf, pid, unix.SIGTERM) },
	"SIGALRM, odd number":         func(pid int) { call(unix.SYS_KILL|upperHalf, pid, int(unix.SIGALRM)) },
	"a tracer ends":               exitKill,
	limited:                       limitProcessor,
	"a file's owner gets SIGKILL": ownFile,
	exits:                         nil,
}

// upperHalf is something in that half of a call's number which the kernel ignores since Linux 5.14.
const upperHalf = 1 << 32

// endByWay is the role of the process that ends another.
func endByWay() {
	runtime.LockOSThread() // only the tracing thread may call ptrace(2)
	way := os.Getenv(wayVariable)
	end, known := Ways[way]
	if !known {
		panic(fmt.Sprintf("there is no way %q", way))
	}
	victim := exec.Command("sleep", "600")
	switch way {
	case exits:
		victim = exec.Command("false")
	case limited:
		victim = exec.Command("yes") // which uses the processor
	}
	victim.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	check(victim.Start())
	pid := victim.Process.Pid
	if end != nil {
		await(func() bool {
			name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			return err == nil && string(name) == victim.Args[0]+"\n"
		})
		time.Sleep(50 * time.Millisecond) // it sleeps
		end(pid)
	}
	_ = victim.Wait()
	fmt.Println(pid) //nolint:forbidigo // read by EndBy
}

func call(number uintptr, arguments ...int) {
	var all [4]uintptr
	for i, a := range arguments {
		all[i] = uintptr(a)
	}
	_, _, errno := unix.Syscall6(number, all[0], all[1], all[2], all[3], 0, 0)
	checkErrno(errno)
}

func pidfd(pid int) int {
	fd, err := unix.PidfdOpen(pid, 0)
	check(err)
	return fd
}

func queue(pid int, signal syscall.Signal) { queueBy(unix.SYS_RT_SIGQUEUEINFO, pid, signal) }

func queueBy(number uintptr, pid int, signal syscall.Signal) {
	info := siginfo{number: int32(signal), code: -1}                                                   // SI_QUEUE
	_, _, errno := unix.Syscall(number, uintptr(pid), uintptr(signal), uintptr(unsafe.Pointer(&info))) //nolint:gosec // a system call
	checkErrno(errno)
}

// replace replaces a signal to the process by another: the kernel does not send that.
func replace(pid int, sent, by syscall.Signal) {
	call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, pid)
	check(unix.Kill(pid, sent))
	awaitStop(pid)
	call(unix.SYS_PTRACE, unix.PTRACE_DETACH, pid, 0, int(by))
}

// exitKill has a tracer end that takes the process with it.
func exitKill(pid int) {
	traced := make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, pid, 0, unix.PTRACE_O_EXITKILL)
		close(traced)
	}()
	<-traced
}

// limitProcessor lets the process use no processor time any more.
func limitProcessor(pid int) { check(unix.Prlimit(pid, unix.RLIMIT_CPU, &unix.Rlimit{}, nil)) }

// ownFile makes the kernel send SIGKILL to the owner of a pipe that becomes readable.
func ownFile(pid int) {
	const setSignal = 10 // F_SETSIG (include/uapi/asm-generic/fcntl.h)
	ends := make([]int, 2)
	check(unix.Pipe(ends))
	for _, command := range [][2]int{{unix.F_SETOWN, pid}, {setSignal, int(unix.SIGKILL)}, {unix.F_SETFL, unix.O_ASYNC | unix.O_NONBLOCK}} {
		_, err := unix.FcntlInt(uintptr(ends[0]), command[0], command[1])
		check(err)
	}
	_, err := unix.Write(ends[1], []byte("x"))
	check(err)
}
