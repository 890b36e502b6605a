// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/pulse"
)

func TestStopped(t *testing.T) {
	t.Parallel()
	e := stopped(pulse.Gap{Began: time.Unix(7, 0), Duration: time.Minute})
	assert.Equal(t, kill.KindTamper, e.Kind)
	assert.Equal(t, time.Unix(7, 0), e.Time)
	assert.Equal(t, &kill.Tamper{Action: kill.TamperCollectorStopped, Duration: time.Minute}, e.Tamper)
	assert.Zero(t, e.Sender.PID)
	assert.Empty(t, e.Targets)
}
