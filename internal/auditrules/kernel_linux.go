// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"errors"
	"syscall"

	"github.com/elastic/go-libaudit/v2"
)

// Kernel is the part of go-libaudit's AuditClient that rules need.
type Kernel interface {
	GetStatus() (*libaudit.AuditStatus, error)
	SetEnabled(enabled bool, mode libaudit.WaitMode) error
	GetRules() ([][]byte, error)
	AddRule(rule []byte) error
	DeleteRule(rule []byte) error
}

var _ Kernel = (*libaudit.AuditClient)(nil)

// client asks the running kernel. Each request has a socket of its own: on a
// busy host go-libaudit may give up waiting for an answer, which would then be
// taken for that to the next request.
type client struct{}

// GetStatus implements Kernel.
func (client) GetStatus() (*libaudit.AuditStatus, error) {
	return ask(patience, (*libaudit.AuditClient).GetStatus)
}

// SetEnabled implements Kernel.
func (client) SetEnabled(enabled bool, mode libaudit.WaitMode) error {
	_, err := ask(1, func(c *libaudit.AuditClient) (struct{}, error) { return struct{}{}, c.SetEnabled(enabled, mode) })
	return err
}

// GetRules implements Kernel.
func (client) GetRules() ([][]byte, error) { return ask(patience, (*libaudit.AuditClient).GetRules) }

// AddRule implements Kernel.
func (client) AddRule(rule []byte) error {
	_, err := ask(1, func(c *libaudit.AuditClient) (struct{}, error) { return struct{}{}, c.AddRule(rule) })
	return err
}

// DeleteRule implements Kernel.
func (client) DeleteRule(rule []byte) error {
	_, err := ask(1, func(c *libaudit.AuditClient) (struct{}, error) { return struct{}{}, c.DeleteRule(rule) })
	return err
}

// patience is how often a question is put whose answer a kernel thread gives,
// which go-libaudit awaits for half a second.
const patience = 5

// ask repeats a request that got no answer, but not one that the kernel refused.
func ask[T any](times int, request func(*libaudit.AuditClient) (T, error)) (answer T, err error) {
	for range times {
		answer, err = askOnce(request)
		if errno := syscall.Errno(0); err == nil || errors.As(err, &errno) {
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
	answer, err := request(c)
	return answer, errors.Join(err, c.Close())
}
