// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package pluginsource

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

// It runs alone, as it watches the memory of the whole process.
func TestEndlessLine(t *testing.T) { //nolint:paralleltest // see above
	b := newBench(t)
	b.run()
	b.write(recordText(1, 10, 20))
	b.await(1)
	before, during := new(runtime.MemStats), new(runtime.MemStats)
	runtime.GC()
	runtime.ReadMemStats(before)
	mebibyte := "type=SYSCALL " + strings.Repeat("x", 1<<20)
	for range 10 {
		b.write(mebibyte)
	}
	runtime.GC()
	runtime.ReadMemStats(during)
	assert.Less(t, during.HeapAlloc, before.HeapAlloc+4<<20, "10 MiB are not kept")
	b.write("\n" + recordText(2, 10, 20))
	assert.EqualValues(t, 2, b.await(2)[1].Audit.Serial)
	require.Eventually(t, func() bool { return b.counts.TooLong.Load() == 1 }, patience, often)
}

func TestReads(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stop := b.run()
	assert.Equal(t, source.Traits{Way: "plugin", Live: true}, b.source.Traits())
	b.write(recordText(1, 10, 20))
	b.write("type=SYSCALL msg=audit(1450214919.813:2): arch=c000003e syscall=0 success=yes exit=0 a0=1 a1=f\n")
	e := b.await(1)[0]
	assert.Equal(t, "audit_plugin", e.Source)
	assert.Empty(t, e.File)
	assert.True(t, e.Complete)
	assert.Equal(t, 10, e.Sender.PID)
	require.Len(t, e.Targets, 1)
	assert.Equal(t, 20, e.Targets[0].PID)
	stop()
	assert.EqualValues(t, 5, b.counts.Records.Load())
	assert.Len(t, b.taken(), 1)
	assert.Empty(t, b.noted())
}

// Facts come in order with the events.
func TestReadsFacts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var seen []string
	b.deliver = func(all []source.Observation) error {
		for _, o := range all {
			if o.Fact != nil {
				seen = append(seen, o.Fact.Command.Title)
			} else {
				seen = append(seen, strconv.Itoa(int(o.Event.Audit.Serial)))
			}
		}
		return nil
	}
	stop := b.run()
	b.write(recordText(1, 10, 20))
	b.write(`type=USER_CMD msg=audit(1450214919.813:2): pid=9 uid=1000 auid=1000 ses=17 ` +
		`msg='cwd="/" cmd="reboot" exe="/usr/bin/sudo" terminal=? res=success'` + "\n")
	b.write(recordText(3, 10, 20))
	b.await(2)
	stop()
	assert.Equal(t, []string{"1", "reboot", "3"}, seen)
}

func TestReadsAnyChunks(t *testing.T) {
	t.Parallel()
	const events = 300
	seed := rand.Uint64() //nolint:gosec // not secret
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // not secret
	b := newBench(t)
	b.run()
	var text strings.Builder
	for i := range events {
		text.WriteString(recordText(i+1, 10+i, 20+i))
	}
	for rest := text.String(); rest != ""; {
		n := min(len(rest), 1+random.IntN(1<<random.IntN(13)))
		b.write(rest[:n])
		rest = rest[n:]
	}
	for i, e := range b.await(events) {
		assert.EqualValues(t, i+1, e.Audit.Serial)
		assert.Equal(t, 10+i, e.Sender.PID)
		assert.True(t, e.Complete)
	}
}

// After a crash of the host a file would hold NULs; auditd may send whatever memory held.
func TestNULs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stop := b.run()
	b.write(strings.Repeat("\x00", 1000) + recordText(1, 10, 20) + "\x00\n" + recordText(2, 10, 20))
	assert.True(t, b.await(2)[0].Complete)
	stop()
	assert.EqualValues(t, 2, b.counts.Malformed.Load())
}

func TestBinary(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run()
	for range 3 {
		b.write("\x01\x00\x00\x00\x10\x00\x00\x00audit(1450214919.813:1): \x00\x00\n")
	}
	require.Eventually(t, func() bool { return b.counts.Malformed.Load() == 3 }, patience, often)
	assert.Equal(t, 1, b.logs.FilterMessageSnippet("it must send them as strings").Len(), "once in a while")
}

func TestConnectionEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stop := b.run()
	b.write(recordText(1, 10, 20))
	b.await(1)
	// Only one record of the second event arrives, and half of the next.
	cut := recordsOf(2, 10, 20)
	b.write(cut[0] + cut[1][:len(cut[1])/2])
	require.Eventually(t, func() bool { return b.counts.Pending.Load() == 1 }, patience, often)
	b.end()
	b.hangUp()
	require.Eventually(t, func() bool { return len(b.noted()) > 1 }, patience, often)
	require.ErrorIs(t, b.noted()[1], os.ErrNotExist)

	b.listen()
	b.accept()
	b.write(cut[1][len(cut[1])/2:]) // the rest of a line is not a record
	b.write(recordText(3, 10, 20))
	events := b.await(3)
	stop()
	// The one that was cut waits for its records until its time is up.
	byserial := map[uint32]bool{}
	for _, e := range events {
		byserial[e.Audit.Serial] = e.Complete
	}
	assert.Equal(t, map[uint32]bool{1: true, 2: false, 3: true}, byserial)
	failures := b.noted()
	require.NoError(t, failures[len(failures)-1], "it works again")
	for _, failure := range failures[:len(failures)-1] {
		require.Error(t, failure)
	}
	assert.EqualValues(t, 1, b.counts.Malformed.Load())
	assert.EqualValues(t, 1, b.counts.Incomplete.Load())
	assert.Equal(t, 1, b.logs.FilterMessageSnippet("the connection to auditd has ended").Len())
	assert.Equal(t, 1, b.logs.FilterMessageSnippet("connected to auditd again").Len())
}

// An event that is pending when a connection ends may lack a record, even if enough arrive to complete it.
func TestConnectionEndsWithinAnEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run()
	records := recordsOf(1, 10, 20)
	b.write(records[0])
	require.Eventually(t, func() bool { return b.counts.Pending.Load() == 1 }, patience, often)
	b.hangUp()
	b.accept()
	b.write(records[1] + records[2] + records[3])
	e := b.await(1)[0]
	assert.Len(t, e.Targets, 1)
	assert.False(t, e.Complete)
}

// A connection works once it lasts, even if nothing arrives.
func TestConnectsToQuietDaemon(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run()
	b.write("\n")
	b.hangUp()
	b.accept()
	require.Eventually(t, func() bool { return len(b.noted()) == 2 }, patience, often)
	require.Error(t, b.noted()[0])
	assert.NoError(t, b.noted()[1])
}

func TestPluginServesAnotherReader(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run()
	until := time.Now().Add(2 * time.Second)
	times := 0
	for ; time.Now().Before(until); times++ {
		b.hangUp()
		b.accept()
	}
	assert.Less(t, times, 20, "it takes its time")
	require.ErrorIs(t, b.noted()[0], errServesAnother)
	b.write(recordText(1, 10, 20))
	b.await(1)
	require.Eventually(t, func() bool { return b.noted()[len(b.noted())-1] == nil }, patience, often)
}

// auditd must never wait for a pipeline that is stuck.
func TestStuckPipeline(t *testing.T) {
	t.Parallel()
	const events = queue.Max * 5 / 8 // each has one target, and takes the room of two
	b := newBench(t)
	stuck := make(chan struct{})
	b.deliver = func([]source.Observation) error {
		<-stuck
		return nil
	}
	stop := b.run()
	for i := range events {
		b.write(recordText(i+1, 10, 20))
	}
	b.write("\n")
	require.Eventually(t, func() bool { return b.counts.Records.Load() == 4*events+1 }, patience, often, "all are read")
	close(stuck)
	stop()
	assert.Positive(t, b.counts.Joined.Load())
	signals := int64(0)
	for _, e := range b.taken() {
		signals += int64(e.Signals())
	}
	assert.EqualValues(t, events, b.counts.Lost(source.QueueFull)+signals, "each is delivered or counted")
	assert.LessOrEqual(t, len(b.taken()), queue.Max/2+512, "the queue and a batch")
}

func TestStopDeliversWhatIsLeft(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stop := b.run()
	b.write(recordText(1, 10, 20) + recordsOf(2, 10, 20)[0])
	stop()
	events := b.taken()
	require.Len(t, events, 2)
	assert.True(t, events[0].Complete)
	assert.False(t, events[1].Complete)
}

func TestStopWhileAuditdIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stop := b.run()
	b.write(recordText(1, 10, 20) + recordsOf(2, 10, 20)[0])
	b.await(1)
	b.end()
	b.hangUp()
	require.Eventually(t, func() bool { return len(b.noted()) > 0 }, patience, often)
	stop()
	assert.Len(t, b.taken(), 2)
}

// What is not taken at shutdown is counted.
func TestPipelineShutsDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.deliver = func([]source.Observation) error { return errors.New("shutting down") }
	stop := b.run()
	b.write(recordText(1, 10, 20))
	require.Eventually(t, func() bool { return b.counts.Records.Load() == 4 }, patience, often)
	b.write(recordText(2, 10, 20))
	require.Eventually(t, func() bool { return b.counts.Records.Load() == 8 }, patience, often)
	stop()
	assert.EqualValues(t, 1, b.counts.Lost(source.QueueFull))
}

func TestCloseInsteadOfRun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	require.Error(t, b.source.Start(t.Context()))
	require.NoError(t, b.source.Close())
	b.listen()
	require.NoError(t, b.source.Start(t.Context()))
	require.NoError(t, b.source.Close())
	require.NoError(t, b.source.Close())
}

// What the collector does must not add to what it reads.
func TestOwnSignals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.source.self = 10
	b.run()
	b.write(recordText(1, 10, 20) + recordText(2, 11, 20))
	assert.EqualValues(t, 2, b.await(1)[0].Audit.Serial)
}

func TestPanicCostsOneEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.tampered = func() { panic("a fault") }
	b.run()
	b.write("type=DAEMON_END msg=audit(1450214919.813:1): op=terminate auid=0 uid=0 ses=1 pid=7 subj=unconfined res=success\n")
	b.write(recordText(2, 10, 20))
	assert.EqualValues(t, 2, b.await(1)[0].Audit.Serial)
	assert.EqualValues(t, 1, b.panics.Count())
}
