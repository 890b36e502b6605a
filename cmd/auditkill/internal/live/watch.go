// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"time"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/wording"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

const (
	// patience is how long printing one of the last signals may take.
	patience = 3 * time.Second
	// quiet is how long a signal with several targets waits for more of them, which the audit
	// system reports one by one. Lines should appear within 100 ms.
	quiet = 50 * time.Millisecond
	// rulesInterval is short because a person waits for lines.
	rulesInterval = time.Second
)

var (
	errStuck   = errors.New("the output was not read, so the last signals may be missing in it")
	errGivenUp = errors.New("nothing prints events any more")
)

// Watch captures signals from Open to Close.
type Watch struct {
	config    Config
	logger    *zap.Logger
	sampled   *zap.Logger
	selection *selection.Selection
	patience  time.Duration
	capture   *capture.Capture
}

// Open begins to capture signals. If that is not possible, the error says why, and what is.
func Open(ctx context.Context, config Config) (*Watch, error) {
	return open(ctx, config, config.candidates())
}

func open(ctx context.Context, config Config, candidates []capture.Candidate) (*Watch, error) {
	selected, err := selection.New(config.Asked)
	if err != nil {
		return nil, err
	}
	w := &Watch{config: config, logger: newLogger(config.Say), selection: selected, patience: patience}
	w.sampled = logsampling.New(w.logger)
	if w.capture, err = capture.Open(ctx, w.settings(candidates)); err != nil {
		return nil, config.explain(err)
	}
	for _, refusal := range w.capture.Refusals() {
		config.Say("cannot use " + refusal.Name + ": " + because(refusal).Error())
	}
	if !w.capture.Traits().Live { // it reads what others have recorded
		config.adviseFile()
	}
	return w, nil
}

func (w *Watch) settings(candidates []capture.Candidate) capture.Settings {
	return capture.Settings{
		Candidates: candidates,
		Signals:    w.config.signals(), Targets: selection.Globs(w.config.Asked.Targets), Senders: selection.Globs(w.config.Asked.Senders), IncludeFailed: true,
		ExcludesSenders: len(w.config.Asked.ExcludeSenders) > 0,
		Correlation: capture.Correlation{
			Timeout: correlate.DefaultTimeout, MaxPending: correlate.DefaultMaxPending, Quiet: quiet,
		},
		Ending: w.config.Ending, Unsent: w.config.unsent(),
		RulesInterval: rulesInterval, OutcomeTimeout: w.config.OutcomeTimeout, DescribeFirst: true,
		Attribution: capture.Attribution{Enabled: true, Timeout: capture.DefaultAttributionTimeout},
		Host:        w.config.Host, Conceal: w.config.CommandLine.Apply,
		Logger: w.logger, Warn: w.warn, Health: func(error) {}, // failures are logged, too
	}
}

// warn prints a problem, the same one only once in a while.
func (w *Watch) warn(p *problem.Problem) {
	if w.sampled.Check(zapcore.WarnLevel, p.What) != nil {
		w.config.Say(wording.Warning(p))
	}
}

// Source is the name of the source in use.
func (w *Watch) Source() string { return w.capture.Traits().Way }

// Run passes the selected signals and the outcomes of their targets to show, until ctx is done
// or show fails, and calls finish after the last one. It is called once.
func (w *Watch) Run(ctx context.Context, show func(*kill.Event) error, finish func() error) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	h := &handler{watch: w, batches: make(chan []*kill.Event), givenUp: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.capture.Run(reading, h)
		close(h.batches)
	}()
	shown := make(chan error, 1)
	go func() { // show may never return
		shown <- h.showAll(show, finish)
	}()
	err := w.await(ctx, h, shown)
	stop()
	close(h.givenUp)
	<-ended
	return err
}

// await returns when everything was shown, or showing one of them takes too long. A busy host may take its time until the last
// one is known.
func (w *Watch) await(ctx context.Context, h *handler, shown <-chan error) error {
	select {
	case err := <-shown:
		return err
	case <-ctx.Done():
	}
	ticker := time.NewTicker(w.patience)
	defer ticker.Stop()
	for last := int64(0); ; {
		select {
		case err := <-shown:
			return err
		case <-ticker.C:
			now := h.showing.Load()
			if now != 0 && now == last {
				return errStuck
			}
			last = now
		}
	}
}

// Close restores the kernel to the state before Open, and says what was missed.
func (w *Watch) Close() error {
	err := w.capture.Close()
	for _, line := range wording.Lost(w.capture.Counts()) {
		w.config.Say(line)
	}
	return err
}
