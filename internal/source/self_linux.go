// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"os"

	"github.com/auditkill/auditkillreceiver/internal/privilege"
)

// OwnPID is this process as the records name it; 0 if that is not known.
func OwnPID() int {
	if privilege.InitialPIDNamespace() {
		return os.Getpid()
	}
	return 0
}
