// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package stub has consumers for tests, which answer what a test sets.
package stub

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
)

// Logs is a consumer that answers what a test sets, and remembers what it was sent and when.
type Logs struct {
	Answer  func(ctx context.Context, attempt int, logs plog.Logs) error
	Mutates bool

	mutex sync.Mutex
	shown []plog.Logs
	times []time.Time
}

// Answering returns a consumer that gives one answer after the other, and then always the last
// one.
func Answering(answers ...error) *Logs {
	return &Logs{Answer: func(_ context.Context, attempt int, _ plog.Logs) error {
		return answers[min(attempt, len(answers)-1)]
	}}
}

// Capabilities implements consumer.Logs.
func (s *Logs) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: s.Mutates}
}

// ConsumeLogs implements consumer.Logs.
func (s *Logs) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	shown := plog.NewLogs()
	logs.CopyTo(shown)
	s.mutex.Lock()
	attempt := len(s.shown)
	s.shown = append(s.shown, shown)
	s.times = append(s.times, time.Now())
	s.mutex.Unlock()
	return s.Answer(ctx, attempt, logs)
}

// Attempts returns what it was sent so far.
func (s *Logs) Attempts() []plog.Logs {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.shown)
}

// Pauses returns the times between the attempts.
func (s *Logs) Pauses() []time.Duration {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var pauses []time.Duration
	for i := 1; i < len(s.times); i++ {
		pauses = append(pauses, s.times[i].Sub(s.times[i-1]))
	}
	return pauses
}

// Targets returns the pids of the targets in each attempt.
func (s *Logs) Targets() [][]int {
	var all [][]int
	for _, logs := range s.Attempts() {
		all = append(all, Targets(Records(logs)))
	}
	return all
}

// Records returns all log records.
func Records(logs plog.Logs) []plog.LogRecord {
	var all []plog.LogRecord
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				all = append(all, record)
			}
		}
	}
	return all
}

// Targets returns the pids of the targets.
func Targets(records []plog.LogRecord) []int {
	var pids []int
	for _, record := range records {
		pid, _ := record.Attributes().Get("kill.target.pid")
		pids = append(pids, int(pid.Int()))
	}
	return pids
}
