// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package harness has what all end-to-end tests use: their main function, paths in this repository,
// processes that run beside a test, ports, and waiting.
package harness

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// RoleVariable is the environment variable that gives a test binary a role instead of running its tests.
const RoleVariable = "AUDITKILL_E2E_ROLE"

// Roles are the roles that the test binary can play for a test.
var Roles = map[string]func(){}

// Main runs the tests of a package, or plays the role that RoleVariable names.
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
	if signal.Ignored(syscall.SIGHUP) { // by nohup(1), and so by everything that the tests start
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	goleak.VerifyTestMain(m)
}
