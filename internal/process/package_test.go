// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// idleKey is the environment variable that makes this program wait for the end
// of its input: tests start it as a process whose name they choose.
const idleKey = "AUDITKILL_TEST_IDLE"

func TestMain(m *testing.M) {
	if os.Getenv(idleKey) != "" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	goleak.VerifyTestMain(m)
}
