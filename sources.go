// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/filesource"
)

// candidate is a source that may be opened.
type candidate struct {
	source.Source
	// key names it in the configuration.
	key string
	// rules says whether it needs audit rules that the receiver loads.
	rules bool
	// live says whether it tells what happens now, and cannot tell it again.
	live bool
	// tellsProcesses says whether it keeps the table of processes up to date.
	tellsProcesses bool
}

// openSource opens the source of the events that the configuration names. If it
// names none, it is the first that can be opened.
func (r *killReceiver) openSource(ctx context.Context) error {
	ebpf, netlink, file := r.config.EBPF.Get(), r.config.Netlink.Get(), r.config.File.Get()
	switch {
	case ebpf != nil:
		return r.use(ctx, r.trace(ebpf))
	case netlink != nil:
		return r.use(ctx, r.netlink(netlink))
	case file != nil:
		return r.use(ctx, r.file(file)) //nolint:contextcheck // its metrics need no context
	}
	chosenEBPF, chosenNetlink, chosenFile := defaultEBPFConfig(), defaultNetlinkConfig(), defaultFileConfig()
	return r.choose(ctx, r.trace(&chosenEBPF), r.netlink(&chosenNetlink), r.file(&chosenFile)) //nolint:contextcheck // as above
}

// choose opens the first source that can be opened, and says why none before it.
func (r *killReceiver) choose(ctx context.Context, candidates ...candidate) error {
	var reasons []zap.Field
	last := len(candidates) - 1
	for _, c := range candidates[:last] {
		err := r.use(ctx, c)
		if err == nil {
			r.tellChoice(c, reasons)
			return nil
		}
		reasons = append(reasons, zap.NamedError(c.key, err))
		if err := r.close(); err != nil {
			r.set.Logger.Error("cleaning up after the attempt to open a source", zap.String("source", c.key), zap.Error(err))
		}
	}
	r.tellChoice(candidates[last], reasons)
	return r.use(ctx, candidates[last])
}

func (r *killReceiver) tellChoice(c candidate, reasons []zap.Field) {
	level, what := zapcore.InfoLevel, ""
	switch c.key {
	case keyEBPF:
		what = "tracing signals in the kernel, as no source is configured and eBPF is possible"
	case keyNetlink:
		what = "listening to the kernel, as no source is configured and eBPF is not possible"
	case keyFile:
		level, what = zapcore.WarnLevel, "reading the audit log, as no source is configured and the kernel is out of reach; "+
			"signals are in it if audit rules say so (see deploy/audit_kill.rules)"
		reasons = append(reasons, zap.String("path", defaultFileConfig().Path))
	}
	r.set.Logger.Log(level, what, reasons...)
}

// use opens a source, after the rules that it needs, so that our own changes of
// them are not among what it reads.
func (r *killReceiver) use(ctx context.Context, chosen candidate) error {
	if chosen.rules {
		guard, err := r.newGuard()
		if err != nil {
			return fmt.Errorf("rules::manage: %w", err)
		}
		r.guard = guard
	}
	r.source = chosen
	return chosen.Start(ctx)
}

// close ends what openSource has opened.
func (r *killReceiver) close() error {
	var errs []error
	if r.guard != nil {
		errs = append(errs, r.guard.close())
		r.guard = nil
	}
	if r.source.Source != nil {
		errs = append(errs, r.source.Close())
		r.source = candidate{}
	}
	return errors.Join(errs...)
}

// suspect makes the guard look, if there is one.
func (r *killReceiver) suspect() {
	select {
	case r.suspicion <- struct{}{}:
	default: // it will
	}
}

func (r *killReceiver) trace(config *EBPFConfig) candidate {
	return candidate{Source: r.newTrace(config), key: keyEBPF, live: true, tellsProcesses: true}
}

func (r *killReceiver) netlink(config *NetlinkConfig) candidate {
	return candidate{Source: r.newNetlink(config), key: keyNetlink, live: true, rules: r.managed(true)}
}

func (r *killReceiver) file(config *FileConfig) candidate {
	return candidate{key: keyFile, rules: r.managed(false), Source: filesource.New(filesource.Settings{
		Path:          config.Path,
		FromBeginning: config.fromBeginning(),
		Follow:        config.Follow,
		Correlation:   r.correlation(),
		Storage:       r.storage,
		Telemetry:     r.telemetry,
		Logger:        r.set.Logger,
		Tampered:      r.suspect,
		Report:        r.health.source,
	})}
}

// managed says whether the receiver loads audit rules.
func (r *killReceiver) managed(byDefault bool) bool {
	if r.config.Rules.Manage != nil {
		return *r.config.Rules.Manage
	}
	return byDefault
}

// correlation says how a source joins records.
func (r *killReceiver) correlation() correlate.Config {
	return correlate.Config{
		Timeout:      r.config.Correlation.Timeout,
		MaxPending:   r.config.Correlation.MaxPending,
		KeepOriginal: r.config.IncludeOriginal,
		Key:          r.config.Rules.Key,
		Executable:   r.machine.Executable,
	}
}
