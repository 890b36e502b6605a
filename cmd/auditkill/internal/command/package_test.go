// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // the golden files are the same everywhere
	goleak.VerifyTestMain(m)
}
