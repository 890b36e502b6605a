// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package capture

import (
	"context"
	"errors"

	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// errOnlyLinux is returned by everything that needs a Linux kernel.
var errOnlyLinux = errors.New("only on Linux")

func (Netlink) source(*Capture, *Candidate) source.Source { return unavailable{errOnlyLinux} }

// newExits returns nil: no live source needs it here.
func newExits(*Settings, *panics.Guard) exits { return nil }

// guard exists on Linux only.
type guard struct{}

func (*guard) close() error { return nil }

func (*guard) managesRules() bool { return false }

func (*Capture) observeRules(*Candidate) {}

func (*Capture) guardRules(*Candidate) error { return errOnlyLinux }

func (*Capture) beginGuard() {}

func (*Capture) requestRulesCheck() {}

func (*Capture) runGuard(context.Context) {}
