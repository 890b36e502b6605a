// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"errors"
	"fmt"

	"github.com/elastic/go-libaudit/v2"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
)

// kernel is the part of auditcontrol.Client that the supervisor needs, so that tests can
// replace it.
type kernel interface {
	GetStatus() (*libaudit.AuditStatus, error)
	SetBacklogLimit(limit uint32, mode libaudit.WaitMode) error
	SetBacklogWaitTime(jiffies int32, mode libaudit.WaitMode) error
	SetFailure(action libaudit.FailureMode, mode libaudit.WaitMode) error
}

var _ kernel = auditcontrol.Client{}

// minBacklog is how many records the kernel may queue for this process: its default limit
// of 64 is less than a single kill(-1) makes. 16,384 records take some 40 MB, and only if
// the collector stands still.
const minBacklog = 16384

// What the kernel does when it loses a record (include/uapi/linux/audit.h). go-libaudit's
// constants of these names are all 0.
const (
	logOnFailure   libaudit.FailureMode = 1
	panicOnFailure libaudit.FailureMode = 2
)

// backlog manages what the audit daemon decides about the kernel's queue: its length, and
// what happens when it is full. The host comes first: no system call waits, the queue has a
// limit, and the kernel does not panic when it is full.
type backlog struct {
	kernel kernel
	// logger tells the same only once in a while: where the settings are locked, every attempt fails.
	logger *zap.Logger
	// before holds the settings that were found; nil if nothing was changed.
	before *libaudit.AuditStatus
}

// set changes the settings. It returns an error if system calls may then have to wait for
// the collector.
func (b *backlog) set(status *libaudit.AuditStatus) error {
	if b.before == nil {
		b.before = status
	}
	var errs []error
	if status.BacklogLimit < minBacklog { // 0 means no limit
		errs = append(errs, b.kernel.SetBacklogLimit(minBacklog, libaudit.WaitForReply))
	}
	if libaudit.FailureMode(status.Failure) == panicOnFailure {
		b.logger.Warn("the kernel would panic when it loses an audit record (auditctl -f 2); " +
			"it will only log that while this process is the audit daemon")
		errs = append(errs, b.kernel.SetFailure(logOnFailure, libaudit.WaitForReply))
	}
	if err := errors.Join(errs...); err != nil {
		b.logger.Warn("cannot change the settings of the kernel's audit queue", zap.Error(err))
	}
	if status.BacklogWaitTime == 0 {
		return nil
	}
	if err := b.kernel.SetBacklogWaitTime(0, libaudit.WaitForReply); err != nil {
		return fmt.Errorf("cannot keep system calls from waiting for the audit daemon "+
			"(if its settings are locked, put `--backlog_wait_time 0` into /etc/audit/rules.d and reboot): %w", err)
	}
	return nil
}

// restore puts the settings back, except those that someone else has changed since.
func (b *backlog) restore() error {
	if b.before == nil {
		return nil
	}
	now, err := b.kernel.GetStatus()
	if err != nil {
		return fmt.Errorf("restoring the settings of the kernel's audit queue: %w", err)
	}
	before := b.before
	var errs []error
	if now.BacklogWaitTime != before.BacklogWaitTime && now.BacklogWaitTime == 0 {
		errs = append(errs, b.kernel.SetBacklogWaitTime(int32(before.BacklogWaitTime), libaudit.WaitForReply))
	}
	if now.BacklogLimit != before.BacklogLimit && now.BacklogLimit == minBacklog {
		errs = append(errs, b.kernel.SetBacklogLimit(before.BacklogLimit, libaudit.WaitForReply))
	}
	if now.Failure != before.Failure && libaudit.FailureMode(now.Failure) == logOnFailure {
		errs = append(errs, b.kernel.SetFailure(libaudit.FailureMode(before.Failure), libaudit.WaitForReply))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("restoring the settings of the kernel's audit queue: %w", err)
	}
	b.before = nil
	return nil
}
