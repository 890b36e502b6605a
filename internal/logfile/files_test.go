// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRotationNumber(t *testing.T) {
	t.Parallel()
	for candidate, want := range map[string]int{
		"audit.log":                      0,
		"audit.log.1":                    1,
		"audit.log.1.gz":                 1,
		"audit.log.10":                   10,
		"audit.log.999.gz":               999,
		"audit.log.99999":                99_999,
		"audit.log.gz":                   -1,
		"audit.log.0":                    -1,
		"audit.log.01":                   -1,
		"audit.log.-1":                   -1,
		"audit.log.+1":                   -1,
		"audit.log. 1":                   -1,
		"audit.log.1 ":                   -1,
		"audit.log.1.gz.gz":              -1,
		"audit.log.1.2":                  -1,
		"audit.log.1.bz2":                -1,
		"audit.log.":                     -1,
		"audit.log..gz":                  -1,
		"audit.log1":                     -1,
		"audit.log-20260101":             -1,
		"audit.log.20260101":             -1,
		"audit.log.100000":               -1,
		"audit.log.99999999999999999999": -1,
		"xaudit.log.1":                   -1,
		"audit":                          -1,
		"":                               -1,
	} {
		t.Run(candidate, func(t *testing.T) {
			t.Parallel()
			number, ok := rotationNumber(candidate, "audit.log")
			assert.Equal(t, want >= 0, ok)
			assert.Equal(t, max(0, want), number)
		})
	}
}

func FuzzRotationNumber(f *testing.F) {
	for _, seed := range []string{"audit.log", "audit.log.1", "audit.log.10.gz", "audit.log.+1", "audit.log.01", "x"} {
		f.Add(seed, "audit.log")
	}
	f.Add("", "")
	f.Add(".1", "")
	f.Fuzz(func(t *testing.T, candidate, name string) {
		number, ok := rotationNumber(candidate, name)
		if !ok {
			require.Zero(t, number)
			return
		}
		plain := fmt.Sprintf("%s.%d", name, number)
		if number == 0 {
			plain = name
			require.Equal(t, name, candidate)
		}
		require.Contains(t, []string{plain, plain + ".gz"}, candidate, "each number has one name")
	})
}

func TestResolve(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	require.NoError(t, os.Mkdir(in("sub"), 0o700))
	require.NoError(t, os.Symlink("sub/second", in("first")))
	require.NoError(t, os.Symlink("../real", in("sub/second")))
	require.NoError(t, os.Symlink(in("real"), in("absolute")))
	require.NoError(t, os.Symlink("loop", in("loop")))
	for link, want := range map[string]string{
		"real": "real", "first": "real", "absolute": "real", "loop": "loop", "sub/nothing": "sub/nothing",
	} {
		assert.Equal(t, in(want), Resolve(in(link)), link)
	}
}

func TestListOfNothing(t *testing.T) {
	t.Parallel()
	entries, err := List(filepath.Join(t.TempDir(), "missing", "audit.log"))
	require.NoError(t, err)
	assert.Empty(t, entries)
}
