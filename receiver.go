// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/delivery"
	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/series"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// shutdownGrace is how long a consumer may take for the last data at shutdown before its
// context is cancelled. The collector's service sets no deadline.
const shutdownGrace = 5 * time.Second

// killReceiver captures events and delivers them to the next consumers.
type killReceiver struct {
	config *Config
	set    receiver.Settings
	// sampled is the logger for messages that may repeat many times.
	sampled *zap.Logger
	// nextLogs and nextTraces are nil if there is no pipeline of the kind.
	nextLogs   consumer.Logs
	nextTraces consumer.Traces
	filter     *filter.Filter
	telemetry  *metadata.TelemetryBuilder
	obsreport  *receiverhelper.ObsReport
	machine    machine.Machine
	grace      time.Duration
	// candidates are the sources to try.
	candidates []capture.Candidate

	storage storage.Client
	health  *delivery.Health
	capture *capture.Capture
	metrics *metrics
	// stopReading ends the capture, stopDelivering also the delivery of what was captured.
	stopReading, stopDelivering context.CancelFunc
	running                     sync.WaitGroup
}

func newKillReceiver(config *Config, set receiver.Settings) (*killReceiver, error) {
	wanted, err := filterConfig(config)
	if err != nil {
		return nil, err
	}
	wanted.Self = source.OwnPID()
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
	return &killReceiver{
		config: config, set: set, sampled: logsampling.New(set.Logger), filter: compiled, telemetry: builder, obsreport: obsreport,
		machine: machine.This(config.RootPath), grace: shutdownGrace, candidates: config.candidates(),
	}, nil
}

func filterConfig(config *Config) (filter.Config, error) {
	wanted := filter.Config{
		IncludeFailed: config.IncludeFailed, Targets: texts(config.Targets), Senders: texts(config.Senders),
		ExcludeTargets: texts(config.ExcludeTargets), ExcludeSenders: texts(config.ExcludeSenders),
	}
	var err error
	wanted.Signals, err = parseSignals(config.Signals)
	return wanted, err
}

func texts(globs []NameGlob) []string {
	var texts []string
	for _, glob := range globs {
		texts = append(texts, string(glob))
	}
	return texts
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
	r.health = delivery.NewHealth(func(event *componentstatus.Event) { componentstatus.ReportStatus(host, event) })
	err = r.open(ctx)
	if err != nil {
		return err
	}
	if r.metrics, err = newMetrics(r.capture, r.telemetry, series.Of(r.set.ID)); err != nil {
		return err
	}
	if r.nextTraces != nil && !r.capture.KnowsOutcomes() {
		r.set.Logger.Warn("no traces will be emitted: they need a live source (any but file) and outcome::enabled")
		if r.nextLogs == nil {
			return nil // events would go nowhere, but a checkpoint would move past them
		}
	}
	ctx = context.WithoutCancel(ctx) // the context of Start ends with it
	reading, stopReading := context.WithCancel(ctx)
	delivering, stopDelivering := context.WithCancel(ctx)
	r.stopReading, r.stopDelivering = stopReading, stopDelivering
	d := delivery.New(reading, delivering, r.deliverySettings(r.capture.Traits().Live))
	r.running.Go(d.Run)
	r.running.Go(func() {
		r.capture.Run(reading, d)
		d.Close()
	})
	return nil
}

// open opens the first candidate that can be opened.
func (r *killReceiver) open(ctx context.Context) error {
	opened, err := capture.Open(ctx, r.captureSettings())
	if err != nil {
		return r.refused(err)
	}
	r.capture = opened
	if !r.config.namesSource() {
		r.logChoice(opened.Source(), opened.Refusals())
	}
	return nil
}

func (r *killReceiver) captureSettings() capture.Settings {
	config := r.config
	wanted, _ := filterConfig(config) // newKillReceiver has checked it
	settings := capture.Settings{
		Candidates: r.candidates,
		Signals:    wanted.Signals, Targets: wanted.Targets, Senders: wanted.Senders, IncludeFailed: wanted.IncludeFailed,
		ExcludesSenders: len(wanted.ExcludeSenders) > 0,
		Correlation: capture.Correlation{
			Timeout: config.Correlation.Timeout, MaxPending: config.Correlation.MaxPending, KeepOriginal: config.IncludeOriginal,
		},
		DescribeFirst: r.filter.NeedsPaths(), DescribeThreads: r.filter.NeedsLeaders(),
		Host: r.machine, Root: config.RootPath, Conceal: redact.Policy(config.CommandLine).Apply,
		Logger: r.set.Logger, Warn: r.warn, Health: r.health.Source,
	}
	if config.Outcome.Enabled {
		settings.OutcomeTimeout, settings.Unsent = config.Outcome.Timeout, kill.Unsent(config.Outcome.Unsent)
	}
	if config.Attribution.Enabled {
		settings.Attribution = capture.Attribution{Enabled: true, Timeout: config.Attribution.Timeout, Sockets: config.Attribution.paths()}
	}
	if slices.Equal(config.Signals, defaultSignals()) {
		settings.Ending = capture.Ending(wanted.Targets)
	}
	if on := config.KernelLog; on != nil {
		settings.KernelLog = capture.KernelLogNever
		if *on {
			settings.KernelLog = capture.KernelLogAlways
		}
	}
	if r.storage != nil {
		settings.Store = r.storage
	}
	return settings
}

func (r *killReceiver) deliverySettings(ahead bool) delivery.Settings {
	return delivery.Settings{
		Logs: r.nextLogs, Traces: r.nextTraces, Wants: r.filter.Apply, Ahead: ahead,
		Convert: telemetry.Config{
			Resource: telemetry.NewResource(r.config.ResourceAttributes, r.machine), HostID: r.machine.ID,
			ScopeName: metadata.ScopeName, ScopeVersion: r.set.BuildInfo.Version,
			CommandLine: redact.Policy(r.config.CommandLine),
		},
		Retry: r.config.RetryOnFailure, Telemetry: r.telemetry, Series: series.Of(r.set.ID), ObsReport: r.obsreport,
		Logger: r.sampled, Health: r.health,
	}
}

// Shutdown implements component.Component. It still delivers what was captured, unless the
// consumer does not take it in time.
func (r *killReceiver) Shutdown(ctx context.Context) error {
	var errs []error
	if r.stopReading != nil {
		r.health.Stop()
		r.stopReading()
		r.awaitDelivery(ctx)
		r.stopDelivering()
		r.stopReading = nil
	}
	if r.capture != nil {
		errs = append(errs, r.capture.Close())
		r.metrics.update(ctx)
		r.capture = nil
	}
	if r.storage != nil {
		errs = append(errs, r.storage.Close(ctx))
		r.storage = nil
	}
	r.telemetry.Shutdown()
	return errors.Join(errs...)
}

// awaitDelivery waits until everything is delivered, and interrupts what takes too long.
func (r *killReceiver) awaitDelivery(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.running.Wait()
	}()
	grace, cancel := context.WithTimeout(ctx, r.grace)
	defer cancel()
	select {
	case <-done:
		return
	case <-grace.Done():
	}
	r.stopDelivering()
	r.capture.Interrupt()
	<-done
}

// storageClient returns the client of the storage extension; nil if none is configured.
func storageClient(
	ctx context.Context, host component.Host, storageID *component.ID, receiverID component.ID,
) (storage.Client, error) {
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
	client, err := provider.GetClient(ctx, component.KindReceiver, receiverID, "")
	if err != nil {
		return nil, fmt.Errorf("storage: opening %q: %w", storageID, err)
	}
	return client, nil
}
