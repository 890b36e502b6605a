// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

// startBench returns a source that listens beside a daemon.
func startBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, ModeAuto, usual(other))
	require.NoError(t, b.supervisor.begin(t.Context()))
	return b
}

func TestEvent(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.transport.send(true, recordsOf(7, 10, 20)...)
	e := b.take(1)[0]
	assert.Equal(t, kill.KindSignal, e.Kind)
	assert.EqualValues(t, 7, e.Audit.Serial)
	assert.Equal(t, kill.Signal(15), e.Signal)
	assert.Equal(t, 10, e.Sender.PID)
	assert.Equal(t, []string{"audit_kill"}, e.Audit.Keys, "a NUL at the end of a record is no part of it")
	assert.Equal(t, 20, e.Targets[0].PID)
	assert.True(t, e.Complete)
	assert.Equal(t, time.UnixMilli(1450214919813), e.Time)
}

func TestOwnSignalsAreLeftOut(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.reader.self = os.Getpid() // wherever the test runs
	b.transport.send(true, recordsOf(1, os.Getpid(), 20)...)
	b.transport.send(true, recordsOf(2, 10, os.Getpid())...)
	assert.EqualValues(t, 2, b.take(1)[0].Audit.Serial, "those that others send us are not")
}

// A group is handed on as soon as its last record has arrived.
func TestGroup(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	records := recordsOf(7, 10, 20)
	records[0].data = []byte("audit(1450214919.813:7): arch=c000003e syscall=62 success=yes exit=0 " +
		"a0=ffffffec a1=f a2=0 a3=0 items=0 ppid=1 pid=10 auid=0 uid=0 gid=0 euid=0 suid=0 tty=(none) ses=1 comm=\"k\" exe=\"/k\" key=(null)")
	second := message{kind: 1318, data: []byte("audit(1450214919.813:7): opid=21 oauid=-1 ouid=0 oses=-1 ocomm=\"b\"")}
	b.transport.send(true, records[0], second, records[1], records[2])
	b.settled()
	assert.Empty(t, b.reader.queue.Take(1))
	b.transport.send(true, records[3])
	<-b.reader.doubt
	assert.Empty(t, b.reader.queue.Take(1), "the kernel has not been asked yet")
	b.look(0)
	e := b.take(1)[0]
	assert.Len(t, e.Targets, 2)
	assert.True(t, e.Complete)

	// Nothing in the records of a group shows that one is missing.
	b.transport.send(true, records...)
	<-b.reader.doubt
	b.kernel.change(func(s *libaudit.AuditStatus) { s.Lost++ })
	b.look(time.Second)
	assert.False(t, b.take(1)[0].Complete)
	b.report()
	assert.EqualValues(t, 1, b.counts.Incomplete.Load())
}

func TestOriginalIsWrittenAsAuditdDoes(t *testing.T) {
	t.Parallel()
	r := newTestReader(correlate.Config{Timeout: time.Minute, MaxPending: 1, KeepOriginal: true})
	messages := recordsOf(7, 10, 20)
	for i := range messages {
		messages[i].multicast = true
	}
	_, err := r.process(messages, true, nil)
	require.NoError(t, err)
	e := r.queue.Take(1)[0].Event
	assert.Regexp(t, "^type=SYSCALL msg=audit\\(1450214919.813:7\\): arch=.*key=\"audit_kill\"\ntype=PROCTITLE msg=", e.Original)
	assert.Regexp(t, "^type=OBJ_PID msg=audit\\(1450214919.813:7\\): opid=20 ", e.Targets[0].Original)
}

// Whatever the kernel had no room for would have come after everything in the socket.
func TestOverrunMarksWhatItMayHaveHit(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	hit := recordsOf(2, 10, 20)
	b.transport.batches <- batch{err: unix.ENOBUFS}
	for _, records := range [][]message{recordsOf(1, 10, 20), hit[:2]} {
		for i := range records {
			records[i].multicast = true
		}
		b.transport.batches <- batch{messages: records, emptied: len(records) == 2}
	}
	b.transport.send(true, hit[2:]...)
	b.transport.send(true, recordsOf(3, 10, 20)...)
	events := b.take(3)
	assert.True(t, events[0].Complete, "was whole before")
	assert.False(t, events[1].Complete)
	assert.True(t, events[2].Complete)
	b.report()
	assert.EqualValues(t, 1, b.counts.Lost(source.ReceiveOverruns))
	assert.EqualValues(t, 1, b.counts.Incomplete.Load())
}

func TestCountsWhatNeverCame(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.transport.send(true, recordsOf(1, 10, 20)...)
	b.transport.send(true, recordsOf(4, 10, 20)...)
	b.transport.send(true, message{kind: 1302, data: []byte("audit(1.000:5): of no interest")},
		message{kind: 1300, data: []byte("rubbish")})
	b.take(2)
	b.settled()
	require.Eventually(t, func() bool {
		b.report()
		return b.counts.Lost(source.SequenceGaps) > 0
	}, limit, 10*time.Millisecond)
	assert.EqualValues(t, 2, b.counts.Lost(source.SequenceGaps))
	assert.EqualValues(t, 10, b.counts.Records.Load())
	assert.EqualValues(t, 1, b.counts.Malformed.Load())
}

// A stuck pipeline blocks nothing.
func TestReadsOnWhileThePipelineIsStuck(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	stuck, done := make(chan struct{}), make(chan struct{})
	taken := 0
	go func() {
		defer close(done)
		b.Run(ctx, func(seen []source.Observation) error {
			<-stuck
			for _, o := range seen {
				taken += o.Event.Signals()
			}
			return nil
		})
	}()
	const sent = queue.Max
	var messages []message
	for serial := range sent {
		messages = append(messages, recordsOf(serial, 10, 20)...)
	}
	for some := range slices.Chunk(messages, batchSize) {
		b.transport.send(true, some...)
	}
	b.settled()
	b.report()
	assert.Positive(t, b.counts.Joined.Load())
	close(stuck)
	cancel()
	<-done
	b.end()
	assert.EqualValues(t, sent, int64(taken)+b.counts.Lost(source.QueueFull), "each is delivered or counted")
}

// The record of the signal that ends the collector comes after the signal.
func TestRunDeliversWhatComesWhileItEnds(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	half := recordsOf(2, 10, 20)
	b.transport.send(true, recordsOf(1, 10, 20)...)
	b.transport.send(true, half[:2]...)
	var delivered []*kill.Event
	b.Run(ctx, func(seen []source.Observation) error {
		delivered = append(delivered, eventsOf(seen)...)
		return nil
	})
	assert.Equal(t, []uint32{1, 2}, serialsOf(delivered), "also what still waits for records")
	b.transport.send(true, recordsOf(3, 10, 20)...)
	b.settled()
	assert.Empty(t, b.reader.queue.Take(1), "nobody would take it")
}

func TestRunEndsWhenNothingIsTakenAnymore(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.transport.send(true, recordsOf(1, 10, 20)...)
	b.Run(t.Context(), func([]source.Observation) error { return errors.New("shutting down") })
}

func TestReadsOnAfterAnError(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.transport.batches <- batch{err: unix.EBADF}
	b.transport.send(true, recordsOf(1, 10, 20)...)
	b.take(1)
	b.end()
	require.Len(t, b.troubles, 2)
	require.ErrorIs(t, b.troubles[0], unix.EBADF)
	assert.NoError(t, b.troubles[1], "has passed")
}

// Events that remain at the end are counted as well.
func TestCountsWhatIsLeftAtTheEnd(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.transport.send(true, recordsOf(1, 10, 20)...)
	b.transport.send(true, recordsOf(2, 10, 20)...)
	require.Eventually(t, func() bool { return b.reader.queue.Len() == 2 }, limit, time.Millisecond)
	b.end()
	assert.EqualValues(t, 2, b.counts.Lost(source.QueueFull))
}

func TestTellsOfTamperingAtOnce(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.transport.send(true, message{kind: 1305, data: []byte("audit(1450214919.813:7): audit_enabled=0 old=1 auid=0 ses=1 res=1")},
		message{kind: 1320, data: []byte("audit(1450214919.813:7): ")})
	assert.Equal(t, kill.KindTamper, b.take(1)[0].Kind)
	assert.EqualValues(t, 1, b.tampered.Load())
}

// TestFactsComeInOrder mixes records of signals and of other things.
func TestFactsComeInOrder(t *testing.T) {
	t.Parallel()
	const command = `audit(1450214919.814:8): pid=9 uid=1000 auid=1000 ses=17 msg='cwd="/" cmd="reboot" exe="/usr/bin/sudo" terminal=? res=success'`
	for facts, want := range map[bool]string{true: "efe", false: "ee"} {
		r := newReader(newFakeTransport(), &Settings{Correlation: correlate.Config{Timeout: time.Minute, MaxPending: 9}, Facts: facts})
		messages := append(recordsOf(7, 10, 20), message{kind: 1123, data: []byte(command)})
		messages = append(messages, recordsOf(9, 10, 20)...)
		for i := range messages {
			messages[i].multicast = true
		}
		_, err := r.process(messages, true, nil)
		require.NoError(t, err)
		var seen []byte
		for _, o := range r.queue.Take(9) {
			if o.Fact != nil {
				assert.Equal(t, "reboot", o.Fact.Command.Title)
				seen = append(seen, 'f')
			} else {
				seen = append(seen, 'e')
			}
		}
		assert.Equal(t, want, string(seen))
		r.flush()
		_, err = r.process(messages, true, nil)
		require.NoError(t, err)
		assert.Empty(t, r.queue.Take(9), "nothing is wanted any more")
	}
}
