// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package lazyregexp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNew(t *testing.T) {
	t.Parallel()
	digits := New(`^\d+$`)
	first := digits()
	assert.True(t, first.MatchString("3936"))
	assert.Same(t, first, digits(), "it is compiled once")
	broken := New(`(`)
	assert.Panics(t, func() { broken() })
}
