// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAims(t *testing.T) {
	t.Parallel()
	var a aims
	var text strings.Builder
	require.NoError(t, a.write(&text))
	assert.Empty(t, text.String())
	a.atMost("p99, ms", 6.6, 10)
	a.atMost("idle, % of a processor", 0.13, 0.05)
	a.atLeast("signals a second", 41_455, 200_000)
	a.atLeast("signals told of a million", 1e6, 1e6)
	require.NoError(t, a.write(&text))
	assert.Equal(t, `
| aim                       | asked for        | measured |         |
|---                        |--:               |--:       |---      |
| p99, ms                   | at most 10       | 6.6      | reached |
| idle, % of a processor    | at most 0.05     | 0.13     | MISSED  |
| signals a second          | at least 200000  | 41455    | MISSED  |
| signals told of a million | at least 1000000 | 1000000  | reached |
`, text.String())
}
