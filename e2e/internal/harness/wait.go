// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Patience is how long to wait for what takes a moment on an idle machine: others may be slow.
const Patience = 90 * time.Second

// Eventually waits for a condition.
func Eventually(t *testing.T, condition func() bool, what string, details ...any) {
	t.Helper()
	require.Eventually(t, condition, Patience, 20*time.Millisecond, append([]any{what}, details...)...)
}

// Until repeats an action until a condition holds. The action may end the test. A condition of
// Eventually must not, because testify evaluates it in a goroutine of its own.
func Until(t *testing.T, condition func() bool, do func(), what string) {
	t.Helper()
	for begin := time.Now(); !condition(); time.Sleep(20 * time.Millisecond) {
		require.Less(t, time.Since(begin), Patience, what)
		do()
	}
}
