// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Two signals of one thread never have the same time, whatever the clock says.
func TestMomentsDiffer(t *testing.T) {
	t.Parallel()
	var m moments
	base := time.Unix(1, 0)
	at := func(nanoseconds int) time.Time { return base.Add(time.Duration(nanoseconds)) }
	assert.Equal(t, at(5), m.unlike(7, at(5)))
	assert.Equal(t, at(6), m.unlike(7, at(5)), "the same again")
	assert.Equal(t, at(7), m.unlike(7, at(5)), "and again")
	assert.Equal(t, at(5), m.unlike(8, at(5)), "another thread")
	assert.Equal(t, at(8), m.unlike(7, at(3)), "a little before")
	assert.Equal(t, at(-5000), m.unlike(7, at(-5000)), "the clock was set")
	assert.Equal(t, at(9000), m.unlike(7, at(9000)))
}
