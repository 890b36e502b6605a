// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package pluginsource

import (
	"os"

	"github.com/auditkill/auditkillreceiver/internal/privilege"
)

// ownPID is this process as the records name it; 0 if that is not known.
func ownPID() int {
	if privilege.InitialPIDNamespace() {
		return os.Getpid()
	}
	return 0
}
