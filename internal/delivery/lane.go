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
	"go.opentelemetry.io/collector/consumer/consumererror"
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

// lane hands data of one signal to its next consumer until that takes it. T is
// plog.Logs or ptrace.Traces.
type lane[T any] struct {
	pipelineSignal[T]
	retry  configretry.BackOffConfig
	logger *zap.Logger

	// ahead is true if what is not taken cannot be read again.
	ahead bool

	// stopping is done once there is no time left to try again, context once
	// there is none left at all.
	stopping, context context.Context //nolint:containedctx // both span the whole life of the lane
}

// pipelineSignal is what differs between the signals of OpenTelemetry.
type pipelineSignal[T any] struct {
	// items is what data consists of, key what that is called in the log.
	items, key string

	consume func(context.Context, T) error
	count   func(T) int
	// clone returns what may be changed; it is the identity if the consumer does not
	// change what it takes.
	clone func(T) T
	// refused returns what a consumer has not taken of the data sent.
	refused func(sent T, err error) T
	// start and end frame the attempt to hand data on in the collector's own telemetry.
	start func(context.Context) context.Context
	end   func(ctx context.Context, format string, items int, err error)
	// dropped counts what was given up.
	dropped metric.Int64Counter
	// report is told of a consumer that does not take data, and with nil that it does.
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

// cloneIf returns what copies data that the next consumer changes.
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

// abandon tells what was not handed on because the receiver is shutting down.
func (l *lane[T]) abandon(items int, err error) error {
	what := "what can be read again comes again after a restart, if there is a storage extension"
	if l.ahead {
		what = "they are lost"
		l.dropped.Add(l.context, int64(items))
	}
	l.logger.Warn("shutting down before the next consumer took "+l.items+"; "+what, zap.Int(l.key, items), zap.Error(err))
	return err
}

// hand hands data on. It returns an error only if the receiver is shutting
// down: everything else is settled here.
func (l *lane[T]) hand(data T) error {
	ctx := l.start(l.context)
	count := l.count(data)
	dropped, err := l.offer(ctx, data)
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

// offer hands data on until it is taken, refused for good, given up, or until
// the receiver is shutting down. It returns how much was not taken.
func (l *lane[T]) offer(ctx context.Context, data T) (int, error) {
	// contrib's consumerretry does this, but is internal to it, and sends the
	// same object again, which a processor may have changed half-way.
	wait := l.newBackOff()
	start := time.Now()
	defer l.report(nil)
	for {
		err := l.consume(ctx, l.clone(data))
		if err == nil {
			return 0, nil
		}
		data = l.refused(data, err)
		permanent := consumererror.IsPermanent(err)
		// A consumer that was interrupted may call that permanent, too.
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

// pause reports whether there is time to try again.
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
