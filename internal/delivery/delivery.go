// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package delivery converts what was captured into telemetry, and delivers it to the next
// consumers. It retries what a consumer refuses for the moment, drops what it refuses for
// good, and only then lets the source forget it.
package delivery

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/series"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// maxRecords is how many log records are delivered at a time. One event may have every process
// of a host as a target.
const maxRecords = 512

// Settings say where to deliver telemetry, and how.
type Settings struct {
	// Logs and Traces are the next consumers; nil if there is no pipeline of the kind.
	Logs   consumer.Logs
	Traces consumer.Traces
	// Wants is the filter.
	Wants func(e *kill.Event) bool
	// Ahead lets Flush return while log records are still being delivered. It is for sources
	// that could not read them again anyway.
	Ahead bool

	Convert   telemetry.Config
	Retry     configretry.BackOffConfig
	Telemetry *metadata.TelemetryBuilder
	// Series is the owner of the delivery's series in Telemetry.
	Series    series.Owner
	ObsReport *receiverhelper.ObsReport
	Logger    *zap.Logger
	Health    *Health
}

// Delivery converts events and delivers them to the next consumers. It implements
// capture.Handler.
type Delivery struct {
	settings Settings
	// records are gathered for logs. logs and spans are nil if there is no pipeline of the
	// kind.
	records *telemetry.Logs
	logs    *lane[plog.Logs]
	spans   *spans
	// ahead passes log records to the goroutine that delivers them, while the next ones are
	// gathered; nil without Settings.Ahead.
	ahead chan plog.Logs
	// unsettled counts the batches that are under way, or were not delivered because the receiver is shutting down.
	unsettled atomic.Int64
	// now is the observed time of a batch; zero until its first event.
	now     time.Time
	tally   *tally
	context context.Context //nolint:containedctx // it spans the whole life of the delivery
}

// New returns a Delivery. stopping ends retries, delivering also the attempt that is under way.
func New(stopping, delivering context.Context, s Settings) *Delivery {
	d := &Delivery{settings: s, context: delivering, records: telemetry.NewLogs(s.Convert), tally: newTally(&s)}
	if s.Logs != nil {
		d.logs = newLane(stopping, delivering, &s, logSignal(&s))
		if s.Ahead {
			d.ahead = make(chan plog.Logs)
		}
	}
	if s.Traces != nil {
		d.spans = newSpans(&s, newLane(stopping, delivering, &s, traceSignal(&s)))
	}
	return d
}

// Run delivers until Close is called. It is needed for Settings.Ahead and for traces.
func (d *Delivery) Run() {
	var lanes sync.WaitGroup
	if d.ahead != nil {
		lanes.Go(func() {
			for data := range d.ahead {
				_ = d.settle(d.logs.deliver(data)) // it has logged what it could not deliver
			}
		})
	}
	if d.spans != nil {
		lanes.Go(d.spans.run)
	}
	lanes.Wait()
}

// Close ends Run once everything was delivered. It is called after the last Flush.
func (d *Delivery) Close() {
	if d.ahead != nil {
		close(d.ahead)
	}
	if d.spans != nil {
		d.spans.close()
	}
}

// Wants implements capture.Handler.
func (d *Delivery) Wants(e *kill.Event) bool {
	wanted := d.settings.Wants(e)
	if !wanted {
		d.tally.filtered++
	}
	return wanted
}

// WantsEnd implements capture.Handler.
func (d *Delivery) WantsEnd(e *kill.Event) bool { return d.settings.Wants(e) }

// Signal implements capture.Handler.
func (d *Delivery) Signal(e *kill.Event) error { return d.append(e) }

// Outcome implements capture.Handler.
func (d *Delivery) Outcome(e *kill.Event) error {
	if d.spans != nil {
		d.spans.append(d.context, e)
	}
	if e.Kind == kill.KindCall {
		return nil // it is only a span
	}
	return d.append(e)
}

// append adds one log record for each target.
func (d *Delivery) append(e *kill.Event) error {
	d.tally.events[e.Kind]++
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
			if err := d.deliverLogs(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Flush implements capture.Handler: it delivers what was gathered.
func (d *Delivery) Flush() error {
	d.tally.report(d.context)
	if d.spans != nil {
		d.spans.flush()
	}
	err := d.deliverLogs()
	d.now = time.Time{}
	return err
}

// Settled implements capture.Handler. Spans do not matter: they are made of the same events.
func (d *Delivery) Settled() bool { return d.unsettled.Load() == 0 }

// settle notes that a batch is not under way any more, and returns err.
func (d *Delivery) settle(err error) error {
	if err == nil {
		d.unsettled.Add(-1)
	}
	return err
}

// deliverLogs delivers the log records. It returns an error only if the receiver is shutting
// down.
func (d *Delivery) deliverLogs() error {
	if d.records.Len() == 0 {
		return nil
	}
	data := d.records.Take()
	d.unsettled.Add(1)
	if d.ahead == nil {
		return d.settle(d.logs.deliver(data))
	}
	select {
	case d.ahead <- data:
		return nil
	case <-d.context.Done():
		return d.logs.abandon(data.LogRecordCount(), errStopping)
	}
}
