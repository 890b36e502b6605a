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
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(Next(2 * time.Second))
		assert.Equal(t, 2*time.Second, Next(2*time.Second))
		assert.Equal(t, time.Second, Next(time.Second), "a multiple of both")
		time.Sleep(300 * time.Millisecond)
		assert.Equal(t, 1700*time.Millisecond, Next(2*time.Second))
		assert.Equal(t, 700*time.Millisecond, Next(time.Second))
		time.Sleep(700 * time.Millisecond)
		assert.Equal(t, time.Second, Next(2*time.Second))
	})
}

// Whenever they have begun, all do it at the same moments.
func TestEvery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var often, seldom []time.Time
		time.Sleep(Next(2*time.Second) + 100*time.Millisecond)
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
		time.Sleep(Next(time.Second))
		began := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			Every(ctx, time.Second, func() {
				at = append(at, time.Since(began))
				time.Sleep(1500 * time.Millisecond)
			})
		}()
		time.Sleep(5 * time.Second)
		cancel()
		<-done
		assert.Equal(t, []time.Duration{time.Second, 3 * time.Second}, at[:2])
	})
}
