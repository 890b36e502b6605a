// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// Each signal of a burst reaches the file exporter, by itself or counted with equal ones.

// crowd is a group of senders with a unique command name, so that the collector can be
// limited to their signals.
type crowd struct {
	t       *testing.T
	name    string
	senders []*process.Sender
	victims []int
	sent    int
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	program := filepath.Join(harness.PublicDir(t), fmt.Sprintf("crowd-%d", os.Getpid()))
	require.NoError(t, os.Rename(process.NativeSender(t), program))
	c := &crowd{t: t, name: filepath.Base(program)}
	for range 4 {
		s := process.NewSender(t, program)
		c.senders, c.victims = append(c.senders, s), append(c.victims, s.Start(1, false)[0])
	}
	return c
}

// send has each sender send this many signals, as fast as it can.
func (c *crowd) send(each int) {
	c.t.Helper()
	var running sync.WaitGroup
	for i, s := range c.senders {
		running.Go(func() {
			failed := s.Order(orders.Order{
				Call: "kill", PID: c.victims[i], Signal: int(unix.SIGTERM), Times: each, Quiet: true,
			})
			assert.Empty(c.t, failed)
		})
	}
	running.Wait()
	c.sent += each * len(c.senders)
}

// start starts a collector with a ring buffer of a certain size that writes to a file.
func (c *crowd) start(ring int) (running *collector.Collector, path string) {
	c.t.Helper()
	path = filepath.Join(c.t.TempDir(), "out.pb")
	running = collector.Start(c.t, collector.Config{
		Receiver: fmt.Sprintf(`{ebpf: {ring_buffer: %d}, senders: [%q], targets: [%q]}`, ring, c.name, c.name),
		Exporter: fmt.Sprintf(`{file: {path: %q, format: proto}}`, path),
	})
	running.Ready()
	return running, path
}

// counted returns how many signals of each sender are in a file.
func (c *crowd) counted(path string) map[int64]int {
	c.t.Helper()
	counts := make(map[int64]int)
	for pair, count := range c.pairs(path) {
		counts[pair.sender] += count
	}
	return counts
}

// pair is a sender and a target.
type pair struct{ sender, target int64 }

// pairs returns how many signals of each sender to each target are in a file.
func (c *crowd) pairs(path string) map[pair]int {
	c.t.Helper()
	counts, seen := make(map[pair]int), make(map[string]bool)
	repeated := 0
	for logs := range messages(c.t, path) {
		// The receiver emits one resource and one scope at a time.
		for _, r := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			if r.EventName() != "kill.signal" {
				continue // outcomes are in the file, too
			}
			sender, _ := r.Attributes().Get("process.pid")
			if !c.sends(sender.Int()) {
				continue // the SIGTERM that has stopped the collector passes all filters
			}
			uid, _ := r.Attributes().Get("log.record.uid")
			counts[pair{sender.Int(), number(r, "kill.target.pid")}] += max(1, int(number(r, "kill.count")))
			if seen[uid.Str()] {
				repeated++
			}
			seen[uid.Str()] = true
		}
	}
	assert.Zero(c.t, repeated, "log records with the log.record.uid of another one")
	return counts
}

// sends reports whether a process is one of the senders.
func (c *crowd) sends(pid int64) bool {
	return slices.ContainsFunc(c.senders, func(s *process.Sender) bool { return int64(s.PID) == pid })
}

// messages reads what the file exporter writes with format proto: messages, each
// with its length before it.
func messages(t *testing.T, path string) func(func(plog.Logs) bool) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() }) // it was only read
	return func(yield func(plog.Logs) bool) {
		for {
			var length [4]byte
			if _, err := io.ReadFull(file, length[:]); err == io.EOF {
				return
			}
			message := make([]byte, binary.BigEndian.Uint32(length[:]))
			_, err := io.ReadFull(file, message)
			require.NoError(t, err)
			logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(message)
			require.NoError(t, err)
			if !yield(logs) {
				return
			}
		}
	}
}

// A million signals lead to a million log records, if the senders leave the collector the time
// to keep up.
func TestDeliversAMillion(t *testing.T) {
	harness.NeedRoot(t)
	const (
		total = 1_000_000
		// round is less than the ring and the queue after it can hold.
		round = 10_000
		ring  = 16 << 20
	)
	crowd := newCrowd(t)
	c, path := crowd.start(ring)
	signals := func() int {
		return c.MetricOf("audit_kill_events", `event_name="kill.signal"`) + c.Metric("audit_kill_joined")
	}
	began := time.Now()
	for crowd.sent < total {
		crowd.send(round / len(crowd.senders))
		harness.Eventually(t, func() bool { return signals() >= crowd.sent-round/2 }, "the collector keeps up")
	}
	harness.Eventually(t, func() bool { return signals() >= crowd.sent }, "all signals are delivered")
	assert.Zero(t, c.MetricOf("audit_kill_ring_dropped", `record="signal"`))
	assert.Zero(t, c.Metric("audit_kill_queue_dropped"))
	t.Logf("%d signals in %v", total, time.Since(began).Round(time.Second))
	c.Stop()
	want := make(map[int64]int)
	for _, s := range crowd.senders {
		want[int64(s.PID)] = total / len(crowd.senders)
	}
	assert.Equal(t, want, crowd.counted(path))
}

// If a burst is too much, equal signals are counted: each is told, and none is lost.
func TestTellsAllOfABurst(t *testing.T) {
	harness.NeedRoot(t)
	const total = 1_000_000
	crowd := newCrowd(t)
	c, path := crowd.start(1 << 20)
	crowd.send(total / len(crowd.senders))
	harness.Eventually(t, func() bool {
		return c.MetricOf("audit_kill_events", `event_name="kill.signal"`)+c.Metric("audit_kill_joined")+c.Metric("audit_kill_missed") >= total
	}, "each signal is told")
	stopComplete(t, c, total)
	want := make(map[int64]int)
	for _, s := range crowd.senders {
		want[int64(s.PID)] = total / len(crowd.senders)
	}
	assert.Equal(t, want, crowd.counted(path))
}

// stopComplete stops a collector that has lost nothing of so many signals. It skips the rest of the test if the kernel has kept some from our
// programs.
func stopComplete(t *testing.T, c *collector.Collector, signals int) {
	t.Helper()
	missed := c.Metric("audit_kill_missed")
	assert.Zero(t, c.MetricOf("audit_kill_ring_dropped", `record="signal"`))
	assert.Zero(t, c.Metric("audit_kill_queue_dropped"))
	records := c.MetricOf("audit_kill_events", `event_name="kill.signal"`)
	c.Stop()
	t.Logf("%d signals in %d records; the kernel skipped our programs %d times", signals, records, missed)
	if missed > 0 {
		t.Skip("SKIPPED the exact count: the kernel itself has skipped programs")
	}
}

// The same to many targets: four senders signal a group of 10,000 processes as fast as they can.
func TestTellsAllToManyTargets(t *testing.T) {
	harness.NeedRoot(t)
	const (
		targets = 10_000
		times   = 5
	)
	crowd := newCrowd(t)
	group, pids := startHerd(t, crowd.name, targets)
	c, path := crowd.start(1 << 20)
	var running sync.WaitGroup
	for _, s := range crowd.senders {
		running.Go(func() {
			assert.Empty(t, s.Order(orders.Order{Call: "kill", PID: -group, Signal: int(unix.SIGTERM), Times: times, Quiet: true}))
		})
	}
	running.Wait()
	want := make(map[pair]int)
	for _, s := range crowd.senders {
		for _, pid := range pids {
			want[pair{int64(s.PID), int64(pid)}] = times
		}
	}
	harness.Eventually(t, func() bool {
		// What has room in the ring is one event of a call, with a record for each target.
		records := c.Metric("accepted_log_records") - c.MetricOf("audit_kill_events", `event_name="kill.outcome"`)
		return records+c.Metric("audit_kill_joined")+c.Metric("audit_kill_missed") >= times*len(want)
	}, "each signal is told")
	stopComplete(t, c, times*len(want))
	told := crowd.pairs(path)
	assert.Len(t, told, len(want))
	for p, count := range told {
		if count != want[p] {
			require.Equal(t, want[p], count, "from %d to %d", p.sender, p.target)
		}
	}
}

// startHerd starts processes of a name that ignore SIGTERM, in a process group of their own. They are forks of a shell with that
// name, which run no program of their own: that would take minutes.
func startHerd(t *testing.T, name string, number int) (group int, pids []int) {
	t.Helper()
	program := filepath.Join(harness.PublicDir(t), name)
	sh, err := exec.LookPath("sh")
	require.NoError(t, err)
	require.NoError(t, exec.Command("cp", sh, program).Run()) //nolint:gosec // paths of this test
	const start = `trap "" TERM; i=1; while [ $i -lt "$0" ]; do read -r end <&3 & echo $!; i=$((i+1)); done; wait`
	shell := exec.Command(program, "-c", start, strconv.Itoa(number)) //nolint:gosec // as above
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	read, write, err := os.Pipe()
	require.NoError(t, err)
	shell.ExtraFiles = []*os.File{read}
	out, err := shell.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, shell.Start())
	t.Cleanup(func() {
		assert.NoError(t, unix.Kill(-shell.Process.Pid, unix.SIGKILL))
		_ = shell.Wait() // it was killed
		assert.NoError(t, errors.Join(read.Close(), write.Close()))
	})
	pids = append(pids, shell.Process.Pid)
	for reader := bufio.NewReader(out); len(pids) < number; {
		var pid int
		_, err := fmt.Fscan(reader, &pid)
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	return shell.Process.Pid, pids
}
