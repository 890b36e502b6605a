// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/auditfile"
)

// openSource opens the source of the events that the configuration names. If it
// names none, it is the kernel, or the log where the kernel is out of reach.
func (r *killReceiver) openSource(ctx context.Context) error {
	file, netlink := r.config.File.Get(), r.config.Netlink.Get()
	switch {
	case file != nil:
		return r.use(ctx, r.newFile(file), r.managed(false)) //nolint:contextcheck // its metrics need no context
	case netlink != nil:
		return r.use(ctx, r.newNetlink(netlink), r.managed(true))
	}
	defaults := defaultNetlinkConfig()
	err := r.use(ctx, r.newNetlink(&defaults), r.managed(true))
	if err == nil {
		r.set.Logger.Info("listening to the kernel, as no source is configured and it is within reach")
		return nil
	}
	chosen := defaultFileConfig()
	r.set.Logger.Warn("reading the audit log, as no source is configured and the kernel is out of reach; "+
		"signals are in it if audit rules say so (see deploy/audit_kill.rules)",
		zap.String("path", chosen.Path), zap.NamedError("kernel", err))
	if err := r.close(); err != nil {
		r.set.Logger.Error("cleaning up after the attempt to listen to the kernel", zap.Error(err))
	}
	return r.use(ctx, r.newFile(&chosen), r.managed(false)) //nolint:contextcheck // its metrics need no context
}

// managed says whether the receiver loads audit rules.
func (r *killReceiver) managed(byDefault bool) bool {
	if r.config.Rules.Manage != nil {
		return *r.config.Rules.Manage
	}
	return byDefault
}

// use opens a source, after the rules that it needs, so that our own changes of
// them are not among what it reads.
func (r *killReceiver) use(ctx context.Context, chosen source.Source, manage bool) error {
	if manage {
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
	if r.source != nil {
		errs = append(errs, r.source.Close())
		r.source = nil
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

func (r *killReceiver) newFile(config *FileConfig) source.Source {
	return auditfile.New(auditfile.Settings{
		Path:          config.Path,
		FromBeginning: config.fromBeginning(),
		Follow:        config.Follow,
		Correlation:   r.correlation(),
		Storage:       r.storage,
		Telemetry:     r.telemetry,
		Logger:        r.set.Logger,
		Tampered:      r.suspect,
		Report:        r.health.source,
	})
}

// correlation says how a source joins records.
func (r *killReceiver) correlation() correlate.Config {
	return correlate.Config{
		Timeout:      r.config.Correlation.Timeout,
		MaxPending:   r.config.Correlation.MaxPending,
		KeepOriginal: r.config.IncludeOriginal,
		Key:          r.config.Rules.Key,
		Executable:   r.machine.executable,
	}
}
