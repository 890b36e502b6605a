// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "30s": 30 * time.Second, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute,
		"1d": day, "0d": 0, "07d": 7 * day, "1d12h": 36 * time.Hour, "2d0.5s": 2*day + 500*time.Millisecond, "65535d": 65535 * day,
	} {
		var s span
		require.NoError(t, s.Set(text), text)
		assert.Equal(t, want, time.Duration(s), text)
	}
	assert.NotContains(t, newWatch().UsageString(), "(default 0", "until Ctrl-C is the default")
	for _, text := range []string{
		"", "10", "d", "-1s", "-1d", "1d-1h", "+1d", "1.5d", "1dd", "1h1d", "1d1", "day", "1day", "1 d", "65536d", "65535d2000000h",
		"forever",
	} {
		s := span(7)
		require.ErrorIs(t, s.Set(text), errNoSpan, text)
		assert.Equal(t, span(7), s, text)
	}
}
