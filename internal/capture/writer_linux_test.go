// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWrites(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "audit.log")
	assert.False(t, writes(os.Getpid(), log), "no such file")
	file, err := os.Create(log)
	require.NoError(t, err)
	assert.True(t, writes(os.Getpid(), log))
	link := log + ".link"
	require.NoError(t, os.Symlink(log, link))
	assert.True(t, writes(os.Getpid(), link))
	require.NoError(t, file.Close())
	assert.False(t, writes(os.Getpid(), log), "not any more")
	assert.False(t, writes(0, log), "no daemon")
	assert.False(t, writes(1<<30, log), "no such process")
	assert.True(t, anyDaemon(0))
	assert.True(t, someDaemon(7))
	assert.False(t, someDaemon(0))
}
