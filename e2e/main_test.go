// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

const (
	// distribution is the program under test.
	distribution = "../_build/otelcol-auditkill"
	// roleVariable makes this program play another part than that of the tests.
	roleVariable = "AUDITKILL_E2E_ROLE"
)

// roles are the parts that this program can play for a test.
var roles = map[string]func(){}

// skip skips a test loudly: without -v, go test keeps its reason to itself.
func skip(t *testing.T, format string, arguments ...any) {
	t.Helper()
	reason := fmt.Sprintf(format, arguments...)
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", t.Name(), reason)
	t.Skip(reason)
}

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		role()
		return
	}
	if _, err := os.Stat(distribution); err != nil {
		path, _ := filepath.Abs(distribution)
		fmt.Fprintf(os.Stderr, "%s is missing: run `make otelcol` first\n", path)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
