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
		"audit.log.1.xz":                 1,
		"audit.log.2.zst":                2,
		"audit.log.xz":                   -1,
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
		require.Contains(t, []string{plain, plain + ".gz", plain + ".xz", plain + ".zst"}, candidate, "each number has one name")
	})
}

func TestRotationDate(t *testing.T) {
	t.Parallel()
	for candidate, want := range map[string]string{
		"audit.log-20261129":            "20261129",
		"audit.log-20261129.gz":         "20261129",
		"audit.log-20261129.xz":         "20261129",
		"audit.log-20261129.zst":        "20261129",
		"audit.log.20261129":            "20261129",
		"audit.log-2026-11-29":          "2026-11-29",
		"audit.log-20261129-13":         "20261129-13",
		"audit.log-2026112913":          "2026112913",
		"audit.log-20261129-1764374400": "20261129-1764374400",
		"audit.log":                     "",
		"audit.log.1":                   "",
		"audit.log.99999":               "",
		"audit.log-20261129.bz2":        "",
		"audit.log-20261129.gz.tmp":     "",
		"audit.log-old":                 "",
		"audit.log20261129":             "",
		"other.log-20261129":            "",
	} {
		t.Run(candidate, func(t *testing.T) {
			t.Parallel()
			date, ok := rotationDate(candidate, "audit.log")
			assert.Equal(t, want, date)
			assert.Equal(t, want != "", ok)
			_, numbered := rotationNumber(candidate, "audit.log")
			assert.Equal(t, ok || numbered, Belongs(candidate, "audit.log"))
		})
	}
}

// The order is that of the names and, where those of two kinds meet, that of the times in the files.
func TestListOrder(t *testing.T) {
	t.Parallel()
	record := func(second int) string {
		return fmt.Sprintf("type=CWD msg=audit(170000%04d.000:%d): cwd=\"/\"\n", second, second)
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"numbers": {
			map[string]string{"a": "", "a.1": "", "a.10": "", "a.2.gz": ""}, []string{"a.10", "a.2.gz", "a.1", "a"},
		},
		"dates": {
			map[string]string{"a": "", "a-20261129": "", "a-20251231.xz": "", "a-20261128.zst": ""},
			[]string{"a-20251231.xz", "a-20261128.zst", "a-20261129", "a"},
		},
		"both": {
			map[string]string{"a": record(50), "a-20261128": record(20), "a.2": record(10), "a.1": record(40), "a-20261129": record(30)},
			[]string{"a.2", "a-20261128", "a-20261129", "a.1", "a"},
		},
		"both, some empty": {
			map[string]string{"a": "", "a-20261128": "", "a-20261129": record(20), "a.1": record(10), "a.2": ""},
			[]string{"a-20261128", "a.2", "a.1", "a-20261129", "a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			for file, text := range tt.files {
				require.NoError(t, os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600))
			}
			entries, err := List(filepath.Join(folder, "a"))
			require.NoError(t, err)
			var got []string
			for _, e := range entries {
				got = append(got, filepath.Base(e.Path))
			}
			assert.Equal(t, tt.want, got)
		})
	}
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
