// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
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
	// maxSpanItems is how many spans and span events are gathered at most while the next
	// consumer does not take those before: some 20 MB, and as much in each of the two
	// batches before. The log records do not wait for them.
	maxSpanItems = 8192
)

// delivery filters and enriches events, follows their targets, converts all that and
// hands it to the next consumers.
type delivery struct {
	// busy is held while events are delivered: what it uses is made for one
	// goroutine, and beside the source's there are those that guard the rules, and
	// that see the ends of processes.
	busy sync.Mutex

	filter    *filter.Filter
	processes *process.Table
	users     *process.Users
	follow    *follow // nil if nobody is to be followed
	obsreport *receiverhelper.ObsReport
	telemetry *metadata.TelemetryBuilder
	logger    *zap.Logger
	health    *health
	retry     configretry.BackOffConfig

	// records and spans gather what logs and traces hand on; each of the lanes is nil
	// if there is no pipeline of the kind.
	records *telemetry.Logs
	logs    *lane[plog.Logs]
	spans   *telemetry.Traces
	traces  *lane[ptrace.Traces]
	// spanItems is how many spans and span events there are in spans.
	spanItems int

	// stopping is done once there is no time left to try again, context once
	// there is none left at all.
	stopping, context context.Context //nolint:containedctx // both span the whole life of the delivery
}

// deliver implements source.Deliver.
func (d *delivery) deliver(events []*kill.Event) error {
	d.busy.Lock()
	defer d.busy.Unlock()
	now := time.Now()
	counts := eventCounts{}
	for _, e := range events {
		if e.Kind == kill.KindExit {
			d.follow.exited(e)
			continue
		}
		if !d.wanted(e) {
			counts.filtered++
			continue
		}
		d.users.Fill(e)
		d.follow.struck(e)
		if err := d.append(e, now, &counts); err != nil {
			return err
		}
	}
	if err := d.tellOutcomes(now, &counts); err != nil {
		return err
	}
	d.count(&counts)
	err := d.flush()
	d.schedule()
	return err
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

// tellOutcomes appends what has become of processes.
func (d *delivery) tellOutcomes(now time.Time, counts *eventCounts) error {
	for _, e := range d.follow.take() {
		if d.traces != nil {
			d.appendSpan(e)
		}
		if e.Kind == kill.KindCall {
			continue // which is but a span
		}
		if err := d.append(e, now, counts); err != nil {
			return err
		}
	}
	return nil
}

// appendSpan adds a span, unless the next consumer is too far behind.
func (d *delivery) appendSpan(e *kill.Event) {
	if d.spanItems >= maxSpanItems {
		d.telemetry.ReceiverAuditKillSpansDropped.Add(d.context, 1)
		d.logger.Warn("dropped a span, as the next consumer does not take them as fast as processes end")
		return
	}
	d.spans.Append(e)
	d.spanItems += 1 + len(e.Outcome.Signals)
}

// append adds one log record for each target.
func (d *delivery) append(e *kill.Event, now time.Time, counts *eventCounts) error {
	counts.add(e.Kind)
	if d.logs == nil {
		return nil
	}
	if len(e.Targets) == 0 {
		d.records.Append(e, nil, now)
	}
	for i := range e.Targets {
		d.records.Append(e, &e.Targets[i], now)
		if d.records.Len() >= maxRecords {
			if err := d.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// eventCounts is how many events came in one delivery.
type eventCounts struct{ filtered, signals, abends, tampers, outcomes int64 }

func (c *eventCounts) add(kind kill.Kind) {
	switch kind {
	case kill.KindAbend:
		c.abends++
	case kill.KindTamper:
		c.tampers++
	case kill.KindOutcome:
		c.outcomes++
	default:
		c.signals++
	}
}

func (d *delivery) count(c *eventCounts) {
	d.telemetry.ReceiverAuditKillFiltered.Add(d.context, c.filtered)
	d.countEvents(kill.KindSignal, c.signals)
	d.countEvents(kill.KindAbend, c.abends)
	d.countEvents(kill.KindTamper, c.tampers)
	d.countEvents(kill.KindOutcome, c.outcomes)
}

func (d *delivery) countEvents(kind kill.Kind, n int64) {
	if n > 0 {
		d.telemetry.ReceiverAuditKillEvents.Add(d.context, n,
			metric.WithAttributes(attribute.String("event.name", string(kind))))
	}
}

// ahead makes deliver return while its log records are still being handed on. It is
// for sources that could not read them again anyway. end has to be called after the
// last deliver, for the lanes to end.
func (d *delivery) ahead() {
	if d.logs != nil {
		d.logs.handing = make(chan plog.Logs)
	}
	if d.traces != nil {
		d.traces.handing = make(chan ptrace.Traces, 1) // see flushSpans
	}
}

// handAll hands on until end is called.
func (d *delivery) handAll() {
	var lanes sync.WaitGroup
	if d.logs != nil {
		lanes.Go(d.logs.handAll)
	}
	if d.traces != nil {
		lanes.Go(d.traces.handAll)
	}
	lanes.Wait()
}

// end hands on what is left.
func (d *delivery) end() {
	d.busy.Lock()
	defer d.busy.Unlock()
	if d.logs != nil && d.logs.handing != nil {
		close(d.logs.handing)
	}
	if d.traces == nil || d.traces.handing == nil {
		return
	}
	if data := d.spans.Take(); data.SpanCount() > 0 {
		select {
		case d.traces.handing <- data:
		case <-d.context.Done():
			_ = d.traces.abandon(data.SpanCount(), errStopping) // which has told it
		}
	}
	close(d.traces.handing)
}

// flush hands on what was gathered. It returns an error only if the receiver is
// shutting down.
func (d *delivery) flush() error {
	d.flushSpans()
	if d.records.Len() == 0 {
		return nil
	}
	data := d.records.Take()
	if d.logs.handing == nil {
		return d.logs.hand(data)
	}
	select {
	case d.logs.handing <- data:
		return nil
	case <-d.context.Done():
		return d.logs.abandon(data.LogRecordCount(), errStopping)
	}
}

// flushSpans hands spans on unless those before are still being handed on: log records
// are not to wait for a backend of traces.
func (d *delivery) flushSpans() {
	if d.traces == nil || d.spans.Len() == 0 || len(d.traces.handing) == cap(d.traces.handing) {
		return
	}
	d.spanItems = 0
	d.traces.handing <- d.spans.Take() // there is room, and nobody else sends
}
