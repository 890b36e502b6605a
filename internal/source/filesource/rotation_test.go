// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/logfile"
)

// TestFindAmongAlike finds a file although another one begins as it does.
func TestFindAmongAlike(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	for _, name := range []string{path + ".3", path + ".2", path + ".1", path} {
		require.NoError(t, os.WriteFile(name, []byte("one line\n"), 0o600))
	}
	entries, err := logfile.List(path)
	require.NoError(t, err)
	require.Len(t, entries, 4)
	for i, e := range entries {
		file, err := openLogFile(e, 0)
		require.NoError(t, err)
		assert.Equal(t, i, find(entries, file.identity()), "by its inode")
		id := file.identity()
		id.Inode++
		id.Device++
		assert.Equal(t, 0, find(entries, id), "the oldest, if there is no such inode")
		id.Sum++
		assert.Equal(t, -1, find(entries, id))
		assert.Equal(t, -1, find(entries, identity{}), "nothing is like no line")
		require.NoError(t, file.close())
	}
}
