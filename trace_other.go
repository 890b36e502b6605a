// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !(amd64 || arm64)

package auditkillreceiver

import (
	"context"
	"errors"

	"github.com/auditkill/auditkillreceiver/internal/source"
)

// errNoTrace is returned where there are no programs for the kernel.
var errNoTrace = errors.New("ebpf: only on Linux, x86-64 and arm64; use netlink")

// untraced is the source where the kernel cannot be traced.
type untraced struct{}

func (untraced) Start(context.Context) error { return errNoTrace }

func (untraced) Run(context.Context, source.Deliver) {}

func (untraced) Close() error { return nil }

func (*killReceiver) newTrace(*EBPFConfig) source.Source { return untraced{} }
