// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"testing"
)

// Skip skips a test loudly: without -v, go test keeps its reason to itself.
func Skip(t *testing.T, format string, arguments ...any) {
	t.Helper()
	reason := fmt.Sprintf(format, arguments...)
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", t.Name(), reason)
	t.Skip(reason)
}

// Missing skips a test for the lack of a package or a right, which is no excuse in CI.
func Missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	Skip(t, "%s", what)
}

// NeedRoot skips a test that takes root, which CI has to be.
func NeedRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "only root may do what this test does; run it with sudo")
	}
}

// NobodyID is a user without rights.
const NobodyID = 65534
