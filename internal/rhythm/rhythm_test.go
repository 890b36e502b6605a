// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package rhythm

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNext(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ since, interval, want time.Duration }{
		"at one":              {0, time.Second, time.Second},
		"after one":           {300 * time.Millisecond, time.Second, 700 * time.Millisecond},
		"of a longer one":     {time.Second, 2 * time.Second, time.Second},
		"a little before one": {999 * time.Millisecond, time.Second, 1001 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(tt.since) // the clock of a bubble begins at midnight
				assert.Equal(t, tt.want, Next(tt.interval))
			})
		})
	}
}

// Whenever they have begun, all do it at the same moments.
func TestEvery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var often, seldom []time.Time
		time.Sleep(100 * time.Millisecond)
		go Every(ctx, time.Second, func() { often = append(often, time.Now()) })
		time.Sleep(350 * time.Millisecond)
		go Every(ctx, 2*time.Second, func() { seldom = append(seldom, time.Now()) })
		time.Sleep(4 * time.Second)
		cancel()
		synctest.Wait()
		assert.Len(t, often, 4)
		assert.Equal(t, []time.Time{often[1], often[3]}, seldom)
	})
}

// What takes longer than its interval is not called twice at once.
func TestEverySkips(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var at []time.Duration
		began := time.Now()
		go Every(ctx, time.Second, func() {
			at = append(at, time.Since(began))
			time.Sleep(1500 * time.Millisecond)
		})
		time.Sleep(5 * time.Second)
		cancel()
		time.Sleep(2 * time.Second) // until the last one has ended
		assert.Equal(t, []time.Duration{time.Second, 3 * time.Second}, at[:2])
	})
}
