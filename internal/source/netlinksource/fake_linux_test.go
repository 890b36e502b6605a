// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// batch is what one call of receive returns.
type batch struct {
	messages []message
	emptied  bool
	err      error
}

// fakeTransport plays the kernel's side of the socket.
type fakeTransport struct {
	batches chan batch
	closed  chan struct{}

	mutex    sync.Mutex
	said     []string
	sequence uint32
	// refuse is the answer to the next requests, joinError that to join. With mute there is no answer.
	refuse, joinError error
	mute              bool
}

func newFakeTransport() *fakeTransport {
	return &fakeTransport{batches: make(chan batch, 100), closed: make(chan struct{})}
}

func (f *fakeTransport) receive(deadline time.Time) ([]message, bool, error) {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case b := <-f.batches:
		return b.messages, b.emptied, b.err
	case <-timer.C:
		return nil, true, errTimeout
	case <-f.closed:
		return nil, false, os.ErrClosed
	}
}

func (f *fakeTransport) note(text string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.said = append(f.said, text)
}

// calls returns what was called since the last time.
func (f *fakeTransport) calls() []string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	said := f.said
	f.said = nil
	return said
}

func (f *fakeTransport) join() error {
	f.note("join")
	return f.joinError
}

func (f *fakeTransport) leave() error {
	f.note("leave")
	return nil
}

func (f *fakeTransport) request(text string) (uint32, error) {
	f.note(text)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.sequence++
	if f.mute {
		return f.sequence, nil
	}
	errno := make([]byte, 4)
	if number, ok := f.refuse.(unix.Errno); ok { //nolint:errorlint // a number to send
		errno = []byte{byte(-int(number)), 0xff, 0xff, 0xff}
	}
	f.batches <- batch{emptied: true, messages: []message{{kind: unix.NLMSG_ERROR, sequence: f.sequence, data: errno}}}
	return f.sequence, nil
}

func (f *fakeTransport) register() (uint32, error) { return f.request("register") }

func (f *fakeTransport) unregister() (uint32, error) { return f.request("unregister") }

func (f *fakeTransport) close() error {
	f.note("close")
	close(f.closed)
	return nil
}

// send makes records arrive, each as "kind text".
func (f *fakeTransport) send(multicast bool, messages ...message) {
	for i := range messages {
		messages[i].multicast = multicast
	}
	f.batches <- batch{messages: messages, emptied: true}
}

// recordsOf are the records of one kill(2).
func recordsOf(serial, sender, target int) []message {
	stamp := fmt.Sprintf("audit(1450214919.813:%d): ", serial)
	return []message{
		{kind: 1300, data: fmt.Appendf(nil, stamp+"arch=c000003e syscall=62 success=yes exit=0 a0=%x a1=f a2=0 a3=0 "+
			"items=0 ppid=1 pid=%d auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 "+
			"comm=\"kill\" exe=\"/bin/kill\" key=\"audit_kill\"\x00", target, sender)},
		{kind: 1318, data: fmt.Appendf(nil, stamp+"opid=%d oauid=-1 ouid=0 oses=-1 ocomm=\"mysqld\"", target)},
		{kind: 1327, data: []byte(stamp + "proctitle=\"kill\"")},
		{kind: 1320, data: []byte(stamp + "\n")},
	}
}

// fakeKernel plays the kernel's state.
type fakeKernel struct {
	mutex  sync.Mutex
	status libaudit.AuditStatus
	// err is the answer to everything, locked that to changes; later changes the
	// state between the first question and the next.
	err, locked error
	later       func(*libaudit.AuditStatus)
}

func (f *fakeKernel) GetStatus() (*libaudit.AuditStatus, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	status := f.status
	if f.later != nil {
		f.later(&f.status)
		f.later = nil
	}
	return &status, f.err
}

func (f *fakeKernel) change(change func(*libaudit.AuditStatus)) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	change(&f.status)
}

func (f *fakeKernel) SetBacklogLimit(limit uint32, _ libaudit.WaitMode) error {
	if err := errors.Join(f.err, f.locked); err != nil {
		return err
	}
	f.change(func(s *libaudit.AuditStatus) { s.BacklogLimit = limit })
	return nil
}

func (f *fakeKernel) SetBacklogWaitTime(jiffies int32, _ libaudit.WaitMode) error {
	if err := errors.Join(f.err, f.locked); err != nil {
		return err
	}
	f.change(func(s *libaudit.AuditStatus) { s.BacklogWaitTime = uint32(jiffies) })
	return nil
}

func (f *fakeKernel) SetFailure(action libaudit.FailureMode, _ libaudit.WaitMode) error {
	if err := errors.Join(f.err, f.locked); err != nil {
		return err
	}
	f.change(func(s *libaudit.AuditStatus) { s.Failure = uint32(action) })
	return nil
}

// bench is a source with a fake kernel, whose supervisor acts when the test says so.
type bench struct {
	*Source
	t         *testing.T
	transport *fakeTransport
	kernel    *fakeKernel
	logs      *observer.ObservedLogs
	counts    source.Counts
	clock     time.Time
	troubles  []error
	tampered  atomic.Int32
	ended     bool
}

func newBench(t *testing.T, mode Mode, status libaudit.AuditStatus) *bench {
	t.Helper()
	b := &bench{
		t: t, transport: newFakeTransport(), kernel: &fakeKernel{status: status},
		clock: time.Unix(1450214919, 0), // that of the events
	}
	core, logs := observer.New(zapcore.DebugLevel)
	b.logs = logs
	logger := zap.New(core)
	b.Source = New(Settings{
		Mode: mode, Counts: &b.counts, Tampered: func() { b.tampered.Add(1) }, Logger: logger, Warn: func(p *problem.Problem) { logger.Warn(p.What) },
		Correlation: correlate.Config{Timeout: time.Minute, MaxPending: 100},
		Health:      func(err error) { b.troubles = append(b.troubles, err) },
	})
	b.reader = newReader(b.transport, &b.settings)
	b.supervisor = newSupervisor(&b.settings, b.sampled, b.reader, b.kernel, b.vacancies)
	b.supervisor.now = func() time.Time { return b.clock }
	b.reading.Go(b.read)
	t.Cleanup(func() {
		b.end()
	})
	return b
}

// newTestReader returns a reader that the test feeds.
func newTestReader(config correlate.Config) *reader {
	return newReader(newFakeTransport(), &Settings{Correlation: config, Tampered: func() {}, Facts: true})
}

// end closes the source, once.
func (b *bench) end() {
	b.t.Helper()
	if !b.ended {
		b.ended = true
		assert.NoError(b.t, b.Close())
	}
}

// look makes the supervisor check the kernel after some time.
func (b *bench) look(after time.Duration) {
	b.t.Helper()
	b.clock = b.clock.Add(after)
	b.supervisor.check(b.t.Context())
}

// take waits for events.
func (b *bench) take(count int) []*kill.Event {
	b.t.Helper()
	var events []*kill.Event
	require.Eventually(b.t, func() bool {
		events = append(events, eventsOf(b.reader.queue.Take(1000))...)
		return len(events) >= count
	}, limit, time.Millisecond)
	require.Len(b.t, events, count)
	return events
}

// settled waits until the reader has handled everything that was sent.
func (b *bench) settled() {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return len(b.transport.batches) == 0 }, limit, time.Millisecond)
}

// warnings returns the warnings that were logged.
func (b *bench) warnings() []string {
	var messages []string
	for _, entry := range b.logs.FilterLevelExact(zapcore.WarnLevel).All() {
		messages = append(messages, entry.Message)
	}
	return messages
}

func serialsOf(events []*kill.Event) []uint32 {
	var serials []uint32
	for _, e := range events {
		serials = append(serials, e.Audit.Serial)
	}
	return serials
}

// eventsOf returns the events that a source has seen; it sees nothing else.
func eventsOf(seen []source.Observation) []*kill.Event {
	var events []*kill.Event
	for _, o := range seen {
		events = append(events, o.Event)
	}
	return events
}
