// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditcontrol

import (
	"errors"
	"syscall"

	"github.com/elastic/go-libaudit/v2"
)

// Client talks to the running kernel. Each request has a socket of its own: on a busy host
// go-libaudit may stop waiting for an answer, which would then be mistaken for the answer
// to the next request.
type Client struct{}

// patience is how often to repeat a question that a kernel thread answers; go-libaudit
// waits half a second for each answer.
const patience = 5

// GetStatus returns the state of the audit system.
func (Client) GetStatus() (*libaudit.AuditStatus, error) {
	return ask(patience, (*libaudit.AuditClient).GetStatus)
}

// GetRules returns the loaded rules in the kernel's format.
func (Client) GetRules() ([][]byte, error) { return ask(patience, (*libaudit.AuditClient).GetRules) }

// AddRule loads a rule.
func (Client) AddRule(rule []byte) error {
	return send(func(c *libaudit.AuditClient) error { return c.AddRule(rule) })
}

// DeleteRule removes a rule. go-libaudit does not check whether that succeeded.
func (Client) DeleteRule(rule []byte) error {
	return send(func(c *libaudit.AuditClient) error { return c.DeleteRule(rule) })
}

// SetEnabled turns audit on or off.
func (Client) SetEnabled(enabled bool, mode libaudit.WaitMode) error {
	return send(func(c *libaudit.AuditClient) error { return c.SetEnabled(enabled, mode) })
}

// SetBacklogLimit sets how many records the kernel holds for the daemon.
func (Client) SetBacklogLimit(limit uint32, mode libaudit.WaitMode) error {
	return send(func(c *libaudit.AuditClient) error { return c.SetBacklogLimit(limit, mode) })
}

// SetBacklogWaitTime sets how long, in jiffies, a system call waits when that many are held.
func (Client) SetBacklogWaitTime(jiffies int32, mode libaudit.WaitMode) error {
	return send(func(c *libaudit.AuditClient) error { return c.SetBacklogWaitTime(jiffies, mode) })
}

// SetRateLimit sets how many records the kernel writes in a second; 0 is any number.
func (Client) SetRateLimit(perSecond uint32, mode libaudit.WaitMode) error {
	return send(func(c *libaudit.AuditClient) error { return c.SetRateLimit(perSecond, mode) })
}

// SetFailure sets what the kernel does when it loses a record.
func (Client) SetFailure(action libaudit.FailureMode, mode libaudit.WaitMode) error {
	return send(func(c *libaudit.AuditClient) error { return c.SetFailure(action, mode) })
}

func send(request func(*libaudit.AuditClient) error) error {
	_, err := ask(1, func(c *libaudit.AuditClient) (struct{}, error) { return struct{}{}, request(c) })
	return err
}

// ask repeats a request that got no answer, but not one that the kernel refused.
func ask[T any](times int, request func(*libaudit.AuditClient) (T, error)) (answer T, err error) {
	for range times {
		answer, err = askOnce(request)
		if err == nil || Refused(err) {
			return answer, err
		}
	}
	return answer, err
}

func askOnce[T any](request func(*libaudit.AuditClient) (T, error)) (T, error) {
	c, err := libaudit.NewAuditClient(nil)
	if err != nil {
		var none T
		return none, err
	}
	c.Netlink = prompt{c.Netlink}
	answer, err := request(c)
	return answer, errors.Join(err, c.Close())
}

// Refused reports whether an error is the kernel's answer, rather than the lack of one.
func Refused(err error) bool {
	errno := syscall.Errno(0)
	return errors.As(err, &errno)
}
