// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package harness is what all end-to-end tests stand on: the start of a test program, files of
// this repository, programs that run beside a test, ports, and waiting.
package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// RoleVariable names the part that a test binary plays instead of running its tests.
const RoleVariable = "AUDITKILL_E2E_ROLE"

// Roles are the parts that this program can play for a test.
var Roles = map[string]func(){}

// Main runs the tests of a package, unless the program is to play a part.
func Main(m *testing.M) {
	if role := Roles[os.Getenv(RoleVariable)]; role != nil {
		role()
		return
	}
	if _, err := os.Stat(Distribution()); err != nil {
		path, _ := filepath.Abs(Distribution())
		fmt.Fprintf(os.Stderr, "%s is missing: run `make otelcol` first\n", path)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
