// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// dataFormat is the value of the receiver metrics' attribute "format".
const dataFormat = "audit"

// errStopping is returned for data that was not delivered because the receiver
// is shutting down.
var errStopping = errors.New("receiver is shutting down")

// lane delivers the data of one kind of pipeline to its next consumer. T is plog.Logs or
// ptrace.Traces.
type lane[T any] struct {
	pipelineSignal[T]
	retry  configretry.BackOffConfig
	logger *zap.Logger

	// ahead is true if the source cannot read data again that was not delivered.
	ahead bool

	// stopping ends retries, context also the attempt that is under way.
	stopping, context context.Context //nolint:containedctx // both span the whole life of the lane
}

// pipelineSignal is what differs between logs and traces.
type pipelineSignal[T any] struct {
	// items names what data consists of in messages, key in the fields of the log.
	items, key string

	consume func(context.Context, T) error
	count   func(T) int
	// clone returns a copy for a consumer that changes data, the data itself for any other.
	clone func(T) T
	// refused returns the part of the data sent that the consumer did not take.
	refused func(sent T, err error) T
	// start and end record a delivery in the collector's own telemetry.
	start func(context.Context) context.Context
	end   func(ctx context.Context, format string, items int, err error)
	// dropped counts the items that were dropped.
	dropped metric.Int64Counter
	// report takes the error of a consumer that does not take data, or nil once it does.
	report func(error)
}

func logSignal(s *Settings) pipelineSignal[plog.Logs] {
	return pipelineSignal[plog.Logs]{
		items: "log records", key: "log_records", consume: s.Logs.ConsumeLogs, count: plog.Logs.LogRecordCount,
		clone: cloneIf(s.Logs.Capabilities(), plog.NewLogs, plog.Logs.CopyTo), refused: refused,
		start: s.ObsReport.StartLogsOp, end: s.ObsReport.EndLogsOp,
		dropped: s.Telemetry.ReceiverAuditKillDropped, report: s.Health.Logs,
	}
}

func traceSignal(s *Settings) pipelineSignal[ptrace.Traces] {
	return pipelineSignal[ptrace.Traces]{
		items: "spans", key: "spans", consume: s.Traces.ConsumeTraces, count: ptrace.Traces.SpanCount,
		clone: cloneIf(s.Traces.Capabilities(), ptrace.NewTraces, ptrace.Traces.CopyTo), refused: refusedSpans,
		start: s.ObsReport.StartTracesOp, end: s.ObsReport.EndTracesOp,
		dropped: s.Telemetry.ReceiverAuditKillSpansDropped, report: s.Health.Traces,
	}
}

func newLane[T any](stopping, delivering context.Context, s *Settings, signal pipelineSignal[T]) *lane[T] {
	return &lane[T]{
		pipelineSignal: signal, retry: s.Retry, logger: s.Logger, ahead: s.Ahead,
		stopping: stopping, context: delivering,
	}
}

// cloneIf returns a function that copies data if the next consumer changes it.
func cloneIf[T any](next consumer.Capabilities, empty func() T, copyTo func(from, to T)) func(T) T {
	return func(data T) T {
		if !next.MutatesData {
			return data
		}
		attempt := empty()
		copyTo(data, attempt)
		return attempt
	}
}

// abandon logs what was not delivered because the receiver is shutting down.
func (l *lane[T]) abandon(items int, err error) error {
	what := "with a storage extension, the log is read again from there after a restart"
	if l.ahead {
		what = "they are lost"
		l.dropped.Add(l.context, int64(items))
	}
	l.logger.Warn("shutting down before the next consumer took "+l.items+"; "+what, zap.Int(l.key, items), zap.Error(err))
	return err
}

// deliver delivers data, or counts and logs what it drops. It returns an error only if the
// receiver is shutting down.
func (l *lane[T]) deliver(data T) error {
	ctx := l.start(l.context)
	count := l.count(data)
	dropped, err := l.send(ctx, data)
	l.end(ctx, dataFormat, count, err)
	if errors.Is(err, errStopping) {
		return l.abandon(dropped, err)
	}
	if err != nil {
		l.dropped.Add(ctx, int64(dropped))
		l.logger.Error("dropped "+l.items+": the next consumer refused them for good, or retrying has ended",
			zap.Int(l.key, dropped), zap.Error(err))
	}
	return nil
}

// send sends data until the consumer takes it or refuses it for good, until retrying ends, or
// until the receiver is shutting down. It returns how many items were not taken.
func (l *lane[T]) send(ctx context.Context, data T) (int, error) {
	// contrib's consumerretry does this, but is internal to it, and sends the same object
	// again, which a processor may have changed in part.
	wait := l.newBackOff()
	start := time.Now()
	defer l.report(nil)
	for {
		err := l.consume(ctx, l.clone(data))
		if err == nil {
			return 0, nil
		}
		data = l.refused(data, err)
		permanent := permanent(err)
		// An interrupted consumer may return a permanent error, too.
		if l.context.Err() != nil || l.stopping.Err() != nil && !permanent {
			return l.count(data), errors.Join(errStopping, err)
		}
		pause := wait.NextBackOff()
		if permanent || !l.retry.Enabled || l.givenUp(start, pause) {
			return l.count(data), err
		}
		l.report(err)
		l.logger.Warn("the next consumer did not take "+l.items+", trying again",
			zap.Int(l.key, l.count(data)), zap.Duration("next_try_in", pause), zap.Error(err))
		if !l.pause(pause) {
			return l.count(data), errors.Join(errStopping, err)
		}
	}
}

func (l *lane[T]) givenUp(start time.Time, pause time.Duration) bool {
	return l.retry.MaxElapsedTime > 0 && time.Since(start)+pause > l.retry.MaxElapsedTime
}

func (l *lane[T]) newBackOff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     l.retry.InitialInterval,
		MaxInterval:         l.retry.MaxInterval,
		Multiplier:          l.retry.Multiplier,
		RandomizationFactor: l.retry.RandomizationFactor,
	}
}

// pause waits, and reports whether there is time for another attempt.
func (l *lane[T]) pause(duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.stopping.Done():
		return false
	}
}
