// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package demo is a fleet on one machine: five hosts with a systemd of their own, an agent on each, a gateway that joins incidents,
// and VictoriaLogs. `make demo` keeps it for a look at it; the test looks itself, with a browser.
package demo

import (
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
