// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package delivery turns what was captured into telemetry and hands it on until it is taken:
// it converts, retries what a consumer refuses for a while, gives up what it refuses for good,
// and only then lets the source forget it.
package delivery

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// maxRecords is how many log records are handed on at once at most. One event may strike
// every process of a host.
const maxRecords = 512

// Settings say where telemetry goes, and how.
type Settings struct {
	// Logs and Traces are the next consumers; nil if there is no pipeline of the kind.
	Logs   consumer.Logs
	Traces consumer.Traces
	// Wants is the filter.
	Wants func(e *kill.Event) bool
	// Ahead has Flush return while log records are still being handed on. It is for sources
	// that could not read them again anyway.
	Ahead bool

	Convert   telemetry.Config
	Retry     configretry.BackOffConfig
	Telemetry *metadata.TelemetryBuilder
	ObsReport *receiverhelper.ObsReport
	Logger    *zap.Logger
	Health    *Health
}

// Delivery converts events and hands them to the next consumers. It implements
// capture.Handler.
type Delivery struct {
	settings Settings
	// records gathers what logs hands on. Each of the lanes is nil if there is no pipeline of
	// the kind.
	records *telemetry.Logs
	logs    *lane[plog.Logs]
	// handing takes log records to the goroutine that hands them on, so that the next can be
	// made meanwhile; nil if nobody does.
	handing chan plog.Logs
	spans   *spans
	// now is the observed time of a batch; zero until its first event.
	now time.Time
	// counts are the events of a batch.
	counts   map[kill.Kind]int64
	filtered int64
	context  context.Context //nolint:containedctx // it spans the whole life of the delivery
}

// New returns a Delivery. stopping is done once there is no time left to try again, delivering
// once there is none left at all.
func New(stopping, delivering context.Context, s Settings) *Delivery {
	d := &Delivery{settings: s, context: delivering, records: telemetry.NewLogs(s.Convert), counts: map[kill.Kind]int64{}}
	if s.Logs != nil {
		d.logs = newLane(stopping, delivering, &s, logSignal(&s))
		if s.Ahead {
			d.handing = make(chan plog.Logs)
		}
	}
	if s.Traces != nil {
		d.spans = newSpans(&s, newLane(stopping, delivering, &s, traceSignal(&s)))
	}
	return d
}

// Run hands on until Close is called. It is needed with Settings.Ahead only.
func (d *Delivery) Run() {
	var lanes sync.WaitGroup
	if d.handing != nil {
		lanes.Go(func() {
			for data := range d.handing {
				_ = d.logs.hand(data) // which has logged what it could not hand on
			}
		})
	}
	if d.spans != nil {
		lanes.Go(d.spans.run)
	}
	lanes.Wait()
}

// Close ends Run once everything was handed on. It is called after the last Flush.
func (d *Delivery) Close() {
	if d.handing != nil {
		close(d.handing)
	}
	if d.spans != nil {
		d.spans.close()
	}
}

// Wants implements capture.Handler.
func (d *Delivery) Wants(e *kill.Event) bool {
	wanted := d.settings.Wants(e)
	if !wanted {
		d.filtered++
	}
	return wanted
}

// Signal implements capture.Handler.
func (d *Delivery) Signal(e *kill.Event) error { return d.append(e) }

// Outcome implements capture.Handler.
func (d *Delivery) Outcome(e *kill.Event) error {
	if d.spans != nil {
		d.spans.append(d.context, e)
	}
	if e.Kind == kill.KindCall {
		return nil // which is but a span
	}
	return d.append(e)
}

// append adds one log record for each target.
func (d *Delivery) append(e *kill.Event) error {
	d.counts[e.Kind]++
	if d.logs == nil {
		return nil
	}
	if d.now.IsZero() {
		d.now = time.Now()
	}
	if len(e.Targets) == 0 {
		d.records.Append(e, nil, d.now)
	}
	for i := range e.Targets {
		d.records.Append(e, &e.Targets[i], d.now)
		if d.records.Len() >= maxRecords {
			if err := d.handLogs(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Flush implements capture.Handler: it hands on what was gathered.
func (d *Delivery) Flush() error {
	d.count()
	if d.spans != nil {
		d.spans.flush()
	}
	err := d.handLogs()
	d.now = time.Time{}
	return err
}

// count moves the counts into the metrics.
func (d *Delivery) count() {
	if d.filtered > 0 {
		d.settings.Telemetry.ReceiverAuditKillFiltered.Add(d.context, d.filtered)
		d.filtered = 0
	}
	for kind, n := range d.counts {
		d.settings.Telemetry.ReceiverAuditKillEvents.Add(d.context, n,
			metric.WithAttributes(attribute.String("event.name", string(kind))))
	}
	clear(d.counts)
}

// handLogs hands the log records on. It returns an error only if the receiver is shutting
// down.
func (d *Delivery) handLogs() error {
	if d.records.Len() == 0 {
		return nil
	}
	data := d.records.Take()
	if d.handing == nil {
		return d.logs.hand(data)
	}
	select {
	case d.handing <- data:
		return nil
	case <-d.context.Done():
		return d.logs.abandon(data.LogRecordCount(), errStopping)
	}
}
