// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command sender sends signals with every system call that the kernel has for that,
// on orders of the tests, and reports the result of each call. It is a program of its
// own so that it can also be built for 32 bits.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// init keeps main on the first thread. The command name belongs to a thread, and a
// victim dies with the thread that started it (PR_SET_PDEATHSIG).
func init() { runtime.LockOSThread() }

func main() {
	ignoreSignals()
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "headless":
			beHeadless()
		case "reborn":
			beReborn()
		}
		beVictim()
	}
	output := bufio.NewWriter(os.Stdout)
	s := sender{output: json.NewEncoder(output)}
	s.report(orders.Truth{Done: true})
	for input := json.NewDecoder(bufio.NewReader(os.Stdin)); ; {
		check(output.Flush())
		var order orders.Order
		if input.Decode(&order) != nil {
			return // no more orders
		}
		s.obey(order)
		s.report(orders.Truth{Done: true})
	}
}

// ignoreSignals ignores every signal that can be ignored except SIGCHLD: if that is
// ignored, the kernel reaps dead victims at once.
func ignoreSignals() {
	for number := syscall.Signal(1); number <= 64; number++ {
		if number != syscall.SIGCHLD {
			signal.Ignore(number)
		}
	}
}

// beVictim closes its output to show that it is ready, and waits until it is killed.
func beVictim() {
	check(os.Stdout.Close())
	for {
		_ = unix.Pause() // until any signal
	}
}

// beHeadless is a victim whose first thread ends before the process does. It must be called on
// that thread.
func beHeadless() {
	go beVictim()
	_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
}

// beReborn is a victim that becomes another program on SIGTERM. A thread other than the first
// calls execve.
func beReborn() {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() {
		<-terminated // on another thread, because main is locked to the first
		path, err := exec.LookPath("sleep")
		check(err)
		check(syscall.Exec(path, []string{"sleep", "1000"}, nil)) //nolint:gosec // a test's own
	}()
}

type sender struct{ output *json.Encoder }

func (s *sender) report(truth orders.Truth) {
	truth.PID = os.Getpid()
	check(s.output.Encode(truth))
}

func (s *sender) obey(order orders.Order) {
	switch order.Call {
	case orders.Start:
		s.report(orders.Truth{Victims: start(order.Count, order.Group)})
	case orders.Rename:
		rename(order.Name)
	case orders.LogIn:
		check(os.WriteFile("/proc/self/loginuid", strconv.AppendInt(nil, int64(order.User), 10), 0))
	case orders.Confine:
		s.report(orders.Truth{Errno: int(confine())})
	case orders.Brief:
		s.report(orders.Truth{Victims: []int{brief(order)}})
	case orders.Fault, orders.Abort:
		crash(order.Call)
	default:
		if order.From != "" {
			s.sendFrom(order)
			return
		}
		s.send(order)
	}
}

// confine confines the first thread, which sends all signals but those of a thread of their own. It fails before Linux 6.12,
// and where Landlock is turned off.
func confine() syscall.Errno {
	const scopeSignal = 1 << 1 // include/uapi/linux/landlock.h, LANDLOCK_SCOPE_SIGNAL
	attributes := unix.LandlockRulesetAttr{Scoped: scopeSignal}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes), 0) //nolint:gosec // a system call
	if errno != 0 {
		return errno
	}
	defer unix.Close(int(ruleset))
	check(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	_, _, errno = unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0)
	return errno
}

func rename(thread string) { check(os.WriteFile("/proc/thread-self/comm", []byte(thread), 0)) }

// sendFrom sends from a new thread, which then ends.
func (s *sender) sendFrom(order orders.Order) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked, so that the thread ends with the goroutine
		rename(order.From)
		s.send(order)
	}()
	<-done
}

// brief starts a process, kills it after a millisecond, and returns its pid. Like a
// victim, it is not reaped.
func brief(order orders.Order) int {
	command := exec.Command(order.Path) //nolint:gosec // a test's own
	input, err := command.StdinPipe()   // keeps programs such as cat waiting
	check(err)
	defer input.Close()
	check(command.Start())
	time.Sleep(time.Millisecond)
	check(syscall.Kill(command.Process.Pid, syscall.Signal(order.Signal)))
	return command.Process.Pid
}

// crash ends the process by a signal that dumps core, but without a core.
func crash(how string) {
	check(unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}))
	if how == orders.Abort {
		byDefault(syscall.SIGABRT)
		check(unix.Tgkill(os.Getpid(), unix.Gettid(), syscall.SIGABRT)) // as abort(3) does
		return
	}
	byDefault(syscall.SIGSEGV)
	forbidden, err := unix.Mmap(-1, 0, 1, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	check(err)
	forbidden[0] = 1
}

// action is a struct sigaction (include/linux/signal_types.h). All zero, it means SIG_DFL.
var action [4 * 8]byte

// byDefault restores the default action of a signal in the kernel. Package signal can only go
// back to the handler of the Go runtime.
func byDefault(number syscall.Signal) {
	address := uintptr(unsafe.Pointer(&action)) //nolint:gosec // a global variable stays where it is
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(number), address, 0, 8, 0, 0)
	if errno != 0 {
		panic(errno)
	}
}

// start starts victims, and returns their pids once all are ready. They are not reaped, so that
// signals can still be sent to dead ones.
func start(count int, group bool) []int {
	ready, stdout, err := os.Pipe()
	check(err)
	path, err := os.Executable()
	check(err)
	var pids []int
	for range count {
		victim := exec.Command(path, "victim") //nolint:gosec // this program
		victim.Stdout = stdout
		victim.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: group}
		if len(pids) > 0 && group {
			victim.SysProcAttr.Pgid = pids[0]
		}
		check(victim.Start())
		pids = append(pids, victim.Process.Pid)
	}
	check(stdout.Close())
	_, _ = ready.Read(make([]byte, 1)) // returns when the last victim has closed its output
	check(ready.Close())
	return pids
}

func (s *sender) send(order orders.Order) {
	call := prepare(order)
	began := time.Now()
	for i := range max(1, order.Times) {
		if order.Rate > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(order.Rate))))
		}
		before := time.Now()
		if errno := call(); !order.Quiet || errno != 0 {
			s.report(orders.Truth{Errno: int(errno), Nanoseconds: time.Since(before).Nanoseconds()})
		}
	}
}

// info has the beginning of a siginfo_t (asm-generic/siginfo.h), and its size: the
// kernel reads all of it.
var info siginfo

type siginfo struct {
	signal, errno, code int32
	rest                [128 - 3*4]byte
}

const userQueue = -1 // SI_QUEUE

// prepare returns the call to make.
func prepare(order orders.Order) func() syscall.Errno {
	pid, number := uintptr(order.PID), uintptr(order.Signal)
	info = siginfo{signal: int32(order.Signal), code: userQueue}
	if order.Forged {
		info.code = 0 // SI_USER, which only the kernel may use
	}
	address := uintptr(unsafe.Pointer(&info)) //nolint:gosec // a global variable stays where it is
	switch order.Call {
	case "kill":
		return func() syscall.Errno { return raw(unix.SYS_KILL, pid, number, 0, 0) }
	case "tkill":
		return func() syscall.Errno { return raw(unix.SYS_TKILL, pid, number, 0, 0) }
	case "tgkill":
		return func() syscall.Errno { return raw(unix.SYS_TGKILL, pid, uintptr(order.Thread), number, 0) }
	case "rt_sigqueueinfo":
		return func() syscall.Errno {
			return raw(unix.SYS_RT_SIGQUEUEINFO, pid, number, address, 0)
		}
	case "rt_tgsigqueueinfo":
		return func() syscall.Errno {
			return raw(unix.SYS_RT_TGSIGQUEUEINFO, pid, uintptr(order.Thread), number, address)
		}
	case "pidfd_send_signal":
		fd, err := unix.PidfdOpen(order.PID, 0)
		if err != nil {
			fd = -1 // the call will report it
		}
		return func() syscall.Errno {
			return raw(unix.SYS_PIDFD_SEND_SIGNAL, uintptr(fd), number, 0, uintptr(order.Flags))
		}
	}
	panic("no such call: " + order.Call)
}

func raw(trap, a0, a1, a2, a3 uintptr) syscall.Errno {
	_, _, errno := unix.Syscall6(trap, a0, a1, a2, a3, 0, 0)
	return errno
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
