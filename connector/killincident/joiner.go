// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/connector/killincident/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/incidentlog"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/panics"
)

// joiner takes records in, and sends incidents on. What it has acknowledged is stored, and what it has to report stays due
// until the next consumer has taken it.
type joiner struct {
	config      *Config
	set         connector.Settings
	logger      *zap.Logger // writes each message once in a while
	nextLogs    consumer.Logs
	nextMetrics consumer.Metrics
	now         func() time.Time

	// turn is held by who uses what follows. Unlike a mutex it can be waited for only as long as a context lasts.
	turn      chan struct{}
	table     *incident.Table
	counts    *counts
	guard     *panics.Guard
	telemetry *telemetry
	storage   storage.Client
	// unsaved are changes that could not be stored.
	unsaved map[string][]byte

	// observed is how much the table has, for who reads metrics and must not wait.
	observed atomic.Pointer[incident.Counts]

	stop    context.CancelFunc
	running sync.WaitGroup
}

// maxReports is how many incidents are sent at a time.
const maxReports = 200

func newJoiner(config *Config, set connector.Settings) (*joiner, error) {
	j := &joiner{
		config: config, set: set, logger: logsampling.New(set.Logger), now: time.Now, turn: make(chan struct{}, 1),
		table: incident.NewTable(config.table(set.ID.Name())), guard: panics.NewGuard(set.Logger), unsaved: map[string][]byte{},
	}
	j.counts = newCounts(j.now())
	j.observed.Store(&incident.Counts{})
	j.table.Released = j.released
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	j.telemetry = newTelemetry(builder, set.ID)
	return j, nil
}

func (j *joiner) take(ctx context.Context) error {
	select {
	case j.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (j *joiner) release() { <-j.turn }

func (j *joiner) start(ctx context.Context, host component.Host) error {
	if err := j.open(ctx, host); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	j.stop = stop
	j.running.Go(func() { j.run(running) })
	return nil
}

// open reads what was stored.
func (j *joiner) open(ctx context.Context, host component.Host) (err error) {
	if j.storage, err = storageClient(ctx, host, j.config.StorageID, j.set.ID); err != nil {
		return err
	}
	if j.storage != nil {
		get := func(key string) ([]byte, error) { return j.storage.Get(ctx, key) }
		switch err := j.table.Restore(get, j.now()); {
		case errors.Is(err, incident.ErrStore):
			return errors.Join(err, j.storage.Close(ctx))
		case err != nil:
			j.set.Logger.Error("some open incidents could not be read and are lost", zap.Error(err))
		}
	}
	return j.telemetry.observe(j)
}

// run lets time pass for incidents.
func (j *joiner) run(ctx context.Context) {
	const most, least = time.Second, 10 * time.Millisecond
	tick := time.NewTicker(min(most, max(least, min(j.config.Gap, j.config.Interval)/4)))
	defer tick.Stop()
	measured := j.now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if j.take(ctx) != nil {
			return
		}
		now := j.now()
		j.tick(now)
		j.forward(ctx)
		j.observe()
		if now.Sub(measured) >= j.config.Interval || now.Before(measured) {
			measured = now
			j.measure(ctx)
		}
		j.release()
	}
}

// tick lets time pass. A bug that it finds does not end the collector.
func (j *joiner) tick(now time.Time) {
	defer j.guard.Contain("closing incidents")
	j.table.Tick(now)
}

// reports returns what is due; nothing if a bug is found.
func (j *joiner) reports() []*incident.Report {
	defer j.guard.Contain("describing incidents")
	return j.table.Reports()
}

func (j *joiner) observe() {
	counts := j.table.Counts()
	j.observed.Store(&counts)
}

// forward stores and sends what there is; what fails stays, and is tried again.
func (j *joiner) forward(ctx context.Context) {
	if err := j.report(ctx); err != nil {
		j.logger.Warn("incidents could not be stored or sent; trying again", zap.Error(err))
	}
	if err := j.save(ctx); err != nil {
		j.logger.Warn("open incidents could not be stored; trying again", zap.Error(err))
	}
}

// consume takes records in. An error means that they are to be sent again, which counts none of them twice.
func (j *joiner) consume(ctx context.Context, logs plog.Logs) error {
	if err := j.take(ctx); err != nil {
		return err
	}
	defer j.release()
	others := j.add(ctx, logs)
	if err := j.report(ctx); err != nil {
		return err
	}
	switch {
	case j.nextLogs == nil:
		return nil
	case j.config.Members == membersPass:
		return j.nextLogs.ConsumeLogs(ctx, logs)
	case j.config.Members == membersReplace && others > 0:
		return j.nextLogs.ConsumeLogs(ctx, withoutSignals(logs))
	}
	return nil
}

// add takes in all records, and returns how many of them are not of signals.
func (j *joiner) add(ctx context.Context, logs plog.Logs) (others int) {
	now := j.now()
	var record incident.Record
	for _, resource := range logs.ResourceLogs().All() {
		host := incidentlog.HostOf(resource.Resource())
		for _, scope := range resource.ScopeLogs().All() {
			for _, log := range scope.LogRecords().All() {
				if incidentlog.Read(log, &host, &record, now) {
					j.addRecord(ctx, &record, now)
					continue
				}
				others++
				if e, ok := incidentlog.ReadPodEvent(resource.Resource(), log, now); ok {
					j.explain(ctx, e)
				} else {
					j.telemetry.foreign.Add(ctx, 1)
				}
			}
		}
	}
	return others
}

// addRecord adds one record. A bug that it finds costs no other.
func (j *joiner) addRecord(ctx context.Context, record *incident.Record, now time.Time) {
	defer j.guard.Contain("joining a signal")
	if result := j.table.Add(record, now); result != incident.Held {
		j.count(ctx, record, result)
	}
}

// released counts what became of a record that was held back.
func (j *joiner) released(record *incident.Record, result incident.Result) {
	j.count(context.Background(), record, result)
}

// count counts what became of a record.
func (j *joiner) count(ctx context.Context, record *incident.Record, result incident.Result) {
	j.telemetry.results[result].Add(ctx, 1)
	// A member that an incident has no room for is one all the same.
	if (result == incident.Joined || result == incident.Uncounted) && j.nextMetrics != nil {
		j.counts.record(record)
	}
}

// explain adds an event of Kubernetes.
func (j *joiner) explain(ctx context.Context, e *incident.PodEvent) {
	defer j.guard.Contain("joining an event of Kubernetes")
	j.table.Explain(e)
	j.telemetry.explaining.Add(ctx, 1)
}

// report stores what has changed, and sends what is due. It describes that before it stores anything: from then on the id of an
// incident stays as it is, which has to be in the store before anybody sees the id.
func (j *joiner) report(ctx context.Context) error {
	all := j.reports()
	if err := j.save(ctx); err != nil {
		return err
	}
	for len(all) > 0 {
		part := all[:min(len(all), maxReports)]
		if err := j.send(ctx, part); err != nil {
			return err
		}
		for _, r := range part {
			if r.First && j.nextMetrics != nil {
				j.counts.incident(r)
			}
		}
		j.table.Told(part, j.now())
		all = all[len(part):]
	}
	return nil
}

func (j *joiner) send(ctx context.Context, reports []*incident.Report) error {
	if j.nextLogs == nil {
		return nil
	}
	err := j.nextLogs.ConsumeLogs(ctx, write(reports, j.set.BuildInfo.Version, j.now()))
	if err != nil && consumererror.IsPermanent(err) {
		j.telemetry.dropped.Add(ctx, int64(len(reports)))
		j.logger.Error("incidents were dropped because the next consumer refused them permanently", zap.Error(err))
		return nil
	}
	return err
}

// measure sends the sums.
func (j *joiner) measure(ctx context.Context) {
	if j.nextMetrics == nil {
		return
	}
	j.telemetry.overflowed.Add(ctx, j.counts.overflow())
	metrics := j.counts.metrics(j.set.BuildInfo.Version, j.now())
	if metrics.DataPointCount() == 0 {
		return
	}
	if err := j.nextMetrics.ConsumeMetrics(ctx, metrics); err != nil {
		j.logger.Warn("the sums could not be sent; the next ones have them as well", zap.Error(err))
	}
}

// shutdown sends what is due.
func (j *joiner) shutdown(ctx context.Context) error {
	defer j.telemetry.shutdown()
	if j.stop == nil {
		return nil
	}
	j.stop()
	j.stop = nil
	j.running.Wait()
	return j.finish(ctx)
}

// finish sends what is due. Without a store, whatever is open ends now.
func (j *joiner) finish(ctx context.Context) error {
	if err := j.take(ctx); err != nil {
		return err
	}
	defer j.release()
	if j.storage == nil {
		j.end()
	}
	errs := []error{j.report(ctx), j.save(ctx)}
	j.measure(ctx)
	j.observe()
	if j.storage != nil {
		errs = append(errs, j.storage.Close(ctx))
	}
	return errors.Join(errs...)
}

// end ends all incidents. A bug that it finds in a record that was held back costs no other.
func (j *joiner) end() {
	end := func() (done bool) {
		defer j.guard.Contain("ending incidents")
		j.table.End(j.now())
		return true
	}
	for waiting := j.table.Waiting(); !end(); waiting = j.table.Waiting() {
		if j.table.Waiting() >= waiting {
			return
		}
	}
}

// save stores what has changed.
func (j *joiner) save(ctx context.Context) error {
	if j.storage == nil {
		return nil
	}
	changes, err := j.table.Changes()
	if err != nil {
		j.logger.Error("some open incidents cannot be stored", zap.Error(err))
	}
	for _, c := range changes {
		j.unsaved[c.Key] = c.Value
	}
	if len(j.unsaved) == 0 {
		return nil
	}
	operations := make([]*storage.Operation, 0, len(j.unsaved))
	for key, value := range j.unsaved {
		if value == nil {
			operations = append(operations, storage.DeleteOperation(key))
		} else {
			operations = append(operations, storage.SetOperation(key, value))
		}
	}
	if err := j.storage.Batch(ctx, operations...); err != nil {
		j.telemetry.storageErrors.Add(ctx, 1)
		return fmt.Errorf("storing open incidents: %w", err)
	}
	clear(j.unsaved)
	return nil
}

// storageClient returns the client of the storage extension; nil if none is configured.
func storageClient(ctx context.Context, host component.Host, storageID *component.ID, id component.ID) (storage.Client, error) {
	if storageID == nil {
		return nil, nil
	}
	extension, ok := host.GetExtensions()[*storageID]
	if !ok {
		return nil, fmt.Errorf("storage: extension %q does not exist; configure it, and list it under service::extensions", storageID)
	}
	provider, ok := extension.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("storage: extension %q keeps no data; use one such as file_storage", storageID)
	}
	client, err := provider.GetClient(ctx, component.KindConnector, id, "")
	if err != nil {
		return nil, fmt.Errorf("storage: opening %q: %w", storageID, err)
	}
	return client, nil
}
