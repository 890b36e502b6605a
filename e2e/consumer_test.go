// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The next consumer is slow, refuses for a while, or for good. The exporter has
// neither a queue nor tries again, so that the receiver has to.

var (
	errBusy    = status.Error(codes.Unavailable, "come back later")
	errInvalid = status.Error(codes.InvalidArgument, "not like this")
)

// protocols are those over which a consumer can refuse.
var protocols = []string{"grpc", "http"}

// pipeline is a collector that reads a log and sends to a sink.
type pipeline struct {
	*collector

	config config
	log    *auditLog
	sink   *sink
}

// newPipeline writes so many events into a log and starts reading it.
func newPipeline(t *testing.T, protocol string, events int, answer func(int, []record) answer) *pipeline {
	t.Helper()
	p := &pipeline{log: newAuditLog(t), sink: newSink(t, protocol)}
	p.write(t, events)
	p.sink.answers(answer)
	p.config = config{
		receiver: fmt.Sprintf(`{file: {path: %q, start_at: beginning}, storage: file_storage, `+
			`retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}}`, p.log.path),
		exporter:   p.sink.exporter,
		extensions: fileStorage(t.TempDir()),
	}
	p.collector = start(t, p.config)
	return p
}

// write appends single kills with what stands between them in a real log.
func (p *pipeline) write(t *testing.T, events int) {
	t.Helper()
	kill, noise := singleKill(t), noise(t)
	for i := range events {
		p.log.add(kill)
		p.log.add(noise[i%len(noise)])
	}
}

// singleKill is an event with one target.
func singleKill(t *testing.T) auditEvent {
	t.Helper()
	for _, e := range kills(t) {
		if len(e.targets) == 1 && e.targets[0] != 0 && len(e.lines) == 3 {
			return e
		}
	}
	t.Fatal("no such event was recorded")
	return auditEvent{}
}

// arrived waits until everything has been delivered, and checks that this was
// done once and in order.
func (p *pipeline) arrived(t *testing.T) {
	t.Helper()
	awaitAll(t, p.sink, p.log.want)
	assert.Equal(t, p.log.want, keysOf(p.sink.records()), "each log record once, in the order of the log")
}

func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, "grpc", 2500, func(int, []record) answer {
		time.Sleep(200 * time.Millisecond)
		return answer{}
	})
	p.arrived(t)
	p.stop()
	assert.Greater(t, p.sink.asked(), 3, "requests")
}

func TestConsumerRefusesForAWhile(t *testing.T) {
	t.Parallel()
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, protocol, 10_000, func(int, []record) answer { return answer{err: errBusy} })
			eventually(t, func() bool { return p.sink.asked() >= 5 }, "the receiver tries again and again")
			read := -1
			require.Eventually(t, func() bool {
				before := read
				read = p.metric("audit_kill_records_read")
				return read > 0 && read == before
			}, patience, 500*time.Millisecond, "reading waits")
			assert.Less(t, read, 10_000, "records read")
			behind := p.metric("audit_kill_file_bytes_behind")
			assert.Positive(t, behind)

			p.write(t, 5000)
			eventually(t, func() bool { return p.metric("audit_kill_file_bytes_behind") > behind }, "falling behind can be seen")
			assert.Equal(t, read, p.metric("audit_kill_records_read"), "reading still waits")
			assert.Zero(t, p.sink.count())
			p.says("the next consumer did not take log records")

			p.sink.answers(func(int, []record) answer { return answer{} })
			p.arrived(t)
			eventually(t, func() bool { return p.metric("audit_kill_file_bytes_behind") == 0 }, "it has caught up")
			assert.Zero(t, p.metric("audit_kill_dropped"))
			p.stop()
		})
	}
}

func TestConsumerRefusesForGood(t *testing.T) {
	t.Parallel()
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			var refused []key
			p := newPipeline(t, protocol, 5000, func(request int, records []record) answer {
				if request%4 == 1 {
					refused = append(refused, keysOf(records)...)
					return answer{err: errInvalid}
				}
				return answer{}
			})
			eventually(t, func() bool {
				return p.metric("audit_kill_dropped")+p.sink.count() == len(p.log.want)
			}, "every log record is delivered or dropped")
			p.says("dropped log records: the next consumer refused them for good")
			p.stop()
			require.NotEmpty(t, refused)
			assert.ElementsMatch(t, p.log.want, append(refused, keysOf(p.sink.records())...),
				"what was refused for good is not sent again, and nothing else is missing")
		})
	}
}

// What a consumer rejects of a request that it has taken must not be sent again
// (OTLP specification, "Partial Success").
func TestConsumerTakesAPart(t *testing.T) {
	t.Parallel()
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, protocol, 1000, func(int, []record) answer { return answer{rejected: 1} })
			p.arrived(t)
			p.stop()
		})
	}
}

// A receiver that is told not to try again gives up, counts, and goes on.
func TestNoRetry(t *testing.T) {
	t.Parallel()
	sink, log := newSink(t, "grpc"), newAuditLog(t)
	sink.answers(func(request int, _ []record) answer {
		if request == 0 {
			return answer{err: errBusy}
		}
		return answer{}
	})
	kill := singleKill(t)
	for range 3000 {
		log.add(kill)
	}
	c := start(t, config{
		receiver: fmt.Sprintf(`{file: {path: %q, start_at: beginning}, retry_on_failure: {enabled: false}}`, log.path),
		exporter: sink.exporter,
	})
	eventually(t, func() bool { return c.metric("audit_kill_dropped")+sink.count() == len(log.want) },
		"every log record is delivered or dropped")
	assert.Positive(t, c.metric("audit_kill_dropped"))
	c.stop()
}

// A shutdown while the consumer refuses ends soon, and what was not taken is
// delivered after the next start.
func TestShutdownWhileConsumerRefuses(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, "grpc", 3000, func(request int, _ []record) answer {
		if request < 2 {
			return answer{}
		}
		return answer{err: errBusy}
	})
	eventually(t, func() bool { return p.sink.asked() > 4 }, "the consumer has refused")
	p.stop()
	before := p.sink.count()
	assert.Less(t, before, len(p.log.want))

	p.sink.answers(func(int, []record) answer { return answer{} })
	p.collector = start(t, p.config)
	awaitAll(t, p.sink, p.log.want)
	p.stop()
	assertConsistent(t, p.sink.records(), p.log.want)
}
