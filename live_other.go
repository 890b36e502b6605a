// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package auditkillreceiver

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/source"
)

// errOnlyLinux is returned for what needs a Linux kernel to listen to.
var errOnlyLinux = errors.New("only on Linux")

// nowhere is the source where there is no kernel to listen to.
type nowhere struct{}

func (nowhere) Start(context.Context) error { return errOnlyLinux }

func (nowhere) Run(context.Context, source.Deliver) {}

func (nowhere) Close() error { return nil }

func (*killReceiver) newNetlink(*NetlinkConfig) source.Source { return nowhere{} }

// newExits returns nothing, as there is no live source that would need it.
func newExits(*Config, *zap.Logger) exits { return nil }

// guard exists on Linux only.
type guard struct{}

func (*guard) run(context.Context, source.Deliver) {}

func (*guard) close() error { return nil }

func (*killReceiver) newGuard() (*guard, error) { return nil, errOnlyLinux }

// checkPlatform refuses what exists on Linux only.
func checkPlatform(config *Config) error {
	switch {
	case runtime.GOOS == "windows": // where system calls have no names, see auditrecord
		return errOnlyLinux
	case config.EBPF.HasValue():
		return fmt.Errorf("ebpf: %w; use file to read an audit log that was copied here", errOnlyLinux)
	case config.Netlink.HasValue():
		return fmt.Errorf("netlink: %w; use file to read an audit log that was copied here", errOnlyLinux)
	case config.Rules.Manage != nil && *config.Rules.Manage:
		return fmt.Errorf("rules::manage: %w", errOnlyLinux)
	}
	return nil
}
