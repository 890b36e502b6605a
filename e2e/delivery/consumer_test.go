// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// The next consumer is slow, or refuses temporarily or permanently. The exporter has no queue and
// does not retry, so the receiver has to.

var (
	errBusy    = status.Error(codes.Unavailable, "come back later")
	errInvalid = status.Error(codes.InvalidArgument, "not like this")
)

// protocols are the protocols over which a consumer can refuse.
var protocols = []string{"grpc", "http"}

// pipeline is a collector that reads a log and sends to a sink.
type pipeline struct {
	*collector.Collector

	config collector.Config
	log    *auditlog.Log
	sink   *otlp.Sink
}

// newPipeline writes events to a log, and starts a collector that reads it.
func newPipeline(t *testing.T, protocol string, events int, answer func(int, []otlp.Record) otlp.Answer) *pipeline {
	t.Helper()
	p := &pipeline{log: auditlog.New(t), sink: otlp.NewSink(t, protocol)}
	p.write(t, events)
	p.sink.Answers(answer)
	p.config = collector.Config{
		Receiver: fmt.Sprintf(`{file: {path: %q, start_at: beginning}, storage: file_storage, `+
			`retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}}`, p.log.Path),
		Exporter:   p.sink.Exporter,
		Extensions: collector.FileStorage(t.TempDir()),
	}
	p.Collector = collector.Start(t, p.config)
	return p
}

// write appends single kills, with unrelated events between them as in a real log.
func (p *pipeline) write(t *testing.T, events int) {
	t.Helper()
	kill, noise := auditlog.SingleKill(t), auditlog.Noise(t)
	for i := range events {
		p.log.Add(kill)
		p.log.Add(noise[i%len(noise)])
	}
}

// arrived waits until everything has been delivered, and checks that each log record was
// delivered once and in order.
func (p *pipeline) arrived(t *testing.T) {
	t.Helper()
	otlp.AwaitAll(t, p.sink, p.log.Want)
	assert.Equal(t, p.log.Want, otlp.KeysOf(p.sink.Records()), "each log record once, in the order of the log")
}

func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, "grpc", 2500, func(int, []otlp.Record) otlp.Answer {
		time.Sleep(200 * time.Millisecond)
		return otlp.Answer{}
	})
	p.arrived(t)
	p.Stop()
	assert.Greater(t, p.sink.Requests(), 3, "requests")
}

func TestConsumerRefusesForAWhile(t *testing.T) {
	t.Parallel()
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, protocol, 10_000, otlp.Always(otlp.Answer{Err: errBusy}))
			harness.Eventually(t, func() bool { return p.sink.Requests() >= 5 }, "the receiver retries")
			read := p.AwaitIdle()
			assert.Less(t, read, 10_000, "records read")
			behind := p.Metric("audit_kill_file_bytes_behind")
			assert.Positive(t, behind)

			p.write(t, 5000)
			harness.Eventually(t, func() bool { return p.Metric("audit_kill_file_bytes_behind") > behind }, "the metric shows that the receiver falls further behind")
			assert.Equal(t, read, p.Metric("audit_kill_records_read"), "reading still waits")
			assert.Zero(t, p.sink.Count())
			p.Says("the next consumer did not take log records")

			p.sink.Answers(otlp.Always(otlp.Answer{}))
			p.arrived(t)
			harness.Eventually(t, func() bool { return p.Metric("audit_kill_file_bytes_behind") == 0 }, "the receiver has caught up")
			assert.Zero(t, p.Metric("audit_kill_dropped"))
			p.Stop()
		})
	}
}

func TestConsumerRefusesForGood(t *testing.T) {
	t.Parallel()
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			var refused []otlp.Key
			p := newPipeline(t, protocol, 5000, func(request int, records []otlp.Record) otlp.Answer {
				if request%4 == 1 {
					refused = append(refused, otlp.KeysOf(records)...)
					return otlp.Answer{Err: errInvalid}
				}
				return otlp.Answer{}
			})
			harness.Eventually(t, func() bool {
				return p.Metric("audit_kill_dropped")+p.sink.Count() == len(p.log.Want)
			}, "every log record is delivered or dropped")
			p.Says("dropped log records: the next consumer refused them for good")
			p.Stop()
			require.NotEmpty(t, refused)
			assert.ElementsMatch(t, p.log.Want, append(refused, otlp.KeysOf(p.sink.Records())...),
				"what was refused permanently is not sent again, and nothing else is missing")
		})
	}
}

// If a consumer accepts a request and rejects some of its records, the request must not be sent
// again (OTLP specification, "Partial Success").
func TestConsumerTakesAPart(t *testing.T) {
	t.Parallel()
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, protocol, 1000, otlp.Always(otlp.Answer{Rejected: 1}))
			p.arrived(t)
			p.Stop()
		})
	}
}

// Without retries, the receiver drops and counts refused log records, and goes on.
func TestNoRetry(t *testing.T) {
	t.Parallel()
	sink, log := otlp.NewSink(t, "grpc"), auditlog.New(t)
	sink.Answers(func(request int, _ []otlp.Record) otlp.Answer {
		if request == 0 {
			return otlp.Answer{Err: errBusy}
		}
		return otlp.Answer{}
	})
	kill := auditlog.SingleKill(t)
	for range 3000 {
		log.Add(kill)
	}
	c := collector.Start(t, collector.Config{
		Receiver: fmt.Sprintf(`{file: {path: %q, start_at: beginning}, retry_on_failure: {enabled: false}}`, log.Path),
		Exporter: sink.Exporter,
	})
	harness.Eventually(t, func() bool { return c.Metric("audit_kill_dropped")+sink.Count() == len(log.Want) },
		"every log record is delivered or dropped")
	assert.Positive(t, c.Metric("audit_kill_dropped"))
	c.Stop()
}

// If the consumer refuses, the collector still stops soon, and what was not accepted is
// delivered after the next start.
func TestShutdownWhileConsumerRefuses(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, "grpc", 3000, func(request int, _ []otlp.Record) otlp.Answer {
		if request < 2 {
			return otlp.Answer{}
		}
		return otlp.Answer{Err: errBusy}
	})
	harness.Eventually(t, func() bool { return p.sink.Requests() > 4 }, "the consumer has refused")
	p.Stop()
	before := p.sink.Count()
	assert.Less(t, before, len(p.log.Want))

	p.sink.Answers(otlp.Always(otlp.Answer{}))
	p.Collector = collector.Start(t, p.config)
	otlp.AwaitAll(t, p.sink, p.log.Want)
	p.Stop()
	otlp.AssertConsistent(t, p.sink.Records(), p.log.Want)
}
