// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"strconv"
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

// bootsVariable says how often the machine is turned on for the test.
const bootsVariable = "AUDITKILL_E2E_BOOTS"

// NeedMachine skips a test of what cannot be taken back before the next boot, or takes
// so many, on a machine that others use as well. The tests of e2e/kernels have one.
func NeedMachine(t *testing.T, boots int) {
	t.Helper()
	switch os.Getenv(bootsVariable) {
	case strconv.Itoa(boots):
	case "":
		Skip(t, "it takes a machine of its own: make test-kernels")
	default:
		t.Fatalf("it takes a machine that is turned on %d times: correct the scenes in e2e/kernels/suite.go", boots)
	}
}

// NobodyID is the id of the unprivileged user nobody.
const NobodyID = 65534
