// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/redact"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// shutdownGrace is how long a consumer may take for the last data at shutdown
// before its context is cancelled. The service sets no deadline of its own.
const shutdownGrace = 5 * time.Second

// killReceiver runs one source and hands its events to the next consumers.
type killReceiver struct {
	config *Config
	set    receiver.Settings
	// nextLogs and nextTraces are nil if there is no pipeline of the kind.
	nextLogs   consumer.Logs
	nextTraces consumer.Traces
	// wanted is what filter lets through.
	wanted    filter.Config
	filter    *filter.Filter
	telemetry *metadata.TelemetryBuilder
	obsreport *receiverhelper.ObsReport
	machine   machine.Machine
	processes *process.Table
	grace     time.Duration

	// open opens source.
	open   func(context.Context) error
	source candidate
	// guard keeps the audit rules loaded; nil if that is not our business.
	guard *guard
	// suspicion holds a token once the guard has reason to look.
	suspicion chan struct{}
	// doubts holds a token once ends of processes were lost.
	doubts  chan struct{}
	storage storage.Client
	health  *health
	// outcomes is who is followed; nil if nobody is. exits tells of their ends if
	// watching is true, else the source does.
	outcomes *outcome.Table
	exits    exits
	watching bool
	// stopReading ends the source, stopDelivering also what it has in hand.
	stopReading, stopDelivering context.CancelFunc
	running                     sync.WaitGroup
}

func newKillReceiver(config *Config, set receiver.Settings) (*killReceiver, error) {
	wanted, err := filterConfig(config)
	if err != nil {
		return nil, err
	}
	compiled, err := filter.New(wanted)
	if err != nil {
		return nil, err
	}
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	obsreport, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "audit", ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, err
	}
	host := machine.This(config.RootPath)
	r := &killReceiver{
		config: config, set: set, wanted: wanted, filter: compiled, telemetry: builder, obsreport: obsreport,
		processes: process.NewTable(process.Config{Root: config.RootPath, Host: host.Name, Logger: set.Logger}),
		machine:   host, grace: shutdownGrace, suspicion: make(chan struct{}, 1), doubts: make(chan struct{}, 1),
		exits: newExits(config, set.Logger),
	}
	r.open = r.openSource
	return r, nil
}

func filterConfig(config *Config) (filter.Config, error) {
	wanted := filter.Config{IncludeFailed: config.IncludeFailed}
	var err error
	if wanted.Signals, err = parseSignals(config.Signals); err != nil {
		return wanted, err
	}
	for _, glob := range config.Targets {
		wanted.Targets = append(wanted.Targets, string(glob))
	}
	for _, glob := range config.Senders {
		wanted.Senders = append(wanted.Senders, string(glob))
	}
	return wanted, nil
}

func parseSignals(names []SignalName) ([]kill.Signal, error) {
	var signals []kill.Signal
	for _, name := range names {
		signal, err := kill.ParseSignal(string(name))
		if err != nil {
			return nil, err
		}
		signals = append(signals, signal)
	}
	return signals, nil
}

// Start implements component.Component.
func (r *killReceiver) Start(ctx context.Context, host component.Host) error {
	err := r.start(ctx, host)
	if err != nil {
		return errors.Join(err, r.Shutdown(ctx))
	}
	return nil
}

func (r *killReceiver) start(ctx context.Context, host component.Host) error {
	var err error
	if r.storage, err = storageClient(ctx, host, r.config.StorageID, r.set.ID); err != nil {
		return err
	}
	r.health = &health{report: func(event *componentstatus.Event) { componentstatus.ReportStatus(host, event) }}
	if err := r.registerMetrics(); err != nil {
		return err
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	if err := r.openOutcomes(); err != nil {
		return err
	}
	if r.nextLogs == nil && r.outcomes == nil {
		return nil // what is read would go nowhere, and a checkpoint would pass it
	}
	ctx = context.WithoutCancel(ctx) // which ends with Start
	reading, stopReading := context.WithCancel(ctx)
	delivering, stopDelivering := context.WithCancel(ctx)
	r.stopReading, r.stopDelivering = stopReading, stopDelivering
	d := r.newDelivery(reading, delivering)
	if r.source.live {
		d.ahead()
		r.running.Go(d.handAll)
	}
	var producing sync.WaitGroup
	r.runOutcomes(reading, d, &producing)
	if r.guard != nil {
		producing.Go(func() { r.guard.run(reading, d.deliver) })
	}
	if !r.source.tellsProcesses && r.prime() {
		r.running.Go(func() { r.processes.Run(reading) })
	}
	producing.Go(func() { r.source.Run(reading, d.deliver) })
	r.running.Go(func() { //nolint:contextcheck // what is handed on has a context of its own
		producing.Wait()
		if d.follow != nil {
			d.unfollow()
		}
		d.end()
	})
	return nil
}

func (r *killReceiver) registerMetrics() error {
	counts := r.processes.Counts
	return errors.Join(
		r.telemetry.RegisterReceiverAuditKillProcessesCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(counts().Size))
			return nil
		}),
		r.telemetry.RegisterReceiverAuditKillProcessesEvictedCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(counts().Evicted))
			return nil
		}),
	)
}

// prime fills the table of processes, and reports whether it could. Without it,
// events tell less.
func (r *killReceiver) prime() bool {
	err := r.processes.Prime()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) { // as anywhere but on Linux
		r.set.Logger.Warn("events will tell of processes only what is in the audit records", zap.Error(err))
	}
	return err == nil
}

func (r *killReceiver) newDelivery(stopping, delivering context.Context) *delivery {
	d := &delivery{
		filter:    r.filter,
		processes: r.processes,
		users:     process.NewUsers(r.machine.Passwd, r.machine.Name),
		obsreport: r.obsreport,
		telemetry: r.telemetry,
		logger:    logsampling.New(r.set.Logger),
		health:    r.health,
		retry:     r.config.RetryOnFailure,
		stopping:  stopping,
		context:   delivering,
	}
	config := telemetryConfig(r.config, &r.set, r.machine)
	d.records = telemetry.NewLogs(config)
	if r.nextLogs != nil {
		d.logs = d.logsLane(r.nextLogs)
	}
	if r.nextTraces != nil {
		d.spans, d.traces = telemetry.NewTraces(config), d.tracesLane(r.nextTraces)
	}
	return d
}

// Shutdown implements component.Component. What has been read is still
// delivered, unless the consumer does not take it.
func (r *killReceiver) Shutdown(ctx context.Context) error {
	var errs []error
	if r.stopReading != nil {
		r.health.stop()
		r.stopReading()
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.running.Wait()
		}()
		grace, cancel := context.WithTimeout(ctx, r.grace)
		defer cancel()
		select {
		case <-done:
		case <-grace.Done():
			r.stopDelivering()
			<-done
		}
		r.stopDelivering()
		r.stopReading = nil
	}
	errs = append(errs, r.closeOutcomes(), r.close())
	if r.storage != nil {
		errs = append(errs, r.storage.Close(ctx))
		r.storage = nil
	}
	r.telemetry.Shutdown()
	return errors.Join(errs...)
}

// storageClient returns the client of the storage extension, or one that
// forgets everything if none is configured.
func storageClient(
	ctx context.Context, host component.Host, storageID *component.ID, receiverID component.ID,
) (storage.Client, error) {
	if storageID == nil {
		return storage.NewNopClient(), nil
	}
	extension, ok := host.GetExtensions()[*storageID]
	if !ok {
		return nil, fmt.Errorf("storage: extension %q does not exist; configure it, and list it under service::extensions", storageID)
	}
	provider, ok := extension.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("storage: extension %q keeps no data; use one such as file_storage", storageID)
	}
	client, err := provider.GetClient(ctx, component.KindReceiver, receiverID, "")
	if err != nil {
		return nil, fmt.Errorf("storage: opening %q: %w", storageID, err)
	}
	return client, nil
}

// telemetryConfig says how events of this host are turned into telemetry.
func telemetryConfig(config *Config, set *receiver.Settings, host machine.Machine) telemetry.Config {
	return telemetry.Config{
		HostName:     host.Name,
		HostID:       host.ID,
		OSType:       host.OS,
		ScopeName:    metadata.ScopeName,
		ScopeVersion: set.BuildInfo.Version,
		CommandLine:  redact.Policy(config.CommandLine),
	}
}
