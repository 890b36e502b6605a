// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logsampling

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestLogger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		logger := New(zap.New(core))
		for range 10 {
			logger.Warn("trouble", zap.Time("at", time.Now()))
			logger.Info("something else")
		}
		assert.Equal(t, 1, logs.FilterMessage("trouble").Len())
		assert.Equal(t, 1, logs.FilterMessage("something else").Len())
		time.Sleep(Interval)
		logger.Warn("trouble")
		assert.Equal(t, 2, logs.FilterMessage("trouble").Len())
	})
}
