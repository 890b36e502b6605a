// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/auditkill/auditkillreceiver/internal/stub"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// A live source goes on while the next consumer is slow, but not far ahead.
func TestDeliverAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		taken := make(chan struct{})
		next := &stub.Logs{Answer: func(context.Context, int, plog.Logs) error {
			<-taken
			return nil
		}}
		f := newFixture(t, next, ahead)
		go f.Run()
		delivered := 0
		go func() {
			for pid := 1; pid <= 3; pid++ {
				assert.NoError(t, f.deliver([]*kill.Event{signal(pid)}))
				delivered++
			}
			f.Close()
		}()
		synctest.Wait()
		assert.Equal(t, 1, delivered, "the second waits until the first was taken")
		assert.False(t, f.Settled())
		assert.Equal(t, [][]int{{1}}, next.Targets())
		close(taken)
		synctest.Wait()
		assert.Equal(t, 3, delivered)
		assert.Equal(t, [][]int{{1}, {2}, {3}}, next.Targets())
		assert.True(t, f.Settled())
	})
}

// What is ahead at shutdown is delivered, unless the consumer does not take it.
func TestDeliverAheadAtShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next := stub.Answering(errNotNow)
		f := newFixture(t, next, ahead)
		go f.Run()
		require.NoError(t, f.deliver([]*kill.Event{signal(1)}))
		second := make(chan error, 1)
		go func() { second <- f.deliver([]*kill.Event{signal(2)}) }()
		synctest.Wait()
		assert.Empty(t, second, "the first is retried for ever")
		f.stop()
		require.NoError(t, <-second)
		f.Close()
		synctest.Wait()
		shown := next.Targets()
		assert.Equal(t, []int{2}, shown[len(shown)-1], "tried once")
		assert.False(t, f.Settled(), "they were not delivered")
	})
}

func TestDeliverAheadIsInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, stub.Answering(nil), ahead) // and Run is not called
		f.interrupt()
		require.ErrorIs(t, f.deliver([]*kill.Event{signal(1)}), errStopping)
	})
}
