// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package panics

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func fail(g *Guard, reason any) (done bool) {
	defer g.Contain("working on an event")
	if reason != nil {
		panic(reason)
	}
	return true
}

func TestContain(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.ErrorLevel)
	g := NewGuard(zap.New(core))
	assert.True(t, fail(g, nil))
	assert.Zero(t, g.Count())
	for range 3 {
		assert.False(t, fail(g, errors.New("broken")))
	}
	assert.EqualValues(t, 3, g.Count())
	require.Equal(t, 1, logs.Len(), "once in a while")
	fields := logs.All()[0].ContextMap()
	assert.Equal(t, "broken", fields["panic"])
	assert.Contains(t, fields["stack"], "panics.fail", "the stack begins where it happened")
}

// Without a Guard a panic goes on, as in a test.
func TestNoGuard(t *testing.T) {
	t.Parallel()
	assert.PanicsWithValue(t, "broken", func() { fail(nil, "broken") })
	assert.True(t, fail(nil, nil))
}
