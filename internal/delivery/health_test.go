// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/component/componentstatus"
)

// TestHealth has failures of the source and of the consumers at the same time.
func TestHealth(t *testing.T) {
	t.Parallel()

	const (
		ok      = componentstatus.StatusOK
		trouble = componentstatus.StatusRecoverableError
	)
	err := errors.New("trouble")
	tests := map[string]struct {
		happens func(*Health)
		want    []componentstatus.Status
	}{
		"nothing":   {func(h *Health) { h.Source(nil); h.Logs(nil) }, nil},
		"source":    {func(h *Health) { h.Source(err); h.Source(err); h.Source(nil); h.Source(nil) }, []componentstatus.Status{trouble, ok}},
		"delivery":  {func(h *Health) { h.Logs(err); h.Logs(nil); h.Logs(err) }, []componentstatus.Status{trouble, ok, trouble}},
		"both":      {func(h *Health) { h.Source(err); h.Logs(err); h.Source(nil) }, []componentstatus.Status{trouble}},
		"both pass": {func(h *Health) { h.Logs(err); h.Source(err); h.Logs(nil); h.Source(nil) }, []componentstatus.Status{trouble, ok}},
		"stopped":   {func(h *Health) { h.Source(err); h.Stop(); h.Source(nil); h.Logs(err) }, []componentstatus.Status{trouble}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []componentstatus.Status
			test.happens(&Health{report: func(event *componentstatus.Event) { got = append(got, event.Status()) }})
			assert.Equal(t, test.want, got)
		})
	}
}
