// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReplace(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "a.html")
	write := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, failure := io.WriteString(w, text)
			return errors.Join(failure, err)
		}
	}
	require.NoError(t, Check(path))
	require.NoError(t, Replace(path, write("first", nil)))
	require.ErrorContains(t, Replace(path, write("second", errors.New("no"))), "cannot write "+path)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "first", string(text), "what was there is left")
	names, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, names, 1, "nothing is left behind")

	require.ErrorContains(t, Check(filepath.Join(folder, "missing", "a.html")), "does not exist")
	require.ErrorContains(t, Check(folder), "it is not a regular file")

	link := filepath.Join(folder, "link")
	require.NoError(t, os.Symlink("a.html", link))
	require.NoError(t, Replace(link, write("third", nil)))
	text, err = os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "third", string(text), "the file is replaced, not the link to it")
}
