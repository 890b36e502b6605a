// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package pulse

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/auditkill/auditkillreceiver/internal/rhythm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBetween(t *testing.T) {
	t.Parallel()
	began := time.Unix(1e9, 0)
	for name, tt := range map[string]struct {
		passed time.Duration
		found  bool
	}{
		"on time":    {interval, false},
		"at once":    {0, false},
		"held up":    {4 * time.Second, false},
		"stopped":    {least, true},
		"for long":   {time.Hour, true},
		"clock back": {-time.Hour, false}, // only without a monotonic clock
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gap, found := between(began, began.Add(tt.passed))
			assert.Equal(t, tt.found, found)
			if found {
				assert.Equal(t, Gap{Began: began, Duration: tt.passed}, gap)
			}
		})
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stopped atomic.Int64 // for how long, in all
		now := func() time.Time { return time.Now().Add(time.Duration(stopped.Load())) }
		var gaps []Gap
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		time.Sleep(rhythm.Next(interval))
		began := time.Now()
		go func() {
			defer close(done)
			watch(ctx, now, func(g Gap) { gaps = append(gaps, g) })
		}()
		time.Sleep(3*interval + interval/2)
		stopped.Add(int64(time.Minute))
		time.Sleep(10 * interval)
		stopped.Add(int64(time.Second)) // which is short
		time.Sleep(interval)
		cancel()
		<-done
		assert.Equal(t, []Gap{{Began: began.Add(3 * interval).Round(0), Duration: time.Minute + interval}}, gaps)
	})
}
