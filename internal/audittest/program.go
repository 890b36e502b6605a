// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package audittest

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// WriteProgram writes a program that everybody may run. No process is started meanwhile: it would have the file open for writing
// until it runs another program, and the kernel refuses to run such a file (ETXTBSY, go.dev/issue/22315).
func WriteProgram(tb testing.TB, path string, content []byte) {
	tb.Helper()
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, content, 0o755) //nolint:gosec // everybody may run it
	syscall.ForkLock.RUnlock()
	require.NoError(tb, err)
}
