// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// Two exporters of one pipeline, without queues and retries of their own. The receiver sends to
// both again as long as the error of one may pass.

const (
	again  = "the next consumer did not take log records, trying again"
	forget = "dropped log records: the next consumer refused them for good"
)

// fanout is a collector that reads a log and sends to two sinks.
type fanout struct {
	*collector.Collector

	config collector.Config
	log    *auditlog.Log
	a, b   *otlp.Sink
}

// answers says how a sink responds to each request.
type answers func(request int, records []otlp.Record) otlp.Answer

func newFanout(t *testing.T, a, b answers) *fanout {
	t.Helper()
	f := &fanout{log: auditlog.New(t), a: otlp.NewSink(t, "http"), b: otlp.NewSink(t, "http")}
	kill := auditlog.SingleKill(t)
	for range 2000 { // some requests
		f.log.Add(kill)
	}
	f.a.Answers(a)
	f.b.Answers(b)
	f.config = collector.Config{
		Receiver: fmt.Sprintf(`{file: {path: %q, start_at: beginning}, storage: file_storage, `+
			`retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}}`, f.log.Path),
		Exporter:   fmt.Sprintf("{otlp_http/a: %s, otlp_http/b: %s}", f.a.Settings, f.b.Settings),
		Extensions: collector.FileStorage(t.TempDir()),
	}
	f.Collector = collector.Start(t, f.config)
	return f
}

func TestFanout(t *testing.T) {
	t.Parallel()
	takes, refuses := otlp.Always(otlp.Answer{}), otlp.Always(otlp.Answer{Err: errInvalid}) // 400
	busyTwice := func(request int, _ []otlp.Record) otlp.Answer {
		if request < 2 {
			return otlp.Answer{Err: errBusy} // 503
		}
		return otlp.Answer{}
	}
	type share int
	const (
		nothing  share = iota
		once           // each log record once, in the order of the log
		repeated       // each at least once
	)
	tests := []struct {
		name     string
		a, b     answers
		toA, toB share
		retried  bool
	}{
		{"one refuses, the other is busy", refuses, busyTwice, nothing, once, true},
		{"one is busy, the other refuses", busyTwice, refuses, once, nothing, true},
		{"one takes, the other is busy", takes, busyTwice, repeated, once, true},
		{"one takes, the other refuses", takes, refuses, once, nothing, false},
		{"both refuse", refuses, refuses, nothing, nothing, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFanout(t, test.a, test.b)
			shares := map[*otlp.Sink]share{f.a: test.toA, f.b: test.toB}
			dropped := 0
			for sink, want := range shares {
				if want == nothing {
					dropped = len(f.log.Want) // counted once, however often it was refused, and by one or both
					continue
				}
				otlp.AwaitAll(t, sink, f.log.Want)
			}
			harness.Eventually(t, func() bool { return f.Metric("audit_kill_dropped") >= dropped }, "what a sink refused is counted")
			f.AwaitIdle()
			assert.Equal(t, dropped, f.Metric("audit_kill_dropped"), "dropped log records")
			assert.Equal(t, f.a.Requests(), f.b.Requests(), "each attempt is sent to both")
			f.Stop()
			for sink, want := range shares {
				switch want {
				case nothing:
					assert.Zero(t, sink.Count())
				case once:
					assert.Equal(t, f.log.Want, otlp.KeysOf(sink.Records()))
				case repeated:
					assert.Greater(t, sink.Count(), len(f.log.Want))
					otlp.AssertConsistent(t, sink.Records(), f.log.Want)
				}
			}
			assert.Equal(t, test.retried, f.Output.Contains(again))
			assert.Equal(t, dropped > 0, f.Output.Contains(forget))
		})
	}
}

// While one sink is busy, what the other one refuses for good is neither dropped nor forgotten: a
// crash loses nothing.
func TestFanoutIsKilledWhileOneIsBusy(t *testing.T) {
	t.Parallel()
	f := newFanout(t, otlp.Always(otlp.Answer{Err: errInvalid}), otlp.Always(otlp.Answer{Err: errBusy}))
	harness.Eventually(t, func() bool { return f.b.Requests() >= 5 }, "the receiver retries")
	assert.Zero(t, f.Metric("audit_kill_dropped"))
	f.Kill()

	f.b.Answers(otlp.Always(otlp.Answer{}))
	f.Collector = collector.Start(t, f.config)
	otlp.AwaitAll(t, f.b, f.log.Want)
	f.Stop()
	assert.Equal(t, f.log.Want, otlp.KeysOf(f.b.Records()), "each log record once, in the order of the log")
	assert.Zero(t, f.a.Count())
}
