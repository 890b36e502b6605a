// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package logsampling keeps the log readable when the same trouble comes again
// and again: the first time is told, then once in a while. What is left out is
// in the metrics.
package logsampling

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Interval is how often the same message is written at most.
const Interval = time.Minute

// New returns a logger that writes the same message once an Interval.
func New(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, Interval, 1, 0)
	}))
}
