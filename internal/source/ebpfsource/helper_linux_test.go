// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Roles that the test program plays for its tests. The source does not report signals of its own
// process, so another process has to do everything that is to be seen.
func init() {
	roles["sender"] = beSender
	roles["target"] = beTarget
	roles["recover"] = recoverFromFaults
	roles["forbid"] = forbid
	switch os.Getenv(roleVariable) {
	case "target", "parent", "forger", "timed":
		runtime.LockOSThread() // so that no other goroutine runs on the first thread
	}
}

// helper is a process that plays a role until the test ends.
type helper struct {
	t   *testing.T
	pid int
	in  io.WriteCloser
	out *bufio.Scanner
}

// help starts a helper.
func help(t *testing.T, role string, attributes *syscall.SysProcAttr, arguments ...string) *helper {
	t.Helper()
	command := exec.Command("/proc/self/exe", arguments...)
	command.Env = append(os.Environ(), roleVariable+"="+role)
	command.SysProcAttr, command.Stderr = attributes, os.Stderr
	h := &helper{t: t}
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	h.in, err = command.StdinPipe()
	require.NoError(t, err)
	h.out = bufio.NewScanner(out)
	begin := command.Start()
	require.NoError(t, begin)
	h.pid = command.Process.Pid
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return h
}

// read returns the words of the helper's next line.
func (h *helper) read(into ...any) {
	h.t.Helper()
	require.True(h.t, h.out.Scan(), "the helper has ended: %v", h.out.Err())
	_, err := fmt.Sscan(h.out.Text(), into...)
	require.NoError(h.t, err, h.out.Text())
}

func (h *helper) say(format string, arguments ...any) {
	h.t.Helper()
	_, err := fmt.Fprintf(h.in, format+"\n", arguments...)
	require.NoError(h.t, err)
}

// order is a call that a sender should make.
type order struct {
	call         string
	pid, thread  int
	signal       int
	flags        int
	forged       bool
	pidfdOfThere int // flags of pidfd_open
}

// send makes a sender make a call, and returns the thread that made it and its result.
func (h *helper) send(o order) (thread int, errno syscall.Errno) {
	h.t.Helper()
	h.say("%s %d %d %d %d %t %d", o.call, o.pid, o.thread, o.signal, o.flags, o.forged, o.pidfdOfThere)
	var number int
	h.read(&thread, &number)
	return thread, syscall.Errno(number)
}

// siginfo is the beginning of siginfo_t (asm-generic/siginfo.h); the kernel reads all of it.
type siginfo struct {
	signal, errno, code int32
	rest                [128 - 3*4]byte
}

// beSender makes the calls that it is sent, each in a thread of its own. It ignores SIGHUP, so that
// it can send that to itself and to its group.
func beSender([]string) {
	signal.Ignore(syscall.SIGHUP)
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		var o order
		if _, err := fmt.Sscan(input.Text(), &o.call, &o.pid, &o.thread, &o.signal, &o.flags, &o.forged, &o.pidfdOfThere); err != nil {
			panic(err)
		}
		answer := make(chan string)
		go func() {
			runtime.LockOSThread() // never unlocked, so that the thread ends
			thread := unix.Gettid()
			answer <- fmt.Sprintln(thread, int(o.make()))
		}()
		fmt.Print(<-answer) //nolint:forbidigo // this is how it answers
	}
}

func (o *order) make() syscall.Errno {
	pid, thread, number := uintptr(o.pid), uintptr(o.thread), uintptr(o.signal)
	info := &siginfo{signal: int32(o.signal), code: -1}
	if o.forged {
		info.code = 0 // SI_USER, which only the kernel may say
	}
	address := uintptr(unsafe.Pointer(info)) //nolint:gosec // kept alive below
	defer runtime.KeepAlive(info)
	var errno syscall.Errno
	switch o.call {
	case "start":
		command := exec.Command("sleep", "1000")
		if command.Start() != nil {
			return 1
		}
		return syscall.Errno(command.Process.Pid)
	case "own":
		return syscall.Errno(unix.Getpid())
	case "kill":
		_, _, errno = unix.Syscall(unix.SYS_KILL, pid, number, 0)
	case "tkill":
		_, _, errno = unix.Syscall(unix.SYS_TKILL, thread, number, 0)
	case "tgkill":
		_, _, errno = unix.Syscall(unix.SYS_TGKILL, pid, thread, number)
	case "rt_sigqueueinfo":
		_, _, errno = unix.Syscall(unix.SYS_RT_SIGQUEUEINFO, pid, number, address)
	case "rt_tgsigqueueinfo":
		_, _, errno = unix.Syscall6(unix.SYS_RT_TGSIGQUEUEINFO, pid, thread, number, address, 0, 0)
	case "pidfd_send_signal":
		if thread == 0 {
			thread = pid
		}
		fd, err := unix.PidfdOpen(int(thread), o.pidfdOfThere)
		if err != nil {
			return err.(syscall.Errno) //nolint:errorlint,forcetypeassert // what a call returns
		}
		defer unix.Close(fd)
		_, _, errno = unix.Syscall6(unix.SYS_PIDFD_SEND_SIGNAL, uintptr(fd), number, 0, uintptr(o.flags), 0, 0)
	default:
		panic("no such call: " + o.call)
	}
	return errno
}

// threadName is one byte longer than what the kernel keeps.
const threadName = "a thread of many"

// beTarget accepts any signal, and prints the id of a thread other than its first.
func beTarget([]string) {
	signal.Notify(make(chan os.Signal, 1))
	check(os.WriteFile("/proc/self/comm", []byte("a target"), 0))
	threads := make(chan int)
	go func() {
		runtime.LockOSThread()
		check(os.WriteFile("/proc/thread-self/comm", []byte(threadName), 0))
		threads <- unix.Gettid()
		_, _ = io.Copy(io.Discard, os.Stdin)
		threads <- 0
	}()
	fmt.Println(<-threads) //nolint:forbidigo // this is how it answers
	<-threads
}

// recoverFromFaults causes faults and handles them.
func recoverFromFaults([]string) {
	for range 10 {
		func() {
			defer func() { _ = recover() }()
			var nothing *siginfo
			nothing.code++ //nolint:govet // on purpose
		}()
	}
}

// forbid makes seccomp kill this process at its next call of getpgid.
func forbid([]string) {
	const load, jump, ret, killProcess, allow = 0x20, 0x15, 0x06, 0x80000000, 0x7fff0000
	filter := []unix.SockFilter{
		{Code: load}, // the number of the call
		{Code: jump, Jf: 1, K: unix.SYS_GETPGID},
		{Code: ret, K: killProcess},
		{Code: ret, K: allow},
	}
	runtime.LockOSThread()
	check(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	check(unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)) //nolint:gosec // as seccomp(2) wants it
	_, _ = unix.Getpgid(0)
	panic("still alive")
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// command is exec.Command for programs that the test itself has made.
func command(name string, arguments ...string) *exec.Cmd {
	return exec.Command(name, arguments...)
}

// sleeper starts a process that sleeps until the test ends.
func sleeper(t *testing.T) int {
	t.Helper()
	return run(t, exec.Command("sleep", "1000"))
}

// run starts a program that runs no longer than the test. The kernel reports what it runs shortly
// after it has let Start return, so run waits until the program itself waits or has ended.
func run(t *testing.T, command *exec.Cmd) int {
	t.Helper()
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	awaitState(t, command.Process.Pid, "SZ")
	return command.Process.Pid
}

// shell runs a script to its end, and returns the words of its output.
func shell(t *testing.T, script string, arguments ...any) []string {
	t.Helper()
	words := []string{"-c", script}
	for _, argument := range arguments {
		words = append(words, fmt.Sprint(argument))
	}
	out, err := exec.CommandContext(t.Context(), "sh", words...).CombinedOutput() //nolint:gosec // the test's own script
	require.NoError(t, err, "%s", out)
	return strings.Fields(string(out))
}
