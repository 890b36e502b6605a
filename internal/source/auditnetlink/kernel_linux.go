// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditnetlink

import (
	"errors"
	"fmt"

	"github.com/elastic/go-libaudit/v2"
	"go.uber.org/zap"
)

// kernel is the part of go-libaudit's AuditClient that the supervisor needs;
// tests put another in its place.
type kernel interface {
	GetStatus() (*libaudit.AuditStatus, error)
	SetBacklogLimit(limit uint32, mode libaudit.WaitMode) error
	SetBacklogWaitTime(jiffies int32, mode libaudit.WaitMode) error
	SetFailure(action libaudit.FailureMode, mode libaudit.WaitMode) error
}

// client asks the running kernel. Each request has a socket of its own, apart
// from the records: go-libaudit may give up waiting for an answer, which would
// then be taken for that to the next request.
type client struct{}

// GetStatus implements kernel.
func (client) GetStatus() (status *libaudit.AuditStatus, err error) {
	err = ask(func(c *libaudit.AuditClient) error {
		status, err = c.GetStatus()
		return err
	})
	return status, err
}

// SetBacklogLimit implements kernel.
func (client) SetBacklogLimit(limit uint32, mode libaudit.WaitMode) error {
	return ask(func(c *libaudit.AuditClient) error { return c.SetBacklogLimit(limit, mode) })
}

// SetBacklogWaitTime implements kernel.
func (client) SetBacklogWaitTime(jiffies int32, mode libaudit.WaitMode) error {
	return ask(func(c *libaudit.AuditClient) error { return c.SetBacklogWaitTime(jiffies, mode) })
}

// SetFailure implements kernel.
func (client) SetFailure(action libaudit.FailureMode, mode libaudit.WaitMode) error {
	return ask(func(c *libaudit.AuditClient) error { return c.SetFailure(action, mode) })
}

func ask(request func(*libaudit.AuditClient) error) error {
	c, err := libaudit.NewAuditClient(nil)
	if err != nil {
		return err
	}
	return errors.Join(request(c), c.Close())
}

// minBacklog is how many records the kernel may hold for us, as its own limit of
// 64 is less than one kill(-1) makes. 16,384 take some 40 MB if the collector
// stands still, and nothing else.
const minBacklog = 16384

// What the kernel does when it loses a record (include/uapi/linux/audit.h).
// go-libaudit's constants of that name are all 0.
const (
	logOnFailure   libaudit.FailureMode = 1
	panicOnFailure libaudit.FailureMode = 2
)

// backlog is what the audit daemon decides about the kernel's queue: how long it
// is, and what happens when it is full. The host comes first, so that no system
// call waits, and a full queue is no reason to panic.
type backlog struct {
	kernel kernel
	logger *zap.Logger
	// before are the settings that were found; nil if nothing was changed.
	before *libaudit.AuditStatus
}

// set changes the settings. That they cannot be changed, as they are locked, is
// no reason not to read.
func (b *backlog) set(status *libaudit.AuditStatus) {
	if b.before != nil {
		return
	}
	b.before = status
	var errs []error
	if status.BacklogWaitTime != 0 {
		errs = append(errs, b.kernel.SetBacklogWaitTime(0, libaudit.WaitForReply))
	}
	if status.BacklogLimit < minBacklog && status.BacklogLimit != 0 { // 0 is no limit
		errs = append(errs, b.kernel.SetBacklogLimit(minBacklog, libaudit.WaitForReply))
	}
	if libaudit.FailureMode(status.Failure) == panicOnFailure {
		b.logger.Warn("the kernel would panic when it loses an audit record (auditctl -f 2); " +
			"it will only log that while the collector is the audit daemon")
		errs = append(errs, b.kernel.SetFailure(logOnFailure, libaudit.WaitForReply))
	}
	if err := errors.Join(errs...); err != nil {
		b.logger.Warn("cannot change the settings of the kernel's audit queue, so that system calls may wait for "+
			"the collector; if they are locked (auditctl -s says enabled 2), put `--backlog_wait_time 0` and "+
			"`-b 16384` into /etc/audit/rules.d and reboot", zap.Error(err))
	}
}

// restore puts the settings back, but for those that somebody else has changed
// since.
func (b *backlog) restore() error {
	if b.before == nil {
		return nil
	}
	before := b.before
	b.before = nil
	now, err := b.kernel.GetStatus()
	if err != nil {
		return fmt.Errorf("restoring the settings of the kernel's audit queue: %w", err)
	}
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
	return nil
}
