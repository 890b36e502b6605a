// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/auditkill/auditkillreceiver/internal/machine"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // the golden files are the same everywhere
	thisMachine = func() machine.Machine {
		return machine.Machine{Name: "host", ID: "0123456789abcdef0123456789abcdef", OS: "linux"}
	}
	goleak.VerifyTestMain(m)
}
