// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"testing"
)

// Skip skips a test loudly: go test shows the reason of a skip only with -v.
func Skip(t *testing.T, format string, arguments ...any) {
	t.Helper()
	reason := fmt.Sprintf(format, arguments...)
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", t.Name(), reason)
	t.Skip(reason)
}

// Missing skips a test because a package or a right is missing. In CI it fails the test.
func Missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	Skip(t, "%s", what)
}

// NeedRoot skips a test that needs root. In CI it fails the test.
func NeedRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "only root may do what this test does; run it with sudo")
	}
}

// NobodyID is the id of the unprivileged user nobody.
const NobodyID = 65534
