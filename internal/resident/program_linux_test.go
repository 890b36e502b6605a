// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package resident

import (
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUnchanged(t *testing.T) {
	t.Parallel()
	const rest = "Size: 4 kB\nRss: 4 kB\nAnonymous: 0 kB\nVmFlags: rd mr\n"
	for name, test := range map[string]struct {
		smaps string
		want  []mapping
	}{
		"code and constants": {
			"00400000-01ab0000 r-xp 00000000 fe:01 77    /bin/program\n" + rest + "01ab0000-03555000 r--p 016b0000 fe:01 77    /bin/program\n" + rest,
			[]mapping{{0x400000, 0x1ab0000}, {0x1ab0000, 0x3555000}},
		},
		"data":           {"00400000-01ab0000 rw-p 00000000 fe:01 77    /bin/program\n" + rest, nil},
		"another file":   {"00400000-01ab0000 r-xp 00000000 fe:01 77    /lib/libc.so\n" + rest, nil},
		"another folder": {"00400000-01ab0000 r-xp 00000000 fe:01 77    /other/bin/program\n" + rest, nil},
		"relocated":      {"00400000-01ab0000 r--p 00000000 fe:01 77    /bin/program\n" + strings.Replace(rest, "Anonymous: 0", "Anonymous: 8", 1), nil},
		"no file":        {"00400000-01ab0000 r--p 00000000 00:00 0\n" + rest, nil},
		"the end of one that was cut": {
			"00400000-01ab0000 r-xp 00000000 fe:01 77    /bin/program\nRss: 4 kB\n02ab0000-03ab0000 r-xp 00000000 00:00 0    [vdso]\n" + rest, nil,
		},
		"nothing": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := unchanged(strings.NewReader(test.smaps), "/bin/program")
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestUnchangedErrors(t *testing.T) {
	t.Parallel()
	_, err := unchanged(strings.NewReader("40x000-01ab0000 r-xp 00000000 fe:01 77 /bin/program\n"), "/bin/program")
	require.ErrorContains(t, err, "40x000-01ab0000")
}

// TestReleaseProgram is not parallel: other tests would need pages meanwhile.
func TestReleaseProgram(t *testing.T) { //nolint:paralleltest // as above
	touchProgram(t)
	before := residentFiles(t)
	require.NoError(t, ReleaseProgram())
	after := residentFiles(t)
	t.Logf("%d kB of files, then %d", before, after)
	assert.Less(t, after, before)
}

// touchProgram reads all of the program's memory that could be released.
func touchProgram(t *testing.T) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	smaps, err := os.Open("/proc/self/smaps")
	require.NoError(t, err)
	mappings, err := unchanged(smaps, program)
	require.NoError(t, err)
	require.NoError(t, smaps.Close())
	require.NotEmpty(t, mappings)
	memory, err := os.Open("/proc/self/mem")
	require.NoError(t, err)
	for _, m := range mappings {
		_, err := io.Copy(io.Discard, io.NewSectionReader(memory, int64(m.start), int64(m.end-m.start)))
		require.NoError(t, err)
	}
	require.NoError(t, memory.Close())
}

func residentFiles(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	match := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, match)
	n, err := strconv.Atoi(string(match[1]))
	require.NoError(t, err)
	return n
}
