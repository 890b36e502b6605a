// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/delivery"
)

// The engine gets what is configured, and nothing if that is turned off.
func TestAttributionSettings(t *testing.T) {
	t.Parallel()
	settings := func(change func(*AttributionConfig)) capture.Attribution {
		f := newFixture(t, "")
		change(&f.config.Attribution)
		r := f.new(t)
		r.health = delivery.NewHealth(nil)
		return r.captureSettings().Attribution
	}
	assert.Equal(t, capture.Attribution{Enabled: true, Timeout: 200 * time.Millisecond}, settings(func(*AttributionConfig) {}))
	assert.Equal(t, capture.Attribution{Enabled: true, Timeout: time.Second, Sockets: []string{"/run/a"}},
		settings(func(c *AttributionConfig) { c.Timeout, c.Sockets = time.Second, []SocketPath{"/run/a"} }))
	assert.Equal(t, capture.Attribution{}, settings(func(c *AttributionConfig) { c.Enabled = false }))
}
