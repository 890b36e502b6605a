// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command sender sends signals in every way that the kernel knows, as the tests
// order, and says what came of each call. It is a program of its own so that it
// can be built for 32 bits as well.
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

// The command name and the parent that a victim lives no longer than are those
// of a thread; init runs on the first.
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
	s.say(orders.Truth{Done: true})
	for input := json.NewDecoder(bufio.NewReader(os.Stdin)); ; {
		check(output.Flush())
		var order orders.Order
		if input.Decode(&order) != nil {
			return // no more orders
		}
		s.obey(order)
		s.say(orders.Truth{Done: true})
	}
}

// ignoreSignals ignores what can be ignored, except for the signal without
// which a dead victim would vanish.
func ignoreSignals() {
	for number := syscall.Signal(1); number <= 64; number++ {
		if number != syscall.SIGCHLD {
			signal.Ignore(number)
		}
	}
}

// beVictim tells by closing its output that it is ready, and waits for its end.
func beVictim() {
	check(os.Stdout.Close())
	for {
		_ = unix.Pause() // until any signal
	}
}

// beHeadless is a victim whose first thread, on which it is called, ends before it.
func beHeadless() {
	go beVictim()
	_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
}

// beReborn is a victim of which a thread, not the first, makes another program as soon
// as it is told to end.
func beReborn() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go func() {
		<-told // on another thread, as the first one is the caller's
		path, err := exec.LookPath("sleep")
		check(err)
		check(syscall.Exec(path, []string{"sleep", "1000"}, nil)) //nolint:gosec // a test's own
	}()
}

type sender struct{ output *json.Encoder }

func (s *sender) say(truth orders.Truth) {
	truth.PID = os.Getpid()
	check(s.output.Encode(truth))
}

func (s *sender) obey(order orders.Order) {
	switch order.Call {
	case orders.Start:
		s.say(orders.Truth{Victims: start(order.Count, order.Group)})
	case orders.Rename:
		rename(order.Name)
	case orders.LogIn:
		check(os.WriteFile("/proc/self/loginuid", strconv.AppendInt(nil, int64(order.User), 10), 0))
	case orders.Brief:
		s.say(orders.Truth{Victims: []int{brief(order)}})
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

func rename(thread string) { check(os.WriteFile("/proc/thread-self/comm", []byte(thread), 0)) }

// sendFrom sends from another thread, which ends with that.
func (s *sender) sendFrom(order orders.Order) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread is of no other use
		rename(order.From)
		s.send(order)
	}()
	<-done
}

// brief returns a process that lived for a millisecond. Nobody waits for its end,
// as with the victims.
func brief(order orders.Order) int {
	command := exec.Command(order.Path) //nolint:gosec // a test's own
	input, err := command.StdinPipe()   // which keeps programs such as cat waiting
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

// action is a struct sigaction (include/linux/signal_types.h), of which SIG_DFL is 0.
var action [4 * 8]byte

// byDefault makes a signal do what it does to a program that knows nothing of it.
// Package signal only knows how to go back to what the runtime does.
func byDefault(number syscall.Signal) {
	address := uintptr(unsafe.Pointer(&action)) //nolint:gosec // a global variable stays where it is
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(number), address, 0, 8, 0, 0)
	if errno != 0 {
		panic(errno)
	}
}

// start returns the victims once they are ready. Nobody waits for their end, so
// that a dead one stays a process that a signal can be sent to.
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
	_, _ = ready.Read(make([]byte, 1)) // ends when the last victim has closed its output
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
			s.say(orders.Truth{Errno: int(errno), Nanoseconds: time.Since(before).Nanoseconds()})
		}
	}
}

// info is the beginning of siginfo_t (asm-generic/siginfo.h), of which the
// kernel reads all.
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
		info.code = 0 // SI_USER, which only the kernel may say
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
			fd = -1 // the call will say so
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
