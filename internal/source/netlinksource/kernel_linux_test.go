// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// The tests in this file use the kernel's own audit system, of which there is only one. They need
// root, and leave everything as it was.

const (
	limit = time.Minute
	// testKey marks the rules of these tests.
	testKey = "netlinksource_test"
)

// realKernel reserves the audit system for the test, turned on and with a rule for SIGCONT and SIGTERM.
func realKernel(t *testing.T) auditcontrol.Client {
	t.Helper()
	client := audittest.Kernel(t)
	require.NoError(t, client.SetEnabled(true, libaudit.WaitForReply))
	for _, signal := range []int{int(unix.SIGCONT), int(unix.SIGTERM)} {
		addRule(t, client, fmt.Sprintf("-a always,exit -F arch=b64 -S kill -F a1=%d -k %s", signal, testKey))
	}
	return client
}

func addRule(t *testing.T, client auditcontrol.Client, line string) {
	t.Helper()
	parsed, err := flags.Parse(line)
	require.NoError(t, err)
	wire, err := rule.Build(parsed)
	require.NoError(t, err)
	require.NoError(t, client.AddRule(wire))
	t.Cleanup(func() { assert.NoError(t, client.DeleteRule(wire)) })
}

// sendSignals sends SIGCONT so many times, and then SIGTERM, all to one process, from a shell that
// is started once auditing is on. It returns their pids.
func sendSignals(t *testing.T, times int) (sender, target int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf( //nolint:gosec // a number
		"sleep 1000 & i=0; while [ $i -lt %d ]; do kill -CONT $!; i=$((i+1)); done; kill -TERM $!; echo $$ $!", times))
	out, err := command.Output()
	require.NoError(t, err)
	_, err = fmt.Sscan(string(out), &sender, &target)
	require.NoError(t, err, "%q", out)
	return sender, target
}

// running is a source at work.
type running struct {
	*Source
	mutex  sync.Mutex
	events []*kill.Event
	facts  []*attribution.Fact
	stop   func()
}

func newSource(t *testing.T, mode Mode) *Source {
	t.Helper()
	return New(Settings{
		Mode: mode, ReceiveBuffer: 8 << 20,
		Correlation: correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192},
		Counts:      new(source.Counts), Logger: zaptest.NewLogger(t), Warn: func(p *problem.Problem) { t.Log(p) },
		Health: func(error) {}, Tampered: func() {},
	})
}

func run(t *testing.T, mode Mode) *running {
	t.Helper()
	return runSource(t, newSource(t, mode))
}

func runSource(t *testing.T, s *Source) *running {
	t.Helper()
	r := &running{Source: s}
	r.vacancies = vacancies{}
	require.NoError(t, r.Start(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, r.deliver)
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		assert.NoError(t, r.Close())
	})
	t.Cleanup(r.stop)
	return r
}

func (r *running) deliver(seen []source.Observation) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, o := range seen {
		if o.Fact != nil {
			r.facts = append(r.facts, o.Fact)
		} else {
			r.events = append(r.events, o.Event)
		}
	}
	return nil
}

// from returns what a sender has sent.
func (r *running) from(sender int) []*kill.Event {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.DeleteFunc(slices.Clone(r.events), func(e *kill.Event) bool { return e.Sender.PID != sender })
}

func (r *running) await(t *testing.T, sender, events int) []*kill.Event {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.from(sender)) >= events }, limit, 10*time.Millisecond)
	return r.from(sender)
}

func assertSignals(t *testing.T, events []*kill.Event, times, target int, sources ...string) {
	t.Helper()
	require.Len(t, events, times+1)
	serials := make(map[uint32]bool)
	for i, e := range events {
		signal := kill.Signal(unix.SIGCONT)
		if i == times {
			signal = kill.Signal(unix.SIGTERM)
		}
		assert.Equal(t, signal, e.Signal)
		assert.Equal(t, target, e.Targets[0].PID)
		assert.True(t, e.Complete)
		assert.Contains(t, sources, e.Source)
		assert.Equal(t, []string{testKey}, e.Audit.Keys)
		serials[e.Audit.Serial] = true
	}
	assert.Len(t, serials, times+1, "each once")
}

func TestUnicast(t *testing.T) {
	realKernel(t)
	for _, mode := range []Mode{ModeAuto, ModeUnicast} {
		t.Run(string(mode), func(t *testing.T) {
			r := run(t, mode)
			assert.Equal(t, source.Traits{Way: "unicast", Live: true}, r.Traits())
			sender, target := sendSignals(t, 100)
			assertSignals(t, r.await(t, sender, 101), 100, target, "audit_unicast")
		})
	}
}

func TestMulticastAlone(t *testing.T) {
	realKernel(t)
	r := run(t, ModeMulticast)
	assert.Equal(t, source.Traits{Way: "multicast", Live: true}, r.Traits())
	sender, target := sendSignals(t, 100)
	assertSignals(t, r.await(t, sender, 101), 100, target, "audit_multicast")
}

func TestUnicastChangesAndRestoresTheQueue(t *testing.T) {
	client := realKernel(t)
	wait(t, client)
	before, err := client.GetStatus()
	require.NoError(t, err)
	require.NotZero(t, before.BacklogWaitTime)
	r := run(t, ModeUnicast)
	during, err := client.GetStatus()
	require.NoError(t, err)
	assert.EqualValues(t, os.Getpid(), during.PID)
	assert.Zero(t, during.BacklogWaitTime, "no system call waits")
	assert.EqualValues(t, minBacklog, during.BacklogLimit)
	r.stop()
	after, err := client.GetStatus()
	require.NoError(t, err)
	assert.Equal(t, audittest.Settings(before), audittest.Settings(after))
}

// A second source in the same process stands in for another process, because the kernel
// distinguishes sockets.
func TestUnicastNeverEvicts(t *testing.T) {
	realKernel(t)
	first := run(t, ModeUnicast)
	second := newSource(t, ModeUnicast)
	err := second.Start(t.Context())
	require.ErrorIs(t, err, unix.EEXIST)
	comm, readErr := os.ReadFile("/proc/self/comm")
	require.NoError(t, readErr)
	require.ErrorContains(t, err, fmt.Sprintf("%s[%d] holds the audit pid; stop it", strings.TrimSpace(string(comm)), os.Getpid()))
	require.NoError(t, second.Close())

	sender, target := sendSignals(t, 1)
	assertSignals(t, first.await(t, sender, 2), 1, target, "audit_unicast")
}

// The place changes hands several times while signals are sent.
func TestChangesOfTheDaemonLoseNothing(t *testing.T) {
	realKernel(t)
	r := run(t, ModeAuto)
	const changes = 5
	end := filepath.Join(t.TempDir(), "end")
	command := exec.CommandContext(t.Context(), "sh", "-c", "sleep 1000 & n=0; while [ ! -e "+end+" ]; do "+ //nolint:gosec // a temporary file
		"kill -CONT $!; kill -CONT $!; kill -CONT $!; n=$((n+3)); sleep 0.001; done; kill -TERM $!; echo $$ $! $n")
	out := new(strings.Builder)
	command.Stdout = out
	require.NoError(t, command.Start())
	sender := command.Process.Pid
	seen := 0
	for range changes {
		seen = r.awaitSource(t, sender, seen, "audit_unicast")
		r.offer(t)
		seen = r.awaitSource(t, sender, seen, "audit_multicast")
		r.awaitPID(t, os.Getpid())
	}
	require.NoError(t, os.WriteFile(end, nil, 0o600))
	require.NoError(t, command.Wait())
	var target, times int
	_, err := fmt.Sscan(out.String(), &sender, &target, &times)
	require.NoError(t, err, "%q", out)
	assertSignals(t, r.await(t, sender, times+1), times, target, "audit_unicast", "audit_multicast")
	t.Logf("%d signals", times)
}

// awaitSource waits until an event has arrived in the given way, after the given number of events,
// and returns how many there are by then.
func (r *running) awaitSource(t *testing.T, sender, seen int, name string) int {
	t.Helper()
	var at int
	require.Eventually(t, func() bool {
		at = slices.IndexFunc(r.from(sender)[seen:], func(e *kill.Event) bool { return e.Source == name })
		return at >= 0
	}, limit, time.Millisecond)
	return seen + at + 1
}

// offer makes the source believe that another process wants to be the daemon.
func (r *running) offer(t *testing.T) {
	t.Helper()
	offer(r.reader.replace, struct{}{})
	r.awaitPID(t, 0)
}

// wait makes system calls wait for room in the kernel's queue during the test, which they do unless
// somebody has changed that.
func wait(t *testing.T, client auditcontrol.Client) {
	t.Helper()
	before, err := client.GetStatus()
	require.NoError(t, err)
	require.NoError(t, client.SetBacklogWaitTime(1000, libaudit.WaitForReply))
	t.Cleanup(func() {
		assert.NoError(t, client.SetBacklogWaitTime(int32(before.BacklogWaitTime), libaudit.WaitForReply))
	})
}

func (r *running) awaitPID(t *testing.T, pid int) {
	t.Helper()
	var client auditcontrol.Client
	require.Eventually(t, func() bool {
		status, err := client.GetStatus()
		return err == nil && int(status.PID) == pid
	}, limit, time.Millisecond)
}

// Records that do not fit into the socket are reported, and the events that they may belong to are
// marked.
func TestOverrun(t *testing.T) {
	client := realKernel(t)
	wait(t, client)
	socket, err := openSocket()
	require.NoError(t, err)
	defer func() { require.NoError(t, socket.close()) }()
	_, err = socket.setBuffer(64 << 10)
	require.NoError(t, err)
	require.NoError(t, socket.join())
	sendSignals(t, 2000)
	require.Eventually(t, func() bool {
		status, failure := client.GetStatus()
		return failure == nil && status.Backlog == 0
	}, limit, time.Millisecond, "the kernel has sent all records")
	_, _, err = socket.receive(time.Now().Add(limit))
	require.ErrorIs(t, err, unix.ENOBUFS)
	messages, _, err := socket.receive(time.Now().Add(limit))
	require.NoError(t, err, "reported once, and what fitted is there")
	assert.NotEmpty(t, messages)
	require.NoError(t, socket.leave())
	for err == nil {
		_, _, err = socket.receive(time.Now().Add(10 * time.Millisecond))
	}
	assert.ErrorIs(t, err, errTimeout)
}

func TestCloseEndsReceive(t *testing.T) {
	socket, err := openSocket()
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		audittest.Skip(t, "this kernel has no audit system")
	}
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		_, _, err := socket.receive(time.Now().Add(limit))
		ended <- err
	}()
	require.NoError(t, socket.close())
	assert.ErrorIs(t, <-ended, os.ErrClosed)
}
