// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !(amd64 || arm64)

package capture

import (
	"context"

	"github.com/auditkill/auditkillreceiver/internal/source"
)

// unavailable is a source that this operating system or processor does not have.
type unavailable struct{ err error }

var _ source.Source = unavailable{}

// Start implements source.Source.
func (u unavailable) Start(context.Context) error { return u.err }

// Traits implements source.Source.
func (unavailable) Traits() source.Traits { return source.Traits{} }

// Run implements source.Source.
func (unavailable) Run(context.Context, source.Deliver) {}

// Close implements source.Source.
func (unavailable) Close() error { return nil }
