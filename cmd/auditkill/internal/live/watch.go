// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// patience is how long the last signals may take to be printed.
const patience = 3 * time.Second

var (
	errStuck   = errors.New("the output was not taken, so that the last signals may be missing in it")
	errGivenUp = errors.New("nobody prints anymore")
)

// Watch sees signals from Open to Close.
type Watch struct {
	config    Config
	logger    *zap.Logger
	losses    *losses
	telemetry *metadata.TelemetryBuilder
	selection *selection.Selection
	processes *process.Table
	users     *process.Users
	patience  time.Duration

	// source is the one that is open, chosen what it is called.
	source candidate
	chosen string
	// outcomes is who is followed; nil if nobody is. watching is true if source.exits sees
	// to that.
	outcomes *outcome.Table
	watching bool
	// doubts holds a token once ends of processes were lost.
	doubts chan struct{}
}

// Open begins to see signals. If that is not possible, the error tells a person why, and
// what is.
func Open(ctx context.Context, config Config) (*Watch, error) {
	w, err := newWatch(config)
	if err != nil {
		return nil, err
	}
	err = w.open(ctx, w.candidates()) //nolint:contextcheck // the metrics of the sources need no context
	return w, err
}

func newWatch(config Config) (*Watch, error) {
	selected, err := selection.New(config.Asked)
	if err != nil {
		return nil, err
	}
	w := &Watch{
		config: config, logger: newLogger(config.Say), losses: newLosses(), selection: selected,
		users: process.NewUsers(config.Host.Passwd, config.Host.Name), patience: patience,
		doubts: make(chan struct{}, 1),
	}
	w.processes = process.NewTable(process.Config{Host: config.Host.Name, Logger: w.logger})
	w.telemetry, err = metadata.NewTelemetryBuilder(component.TelemetrySettings{
		Logger: w.logger, MeterProvider: w.losses, TracerProvider: tracenoop.NewTracerProvider(),
	})
	return w, err
}

// open opens one of the sources, or nothing.
func (w *Watch) open(ctx context.Context, candidates []candidate) error {
	if err := w.choose(ctx, candidates); err != nil {
		w.telemetry.Shutdown()
		return err
	}
	return nil
}

// Source is what the source is called that is used.
func (w *Watch) Source() string { return w.chosen }

// Run hands the signals that are asked for to show, and what becomes of those that were
// struck, until ctx is done or show fails. It is called once.
func (w *Watch) Run(ctx context.Context, show func(*kill.Event) error) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	events, givenUp := make(chan []*kill.Event), make(chan struct{})
	var producing sync.WaitGroup
	w.produce(reading, &producing, func(batch []*kill.Event) error {
		select {
		case events <- batch:
			return nil
		case <-givenUp:
			return errGivenUp
		}
	})
	ended := make(chan struct{})
	go func() {
		producing.Wait()
		close(events)
		close(ended)
	}()
	shown := make(chan error, 1)
	go func() { // show may never return
		shown <- w.showAll(events, show)
	}()
	err := w.await(ctx, shown)
	stop()
	close(givenUp)
	<-ended
	return err
}

// await returns when everything was shown, or cannot be.
func (w *Watch) await(ctx context.Context, shown <-chan error) error {
	select {
	case err := <-shown:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(w.patience)
	defer timer.Stop()
	select {
	case err := <-shown:
		return err
	case <-timer.C:
		return errStuck
	}
}

// produce starts all that delivers events.
func (w *Watch) produce(ctx context.Context, producing *sync.WaitGroup, deliver func([]*kill.Event) error) {
	if w.watching {
		w.runExits(ctx, producing, deliver)
	}
	if w.source.guard != nil {
		producing.Go(func() { w.source.guard.run(ctx, deliver) })
	}
	if !w.source.tellsProcesses && w.prime() {
		producing.Go(func() { w.processes.Run(ctx) })
	}
	producing.Go(func() { w.source.Run(ctx, deliver) })
}

// prime fills the table of processes, and reports whether it could.
func (w *Watch) prime() bool {
	err := w.processes.Prime()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) { // as anywhere but on Linux
		w.logger.Warn("of processes only what is in the audit records will be known", zap.Error(err))
	}
	return err == nil
}

// runExits sees the ends of processes. It does not wait for who prints: a process ended
// when it ended.
func (w *Watch) runExits(ctx context.Context, producing *sync.WaitGroup, deliver func([]*kill.Event) error) {
	ends := queue.New()
	seen := make(chan struct{})
	producing.Go(func() {
		defer close(seen)
		w.source.exits.Run(ctx, func(events []*kill.Event) error {
			ends.Add(events)
			return nil
		})
	})
	producing.Go(func() {
		for {
			select {
			case <-ends.Ready():
				if !ends.Deliver(deliver) {
					return
				}
			case <-seen:
				ends.Deliver(deliver)
				return
			}
		}
	})
}

// showAll shows events until there are no more.
func (w *Watch) showAll(events <-chan []*kill.Event, show func(*kill.Event) error) error {
	f := newFollow(w.outcomes, show)
	defer f.timer.Stop()
	for {
		var err error
		select {
		case batch, more := <-events:
			if !more {
				return f.settle()
			}
			err = w.showSome(batch, f)
		case <-w.doubts:
			f.doubt()
		case <-f.timer.C:
			err = f.expire()
		}
		if err != nil {
			return err
		}
		f.schedule()
	}
}

func (w *Watch) showSome(events []*kill.Event, f *follow) error {
	for _, e := range events {
		switch {
		case e.Kind == kill.KindExit:
			f.exited(e)
		case e.Kind == kill.KindTamper:
			w.tampered(e)
		case w.wanted(e):
			f.struck(e)
			if err := f.show(e); err != nil {
				return err
			}
		}
		if err := f.tell(); err != nil {
			return err
		}
	}
	return nil
}

// tampered tells who blinds the monitor.
func (w *Watch) tampered(e *kill.Event) {
	if w.source.guard != nil && e.Tamper.Action == kill.TamperRuleRemoved && e.Sender.PID == 0 {
		// Of what the audit daemon does the kernel does not say who it was, and that may be
		// another watch, which takes its own rules along. The guard tells if it was one of ours.
		return
	}
	w.name(e)
	w.config.Say(telemetry.Sentence(e, nil))
}

// wanted reports whether an event is asked for, and adds what the host knows of it.
func (w *Watch) wanted(e *kill.Event) bool {
	w.name(e)
	return w.selection.Apply(e)
}

// name adds to an event what the host knows of its processes and users.
func (w *Watch) name(e *kill.Event) {
	w.processes.Fill(e)
	w.users.Fill(e)
}

// Close leaves the kernel as it was found, and tells what could not be seen.
func (w *Watch) Close() error {
	err := w.closeSource()
	w.telemetry.Shutdown()
	for _, loss := range w.losses.told() {
		w.config.Say(loss)
	}
	return err
}
