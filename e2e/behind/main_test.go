// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
