// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// maxSpanItems is how many spans and span events are gathered while the next consumer does not
// take the batch before: some 20 MB, and as much again in that batch. Log records do not wait
// for spans.
const maxSpanItems = 8192

// spans gathers spans, and delivers them as fast as the next consumer takes them.
type spans struct {
	lane   *lane[ptrace.Traces]
	logger *zap.Logger
	// ready holds a token if there may be spans to deliver.
	ready chan struct{}

	// mutex guards what follows.
	mutex    sync.Mutex
	gathered *telemetry.Traces
	// items is how many spans and span events are gathered.
	items int
}

func newSpans(s *Settings, l *lane[ptrace.Traces]) *spans {
	return &spans{
		lane: l, logger: s.Logger, ready: make(chan struct{}, 1), gathered: telemetry.NewTraces(s.Convert),
	}
}

// append adds a span, unless the next consumer is too far behind.
func (s *spans) append(ctx context.Context, e *kill.Event) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.items >= maxSpanItems {
		s.lane.dropped.Add(ctx, 1)
		s.logger.Warn("dropped a span: the next consumer does not take spans as fast as processes end")
		return
	}
	s.gathered.Append(e)
	s.items += 1 + len(e.Outcome.Signals)
}

// flush requests that the gathered spans are delivered, after those before them.
func (s *spans) flush() {
	if s.empty() {
		return
	}
	select {
	case s.ready <- struct{}{}:
	default: // already requested
	}
}

func (s *spans) empty() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.items == 0
}

func (s *spans) take() ptrace.Traces {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.items = 0
	return s.gathered.Take()
}

// run delivers until close is called, and then what is left.
func (s *spans) run() {
	for range s.ready {
		s.deliver()
	}
	s.deliver()
}

func (s *spans) deliver() {
	if data := s.take(); data.SpanCount() > 0 {
		_ = s.lane.deliver(data) // it has logged what it could not deliver
	}
}

func (s *spans) close() { close(s.ready) }
