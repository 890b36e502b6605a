// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

const (
	// maxRecords is how many log records are handed on at once at most. One
	// event may strike every process of a host.
	maxRecords = 512
	// dataFormat is the value of the receiver metrics' attribute "format".
	dataFormat = "audit"
)

// errStopping is returned for data that was not delivered because the receiver
// is shutting down.
var errStopping = errors.New("receiver is shutting down")

// delivery filters and enriches events, converts them and hands them to the
// next consumer until it takes them.
type delivery struct {
	// busy is held while events are delivered: what it uses is made for one
	// goroutine, and beside the source's there is the one that guards the rules.
	busy sync.Mutex

	next      consumer.Logs
	filter    *filter.Filter
	processes *process.Table
	users     *process.Users
	logs      *telemetry.Logs
	retry     configretry.BackOffConfig
	obsreport *receiverhelper.ObsReport
	telemetry *metadata.TelemetryBuilder
	logger    *zap.Logger
	health    *health

	// handing takes log records to the goroutine that hands them on, so that the next
	// are made meanwhile; nil if deliver returns only once they were taken.
	handing chan plog.Logs

	// stopping is done once there is no time left to try again, context once
	// there is none left at all.
	stopping, context context.Context //nolint:containedctx // both span the whole life of the delivery
}

// deliver implements source.Deliver.
func (d *delivery) deliver(events []*kill.Event) error {
	d.busy.Lock()
	defer d.busy.Unlock()
	now := time.Now()
	var filtered, signals, abends, tampers int64
	for _, e := range events {
		if !d.wanted(e) {
			filtered++
			continue
		}
		switch e.Kind {
		case kill.KindAbend:
			abends++
		case kill.KindTamper:
			tampers++
		default:
			signals++
		}
		d.users.Fill(e)
		if err := d.append(e, now); err != nil {
			return err
		}
	}
	d.telemetry.ReceiverAuditKillFiltered.Add(d.context, filtered)
	d.count(kill.KindSignal, signals)
	d.count(kill.KindAbend, abends)
	d.count(kill.KindTamper, tampers)
	return d.flush()
}

// wanted reports whether an event is wanted, and adds what the host knows of its
// processes: only if it is, or before, if the filter goes by that.
func (d *delivery) wanted(e *kill.Event) bool {
	if d.filter.NeedsPaths() {
		d.processes.Fill(e)
		return d.filter.Apply(e)
	}
	if !d.filter.Apply(e) {
		return false
	}
	d.processes.Fill(e)
	return true
}

func (d *delivery) count(kind kill.Kind, n int64) {
	if n > 0 {
		d.telemetry.ReceiverAuditKillEvents.Add(d.context, n,
			metric.WithAttributes(attribute.String("event.name", string(kind))))
	}
}

// append adds one log record for each target.
func (d *delivery) append(e *kill.Event, now time.Time) error {
	if len(e.Targets) == 0 {
		d.logs.Append(e, nil, now)
	}
	for i := range e.Targets {
		d.logs.Append(e, &e.Targets[i], now)
		if d.logs.Len() >= maxRecords {
			if err := d.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// ahead makes deliver return while its log records are still being handed on. It is
// for sources that could not read them again anyway. end has to be called after the
// last deliver, for handAll to return.
func (d *delivery) ahead() { d.handing = make(chan plog.Logs) }

func (d *delivery) end() {
	if d.handing != nil {
		close(d.handing)
	}
}

// handAll hands on until end is called.
func (d *delivery) handAll() {
	for data := range d.handing {
		_ = d.hand(data) // which has told what it could not hand on
	}
}

// flush hands on what was gathered. It returns an error only if the receiver is
// shutting down.
func (d *delivery) flush() error {
	if d.logs.Len() == 0 {
		return nil
	}
	data := d.logs.Take()
	if d.handing == nil {
		return d.hand(data)
	}
	select {
	case d.handing <- data:
		return nil
	case <-d.context.Done():
		return d.abandon(data.LogRecordCount(), errStopping)
	}
}

// abandon tells what was not handed on because the receiver is shutting down.
func (d *delivery) abandon(records int, err error) error {
	what := "what can be read again comes again after a restart, if there is a storage extension"
	if d.handing != nil {
		what = "they are lost"
		d.telemetry.ReceiverAuditKillDropped.Add(d.context, int64(records))
	}
	d.logger.Warn("shutting down before the next consumer took log records; "+what,
		zap.Int("log_records", records), zap.Error(err))
	return err
}

// hand hands log records on. It returns an error only if the receiver is shutting
// down: everything else is settled here.
func (d *delivery) hand(data plog.Logs) error {
	ctx := d.obsreport.StartLogsOp(d.context)
	count := data.LogRecordCount()
	dropped, err := d.consume(ctx, data)
	d.obsreport.EndLogsOp(ctx, dataFormat, count, err)
	if errors.Is(err, errStopping) {
		return d.abandon(dropped, err)
	}
	if err != nil {
		d.telemetry.ReceiverAuditKillDropped.Add(ctx, int64(dropped))
		d.logger.Error("dropped log records: the next consumer refused them for good, or retrying has ended",
			zap.Int("log_records", dropped), zap.Error(err))
	}
	return nil
}

// consume hands data on until it is taken, refused for good, given up, or until
// the receiver is shutting down. It returns how many log records were not taken.
func (d *delivery) consume(ctx context.Context, data plog.Logs) (int, error) {
	// contrib's consumerretry does this, but is internal to it, and sends the
	// same object again, which a processor may have changed half-way.
	wait := d.newBackOff()
	start := time.Now()
	defer d.health.delivery(nil)
	for {
		err := d.next.ConsumeLogs(ctx, d.attempt(data))
		if err == nil {
			return 0, nil
		}
		data = refused(data, err)
		permanent := consumererror.IsPermanent(err)
		// A consumer that was interrupted may call that permanent, too.
		if d.context.Err() != nil || d.stopping.Err() != nil && !permanent {
			return data.LogRecordCount(), errors.Join(errStopping, err)
		}
		pause := wait.NextBackOff()
		if permanent || !d.retry.Enabled || d.givenUp(start, pause) {
			return data.LogRecordCount(), err
		}
		d.health.delivery(err)
		d.logger.Warn("the next consumer did not take log records, trying again",
			zap.Int("log_records", data.LogRecordCount()), zap.Duration("next_try_in", pause), zap.Error(err))
		if !d.pause(pause) {
			return data.LogRecordCount(), errors.Join(errStopping, err)
		}
	}
}

// attempt returns what to hand on so that data can be sent again: a copy where
// a processor may change it.
func (d *delivery) attempt(data plog.Logs) plog.Logs {
	if !d.next.Capabilities().MutatesData {
		return data
	}
	attempt := plog.NewLogs()
	data.CopyTo(attempt)
	return attempt
}

func (d *delivery) givenUp(start time.Time, pause time.Duration) bool {
	return d.retry.MaxElapsedTime > 0 && time.Since(start)+pause > d.retry.MaxElapsedTime
}

func (d *delivery) newBackOff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     d.retry.InitialInterval,
		MaxInterval:         d.retry.MaxInterval,
		Multiplier:          d.retry.Multiplier,
		RandomizationFactor: d.retry.RandomizationFactor,
	}
}

// pause reports whether there is time to try again.
func (d *delivery) pause(duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.stopping.Done():
		return false
	}
}
