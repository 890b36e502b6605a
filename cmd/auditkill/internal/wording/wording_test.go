// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package wording

import (
	"errors"
	"fmt"
	"testing"

	"github.com/moby/sys/capability"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

func TestAllAdviceIsWorded(t *testing.T) {
	t.Parallel()
	for _, advice := range problem.AllAdvice() {
		words := Words{}.Advise(advice)
		assert.NotEmpty(t, words, advice)
		assert.NotContains(t, words, "::", "that is a key of the collector's configuration")
	}
}

func TestAllLossesAreWorded(t *testing.T) {
	t.Parallel()
	for _, loss := range source.AllLosses() {
		assert.Regexp(t, "%d", sum(loss), loss)
	}
}

func TestError(t *testing.T) {
	t.Parallel()
	lacking := &problem.Problem{Err: errors.New("loading: refused"), Lacking: []capability.Cap{capability.CAP_BPF}}
	for want, err := range map[string]error{
		"loading: refused: it lacks CAP_BPF":          lacking,
		"opening: loading: refused: it lacks CAP_BPF": fmt.Errorf("opening: %w", lacking),
		"one; loading: refused: it lacks CAP_BPF":     errors.Join(errors.New("one"), lacking),
		`a\x1b[31m color`:                             errors.New("a\x1b[31m color"),
		"no room; set a shorter --outcome-timeout, or name a --target": &problem.Problem{
			What: "no room", Advice: []problem.Advice{problem.WatchFewer},
		},
	} {
		require.EqualError(t, Error(err), want)
	}
	assert.NoError(t, Error(nil))
}
