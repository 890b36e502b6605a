// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A real auditd that rotates under load, followed to the last event.
//
// The tests are not parallel: the audit system is there once, and while it
// records, it slows down everything else.

// TestFollowsAuditd waits for nobody; auditd keeps all files, rotates by size,
// and in between because it is told to.
func TestFollowsAuditd(t *testing.T) {
	daemon := startAuditd(t, "log_format = RAW\nnum_logs = 99")
	follow(t, daemon, func(load *load, _ *keeper, _ *sink) {
		for range 30 {
			load.run(200 + rand.IntN(1200)) //nolint:gosec // not secret
			daemon.rotate()
		}
	})
}

// TestFollowsAuditdThatKeepsFewFiles never lets more be written than auditd
// keeps, so that whatever is missing is the collector's fault.
func TestFollowsAuditdThatKeepsFewFiles(t *testing.T) {
	daemon := startAuditd(t, "log_format = ENRICHED\nnum_logs = 5")
	follow(t, daemon, func(load *load, keeper *keeper, sink *sink) {
		for range 8 {
			load.run(2000)
			keeper.awaitQuiet()
			awaitAll(t, sink, keeper.all())
		}
	})
}

// follow starts the collector, lets run what writes the log, and compares.
func follow(t *testing.T, daemon *auditd, busy func(*load, *keeper, *sink)) {
	t.Helper()
	sink := newSink(t, "grpc")
	c := start(t, config{
		receiver: fmt.Sprintf(`{file: {path: %q, start_at: beginning}, signals: [0, CONT]}`, daemon.log),
		exporter: sink.exporter,
	})
	c.ready()
	keeper := newKeeper(t, daemon.log)
	load := newLoad(t)
	busy(load, keeper, sink)
	load.stop()

	keeper.awaitQuiet()
	want := keeper.all()
	awaitAll(t, sink, want)
	c.running()
	assert.Zero(t, c.metric("audit_kill_file_lost"))
	c.stop()
	assertConsistent(t, sink.records(), want)
	assert.Len(t, keysOf(sink.records()), len(want), "nothing was delivered twice")
	// The kernel drops records for an auditd that the machine leaves no time to run.
	recorded := keeper.written(load.pid)
	assert.Greater(t, recorded, 1000, "calls that auditd has written down")
	t.Logf("%d calls, %d of them recorded, %d log records, %d files", load.sent, recorded, len(want), len(keeper.files))
}

// keeper holds every file that auditd has written open, so that it can be read
// after it was removed.
type keeper struct {
	t     *testing.T
	log   string
	files map[uint64]*os.File
}

func newKeeper(t *testing.T, log string) *keeper {
	t.Helper()
	k := &keeper{t: t, log: log, files: make(map[uint64]*os.File)}
	t.Cleanup(k.close)
	return k
}

// look opens what is new.
func (k *keeper) look() {
	paths, _ := filepath.Glob(k.log + "*") // the pattern is good
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			continue // rotated since: comes again
		}
		info, err := file.Stat()
		stat, ok := info.Sys().(*syscall.Stat_t)
		if err == nil && ok && k.files[stat.Ino] == nil {
			k.files[stat.Ino] = file
			continue
		}
		_ = file.Close() // was only read from
	}
}

func (k *keeper) close() {
	for _, file := range k.files {
		_ = file.Close() // was only read from
	}
}

var (
	killCallPattern = regexp.MustCompile(`^type=SYSCALL msg=audit\((\d+)\.(\d+):(\d+)\): ` +
		`arch=(?:c000003e syscall=62|c00000b7 syscall=129) .* a0=(\w+) a1=(?:0|12) .* pid=(\d+) `)
	objectPattern = regexp.MustCompile(`^type=OBJ_PID msg=audit\((\d+)\.(\d+):(\d+)\): opid=(\d+) `)
)

// recordedCall is a call that the collector is to report.
type recordedCall struct {
	// requested is the process that the call named.
	requested int
	sender    int
	targets   []int
}

// calls reads all files, in any order. Where auditd got no time to run, the
// kernel has dropped records, also some of an event; the rest counts.
func (k *keeper) calls() map[key]*recordedCall {
	calls := make(map[key]*recordedCall)
	at := func(match []string) *recordedCall {
		stamp := key{milliseconds: stampOf(match), serial: number(match[3])}
		if calls[stamp] == nil {
			calls[stamp] = new(recordedCall)
		}
		return calls[stamp]
	}
	for line := range k.lines() {
		if match := objectPattern.FindStringSubmatch(line); match != nil {
			call := at(match)
			call.targets = append(call.targets, number(match[4]))
		} else if match := killCallPattern.FindStringSubmatch(line); match != nil {
			call := at(match)
			requested, _ := strconv.ParseUint(match[4], 16, 64)
			call.requested, call.sender = int(max(0, int32(uint32(requested)))), number(match[5])
		}
	}
	return calls
}

// stampOf returns the milliseconds that a pattern has found first.
func stampOf(match []string) int64 { return int64(number(match[1]))*1000 + int64(number(match[2])) }

// lines yields the lines of all files.
func (k *keeper) lines() func(func(string) bool) {
	return func(yield func(string) bool) {
		k.look()
		for _, file := range k.files {
			reader := bufio.NewReader(io.NewSectionReader(file, 0, math.MaxInt64))
			for line, err := reader.ReadString('\n'); err == nil; line, err = reader.ReadString('\n') {
				if !yield(line) {
					return
				}
			}
		}
	}
}

// awaitQuiet waits until auditd has written down all that the kernel holds.
func (k *keeper) awaitQuiet() {
	k.t.Helper()
	size := int64(-1)
	require.Eventually(k.t, func() bool {
		last := size
		size = k.size()
		return size == last && strings.Contains(auditctl(k.t, "-s"), "backlog 0\n")
	}, patience, 300*time.Millisecond, "auditd has written everything")
}

// size returns how much has been written in all.
func (k *keeper) size() int64 {
	k.look()
	var sum int64
	for _, file := range k.files {
		info, err := file.Stat()
		if err != nil {
			k.t.Errorf("auditd's log: %v", err)
			return -1
		}
		sum += info.Size()
	}
	return sum
}

// written counts the calls of one sender.
func (k *keeper) written(sender int) int {
	count := 0
	for _, call := range k.calls() {
		if call.sender == sender {
			count++
		}
	}
	return count
}

// all are the log records that must be delivered, whoever sent the signals.
func (k *keeper) all() []key {
	var keys []key
	for stamp, call := range k.calls() {
		if call.targets == nil {
			call.targets = []int{call.requested}
		}
		for _, pid := range call.targets {
			keys = append(keys, key{milliseconds: stamp.milliseconds, serial: stamp.serial, pid: pid})
		}
	}
	return keys
}

// noSuchProcess is beyond the largest process id (include/linux/threads.h).
const noSuchProcess = 1 << 23

// load is a process that sends signals. It is not the test itself, because the
// kernel records only processes that were started after auditing was turned on.
type load struct {
	t       *testing.T
	pid     int
	sent    int
	command *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
}

func newLoad(t *testing.T) *load {
	t.Helper()
	l := &load{t: t, command: exec.Command(os.Args[0])} //nolint:gosec // this program
	l.command.Env = append(os.Environ(), roleVariable+"=load")
	l.command.Stderr = os.Stderr
	var err error
	l.input, err = l.command.StdinPipe()
	require.NoError(t, err)
	output, err := l.command.StdoutPipe()
	require.NoError(t, err)
	l.output = bufio.NewReader(output)
	require.NoError(t, l.command.Start())
	l.pid = l.command.Process.Pid
	t.Cleanup(func() { _ = l.input.Close() })
	return l
}

// start lets the process send so many signals, and returns what finished wants.
func (l *load) start(calls int) <-chan string {
	l.sent += calls
	_, err := fmt.Fprintln(l.input, calls)
	require.NoError(l.t, err)
	done := make(chan string, 1)
	go func() {
		line, _ := l.output.ReadString('\n') // an empty one if the process has ended
		done <- line
	}()
	return done
}

func (l *load) finished(done <-chan string) bool {
	l.t.Helper()
	select {
	case line := <-done:
		require.Equal(l.t, "done\n", line)
		return true
	default:
		return false
	}
}

func (l *load) run(calls int) {
	l.t.Helper()
	done := l.start(calls)
	eventually(l.t, func() bool { return len(done) > 0 }, "%d signals are sent", calls)
	require.True(l.t, l.finished(done))
}

func (l *load) stop() {
	l.t.Helper()
	require.NoError(l.t, l.input.Close())
	require.NoError(l.t, l.command.Wait())
}

func init() { roles["load"] = runLoad }

const members = 20

// runLoad sends as many signals as each line of its input says, in the ways
// that lead to different records.
func runLoad() {
	pids, done := startMembers()
	defer done()
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		for i := range number(strings.TrimSpace(input.Text())) {
			switch {
			case i%100 == 99:
				_ = syscall.Kill(-pids[0], 0) // the whole group
			case i%50 == 25:
				_ = syscall.Kill(noSuchProcess, 0) // ESRCH
			case i%10 == 5:
				_ = syscall.Kill(pids[i%members], syscall.SIGCONT)
			default:
				_ = syscall.Kill(pids[i%members], 0)
			}
		}
		fmt.Println("done")
	}
}

// startMembers starts a process group of its own, whose members end with their
// common input.
func startMembers() (pids []int, done func()) {
	reader, writer, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	var commands []*exec.Cmd
	for range members {
		command := exec.Command("cat") // ends with its input
		command.Stdin = reader
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if len(pids) > 0 {
			command.SysProcAttr.Pgid = pids[0]
		}
		if err := command.Start(); err != nil {
			panic(err)
		}
		pids = append(pids, command.Process.Pid)
		commands = append(commands, command)
	}
	return pids, func() {
		_ = writer.Close()
		for _, command := range commands {
			_ = command.Wait()
		}
	}
}
