// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func init() {
	roles["parent"] = beParent
	roles["timed"] = beTimed
	roles["forger"] = beForger
	roles["leaseholder"] = beHolder
}

// beParent has a child that asked for a signal when its parent dies, and ends as it is told.
func beParent([]string) {
	child := make(chan int)
	end := make(chan bool)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends
		command := exec.Command("sleep", "1000")
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		check(command.Start())
		child <- command.Process.Pid
		<-end
	}()
	fmt.Println(<-child) //nolint:forbidigo // this is how it answers
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		switch input.Text() {
		case "end the thread":
			end <- true
		case "kill":
			check(syscall.Kill(os.Getpid(), syscall.SIGTERM))
		default:
			os.Exit(3)
		}
	}
}

// beTimed waits for a timer of its own. It says when that is set, and for how many milliseconds.
func beTimed(arguments []string) {
	const signalEvent = 0 // include/uapi/asm-generic/siginfo.h, SIGEV_SIGNAL
	var milliseconds, processor int
	_, err := fmt.Sscan(arguments[1]+" "+arguments[2], &milliseconds, &processor)
	check(err)
	check(runOnly(processor, 1))
	soon := int64(milliseconds) * int64(time.Millisecond)
	switch which := arguments[0]; which {
	case "posix":
		event := struct {
			value          uint64
			signal, notify int32
			rest           [48]byte
		}{signal: int32(kill.SIGTERM), notify: signalEvent}
		var timer int32
		_, _, errno := unix.Syscall(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&timer))) //nolint:gosec // as timer_create(2) wants it
		if errno != 0 {
			panic(errno)
		}
		when := [2]unix.Timespec{{}, unix.NsecToTimespec(soon)}
		_, _, errno = unix.Syscall6(unix.SYS_TIMER_SETTIME, uintptr(timer), 0, uintptr(unsafe.Pointer(&when)), 0, 0, 0) //nolint:gosec // as timer_settime(2) wants it
		if errno != 0 {
			panic(errno)
		}
	default:
		number, err := strconv.Atoi(which)
		check(err)
		_, err = unix.Setitimer(unix.ItimerWhich(number), unix.Itimerval{Value: unix.NsecToTimeval(soon)})
		check(err)
	}
	fmt.Println("set")          //nolint:forbidigo // this is how it answers
	for spins := 0; ; spins++ { // some timers run only as long as the process does
		runtime.KeepAlive(spins)
	}
}

// runOnly lets the calling thread run on one processor, and before all ordinary ones: what a timer that expires there
// interrupts is this thread. It matters which that is: there are sandboxes whose kernel runs no programs while it interrupts the
// sandbox's own init.
func runOnly(processor int, priority uint32) error {
	var one unix.CPUSet
	one.Set(processor)
	return errors.Join(
		unix.SchedSetaffinity(0, &one),
		unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: priority}, 0))
}

// occupy runs nothing but this process on one processor for a while.
func occupy(processor int, during time.Duration) error {
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()       // never unlocked, so that the thread ends
		err := runOnly(processor, 2) // before the target, too
		for end := time.Now().Add(during); err == nil && time.Now().Before(end); {
			runtime.KeepAlive(end) // nothing else
		}
		failed <- err
	}()
	return <-failed
}

// beForger queues itself a signal with any si_code.
func beForger(arguments []string) {
	var number, code int32
	_, err := fmt.Sscan(arguments[0]+" "+arguments[1], &number, &code)
	check(err)
	info := &siginfo{signal: number, code: code}
	_, _, errno := unix.Syscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(os.Getpid()), uintptr(number), uintptr(unsafe.Pointer(info))) //nolint:gosec // as the call wants it
	if errno != 0 {
		panic(errno)
	}
	time.Sleep(10 * time.Millisecond)
}

// beHolder wants a signal when somebody else opens its file for writing (fcntl(2), F_SETLEASE).
func beHolder(arguments []string) {
	const setSignal, setLease = 10, 1024 // include/uapi/linux/fcntl.h
	file, err := os.Open(arguments[0])
	check(err)
	_, err = unix.FcntlInt(file.Fd(), setSignal, int(kill.SIGXCPU))
	check(err)
	_, err = unix.FcntlInt(file.Fd(), setLease, unix.F_RDLCK)
	check(err)
	fmt.Println("ready") //nolint:forbidigo // this is how it answers
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	runtime.KeepAlive(file)
}

const (
	sigAlarm        = kill.Signal(signalAlarm)
	sigVirtualAlarm = kill.Signal(signalVirtualAlarm)
	sigProfile      = kill.Signal(signalProfile)
)

func TestCausesOfTheKernel(t *testing.T) {
	w := start(t, func(s *Settings) { s.Signals = append(s.Signals, sigAlarm, sigVirtualAlarm, sigProfile) })
	t.Run("CPU time", func(t *testing.T) { testCPULimit(t, w) })
	t.Run("CPU time without a pause", func(t *testing.T) { testRealtimeLimit(t, w) })
	t.Run("file size", func(t *testing.T) { testFileSize(t, w) })
	t.Run("a parent", func(t *testing.T) { testParentDeath(t, w) })
	t.Run("timers", func(t *testing.T) { testTimers(t, w) })
	t.Run("timers while the reader runs", func(t *testing.T) { testTimersInTheReader(t, w) })
	t.Run("a lease", func(t *testing.T) { testLease(t, w) })
	t.Run("decoys", func(t *testing.T) { testDecoys(t, w) })
	t.Run("the init of a pid namespace kills", func(t *testing.T) { testInitKills(t, w) })
}

func testCPULimit(t *testing.T, w *watch) {
	t.Helper()
	burn := command("sh", "-c", `ulimit -St 1; ulimit -Ht 2; trap "" XCPU; while :; do :; done`)
	require.Error(t, burn.Run())
	pid := burn.ProcessState.Pid()
	e := w.some(t, to(pid, kill.SIGXCPU)) // the kernel raises the limit and sends another one if it kills late
	want := byKernel(kill.SIGXCPU, pid).because(kill.CauseCPULimit)
	want.Delivery = kill.DeliveryIgnored
	assert.Equal(t, want, tell(e))
	assert.Equal(t, &kill.Trigger{CPUTime: time.Second}, e.Trigger)
	e = w.find(t, to(pid, kill.SIGKILL))
	assert.Equal(t, byKernel(kill.SIGKILL, pid).because(kill.CauseCPULimit), tell(e))
	assert.Equal(t, &kill.Trigger{CPUTime: 2 * time.Second}, e.Trigger)
}

func testRealtimeLimit(t *testing.T, w *watch) {
	t.Helper()
	if err := command("chrt", "-f", "1", "true").Run(); err != nil {
		audittest.Skip(t, "no program can have a realtime policy: %v", err)
	}
	burn := command("prlimit", "--rttime=100000:300000", "chrt", "-f", "1", "sh", "-c", `trap "" XCPU; while :; do :; done`)
	require.Error(t, burn.Run())
	pid := burn.ProcessState.Pid()
	e := w.some(t, to(pid, kill.SIGXCPU))
	want := byKernel(kill.SIGXCPU, pid).because(kill.CauseCPULimit)
	want.Delivery = kill.DeliveryIgnored
	assert.Equal(t, want, tell(e))
	assert.Equal(t, &kill.Trigger{CPUTime: 100 * time.Millisecond, Realtime: true}, e.Trigger)
	e = w.find(t, to(pid, kill.SIGKILL))
	assert.Equal(t, byKernel(kill.SIGKILL, pid).because(kill.CauseCPULimit), tell(e))
	assert.Equal(t, &kill.Trigger{CPUTime: 300 * time.Millisecond, Realtime: true}, e.Trigger)
}

func testFileSize(t *testing.T, w *watch) {
	t.Helper()
	write := command("sh", "-c", `ulimit -f 10; exec head -c 100000 /dev/zero >"$0"`, t.TempDir()+"/file")
	require.Error(t, write.Run())
	pid := write.ProcessState.Pid()
	e := w.find(t, to(pid, kill.SIGXFSZ))
	assert.Equal(t, byKernel(kill.SIGXFSZ, pid).because(kill.CauseFileSizeLimit), tell(e))
	assert.Equal(t, &kill.Trigger{FileSize: kill.NewAmount(10 * 512)}, e.Trigger)
}

func testParentDeath(t *testing.T, w *watch) {
	t.Helper()
	for name, tt := range map[string]struct {
		order string
		exit  kill.Exit
	}{
		"exits":              {"exit", kill.Exit{Known: true, Status: 3 << 8}},
		"kills itself":       {"kill", kill.Exit{Known: true, Status: 15}},
		"ends only a thread": {"end the thread", kill.Exit{Status: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			parent := help(t, "parent", nil)
			var child int
			parent.read(&child)
			awaitCommand(t, child, "sleep")
			// Another process sends the same signal, too.
			require.NoError(t, syscall.Kill(child, syscall.SIGSTOP))
			awaitState(t, child, "T")
			_, errno := w.fencing.send(order{call: "kill", pid: child, signal: int(kill.SIGTERM)})
			require.Zero(t, errno)
			parent.say("%s", tt.order)
			// The child goes to another thread of its parent, which may end as well.
			e := w.some(t, func(e *kill.Event) bool { return to(child, kill.SIGTERM)(e) && by(parent.pid)(e) })
			want := byKernel(kill.SIGTERM, child).because(kill.CauseParentDeath).prompted(parent.pid, e.Sender.ThreadID)
			want.Delivery = kill.DeliveryPending
			assert.Equal(t, want, tell(e))
			assert.Equal(t, &kill.Trigger{ParentExit: tt.exit}, e.Trigger)
			e = w.find(t, func(e *kill.Event) bool { return to(child, kill.SIGTERM)(e) && by(w.fencing.pid)(e) })
			assert.Equal(t, kill.CauseNone, e.Cause)
			assert.Equal(t, "kill", e.Syscall)
			require.NoError(t, syscall.Kill(child, syscall.SIGKILL))
		})
	}
}

func testTimers(t *testing.T, w *watch) {
	t.Helper()
	for name, tt := range map[string]struct {
		which  string
		signal kill.Signal
		code   string
	}{
		"a POSIX timer": {"posix", kill.SIGTERM, "SI_TIMER"},
		"an alarm":      {"0", sigAlarm, ""},
		"its own time":  {"1", sigVirtualAlarm, ""},
		"a profile":     {"2", sigProfile, ""},
	} {
		t.Run(name, func(t *testing.T) {
			target := help(t, "timed", nil, tt.which, "10", itoa(aProcessor(t)))
			e := w.some(t, to(target.pid, tt.signal))
			want := byKernel(tt.signal, target.pid).because(kill.CauseTimer)
			want.Code, want.Threads = tt.code, []int{e.Targets[0].ThreadID}
			assert.Equal(t, want, tell(e))
		})
	}
}

// testTimersInTheReader has timers of others expire while the reader's own process runs there: what the kernel sends in its context
// is not its own.
func testTimersInTheReader(t *testing.T, w *watch) {
	t.Helper()
	const expires = 50 * time.Millisecond
	for range 10 {
		target := help(t, "timed", nil, "posix", itoa(int(expires.Milliseconds())), itoa(aProcessor(t)))
		target.read(new(string))
		require.NoError(t, occupy(aProcessor(t), 2*expires))
		e := w.some(t, to(target.pid, kill.SIGTERM)) // the runtime of the target sends it once more, to end of it
		require.Equal(t, kill.CauseTimer, e.Cause)
	}
}

// aProcessor returns a processor on which tests may run, always the same.
func aProcessor(t *testing.T) int {
	t.Helper()
	var allowed unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &allowed))
	processor := 0
	for !allowed.IsSet(processor) {
		processor++
	}
	return processor
}

// Who opens a file does not know of the lease that somebody has on it, nor which signal that one has asked for, perhaps for another
// process: he is not named.
func testLease(t *testing.T, w *watch) {
	t.Helper()
	file := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	holder := help(t, "leaseholder", nil, file)
	var ready string
	holder.read(&ready)
	run(t, command("sh", "-c", `exec dd of="$0" oflag=nonblock count=0`, file))
	e := w.some(t, to(holder.pid, kill.SIGXCPU))
	want := byKernel(kill.SIGXCPU, holder.pid)
	want.Threads = []int{e.Targets[0].ThreadID}
	assert.Equal(t, want, tell(e))
}

// What a process sends has none of these causes, whatever it says about itself.
func testDecoys(t *testing.T, w *watch) {
	t.Helper()
	for _, signal := range []kill.Signal{kill.SIGHUP, kill.SIGINT, kill.SIGTERM, kill.SIGXCPU, kill.SIGXFSZ, sigAlarm} {
		for _, code := range []int{codeKernel, codeUser, codeTimer, codeSigIO, 1, 3} {
			t.Run(fmt.Sprintf("%v, code %d", signal.Name(), code), func(t *testing.T) {
				forger := help(t, "forger", nil, itoa(int(signal)), itoa(code))
				awaitEnd(t, forger.pid)
				w.fence(t)
				all := w.all(to(forger.pid, signal)) // the runtime raises it again, so as to die of it
				assert.NotEmpty(t, all)
				for _, e := range all {
					assert.Equal(t, kill.OriginUser, e.Origin)
					assert.Equal(t, kill.CauseNone, e.Cause)
					assert.Equal(t, forger.pid, e.Sender.PID)
					assert.Nil(t, e.Trigger)
				}
			})
		}
		t.Run(signal.Name()+" by kill", func(t *testing.T) {
			target := run(t, exec.Command("sh", "-c", "ulimit -t 100; ulimit -f 1000; exec sleep 1000"))
			awaitCommand(t, target, "sleep")
			_, errno := w.fencing.send(order{call: "kill", pid: target, signal: int(signal)})
			require.Zero(t, errno)
			e := w.find(t, to(target, signal))
			assert.Equal(t, kill.OriginUser, e.Origin)
			assert.Equal(t, kill.CauseNone, e.Cause)
		})
	}
}

// What the init of a pid namespace kills by a call is not the end of that namespace.
func testInitKills(t *testing.T, w *watch) {
	t.Helper()
	first := exec.Command("sh", "-c", "sleep 1000 & kill -9 $!; wait; read x")
	first.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	in, err := first.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	pid := run(t, first)
	e := w.find(t, func(e *kill.Event) bool { return by(pid)(e) && e.Signal == kill.SIGKILL })
	assert.Equal(t, kill.OriginUser, e.Origin)
	assert.Equal(t, kill.CauseNone, e.Cause)
}
