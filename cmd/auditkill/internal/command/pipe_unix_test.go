// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package command

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func makePipe(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, unix.Mkfifo(path, 0o600))
}
