// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// roleVariable makes the test program play a role in one of its own tests.
const roleVariable = "AUDITRULES_TEST_ROLE"

var roles = make(map[string]func())

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		role()
		return
	}
	goleak.VerifyTestMain(m)
}
