// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package logsampling keeps the log readable when the same failure repeats: it is logged the
// first time, then once in a while. The metrics count every time.
package logsampling

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Interval is the shortest time between two messages with the same text.
const Interval = time.Minute

// New returns a logger that writes the same message once per Interval.
func New(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, Interval, 1, 0)
	}))
}
