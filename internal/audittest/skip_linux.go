// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package audittest

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// skipVariable is set to skip by make unit, which runs what any user can.
const skipVariable = "KERNEL_TESTS"

// Skip says why, also to those who do not ask for details.
func Skip(tb testing.TB, format string, args ...any) {
	tb.Helper()
	reason := fmt.Sprintf(format, args...)
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", tb.Name(), reason)
	tb.Skip(reason)
}

// Privileged skips a test that takes more rights than any user has if such tests
// are not wanted, so that make unit does the same as root and as another user.
func Privileged(tb testing.TB) {
	tb.Helper()
	if os.Getenv(skipVariable) == "skip" {
		Skip(tb, "it takes root and the kernel, and %s=skip leaves such tests out; make test runs them", skipVariable)
	}
}

// Root skips a test that only root can run, but not in CI. The reason completes
// "only root may".
func Root(tb testing.TB, reason string) {
	tb.Helper()
	Privileged(tb)
	if os.Geteuid() != 0 {
		require.NotEqual(tb, "true", os.Getenv("CI"), "in CI the tests run as root")
		Skip(tb, "only root may %s; run the tests with sudo", reason)
	}
}
