// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What another program has opened is but that, though it has a name beside others: as of
// /dev/stdin.
func TestReportOfAnOpenFile(t *testing.T) {
	t.Parallel()
	directory := rotated(t)
	seed, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	path := filepath.Join(directory, "audit.log")
	require.NoError(t, os.WriteFile(path, seed, 0o600))
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	link := filepath.Join(t.TempDir(), "stdin")
	require.NoError(t, os.Symlink(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), link))
	for range 2 {
		out, errs, code := runReport(t, nil, link)
		assert.Equal(t, exitFound, code)
		assert.Equal(t, 2, strings.Count(out, "\n"), out)
		assert.Empty(t, errs)
		_ = os.Remove(path) // what is open can be read all the same
	}
}
