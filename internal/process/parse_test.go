// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// statLine is a line as the kernel writes it.
func statLine(pid int, command, state string, parent, flags int, start uint64) string {
	return fmt.Sprintf("%d (%s) %s %d 1 1 0 -1 %d 3 0 0 0 0 216 0 0 20 0 1 0 %d 0 0 18446744073709551615 "+
		"0 0 0 0 0 0 0 2147483647 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n", pid, command, state, parent, flags, start)
}

func TestParseCgroups(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, want string }{
		"v2":                 {"0::/system.slice/cron.service\n", "/system.slice/cron.service"},
		"v2, root":           {"0::/\n", "/"},
		"v1":                 {"12:pids:/p\n4:memory:/m\n1:name=systemd:/s\n0::/\n", "/m"},
		"v1, without memory": {"12:pids:/p\n2:cpu,cpuacct:/c\n1:name=systemd:/s\n0::/\n", "/p"},
		"v1, systemd only":   {"2:cpu,cpuacct:/c\n1:name=systemd:/s\n", "/s"},
		"v1, together":       {"2:cpu,memory:/c\n1:pids:/p\n", "/c"},
		"v1, others only":    {"2:cpu,cpuacct:/c\n", ""},
		"v1, memory's root":  {"12:pids:/p\n4:memory:/\n0::/\n", "/p"},
		"roots":              {"12:pids:/\n4:memory:/\n0::/\n", "/"},
		"hybrid":             {"4:memory:/m\n0::/system.slice/cron.service\n", "/system.slice/cron.service"},
		"removed":            {"0::/system.slice/cron.service (deleted)\n", "/system.slice/cron.service"},
		"outside":            {"0::/../../system.slice/cron.service\n", "/system.slice/cron.service"},
		"above":              {"0::/..\n", "/"},
		"colons":             {"0::/a:b:c\n", "/a:b:c"},
		"dots":               {"0::/..a/b\n", "/..a/b"},
		"no end":             {"0::/a", "/a"},
		"no such process":    {"", ""},
		"nonsense":           {"what\nis:this\n\n::\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, parseCgroups([]byte(test.file)))
		})
	}
}

func TestCgroupIn(t *testing.T) {
	t.Parallel()
	data := []byte("12:pids:/p\n4:memory:/m (deleted)\n0::/../u\n")
	for hierarchy, want := range map[int]string{12: "/p", 4: "/m", 0: "/u"} {
		path, ok := cgroupIn(data, hierarchy)
		assert.True(t, ok)
		assert.Equal(t, want, path)
	}
	_, ok := cgroupIn(data, 1)
	assert.False(t, ok)
}

func FuzzParseCgroups(f *testing.F) {
	f.Add([]byte("12:pids:/p\n4:memory:/m (deleted)\n0::/../u\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := parseCgroups(data)
		assert.NotEqual(t, "/..", path)
		assert.False(t, strings.HasPrefix(path, "/../"), path)
		cgroupIn(data, 4)
	})
}

func TestParseHierarchies(t *testing.T) {
	t.Parallel()
	file := "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t1\t1\nmemory\t4\t21\t1\nnet_cls\t0\t1\t1\nx\tx\n\n"
	assert.Equal(t, map[string]int{"cpuset": 3, "memory": 4}, parseHierarchies([]byte(file)))
}

func FuzzParseHierarchies(f *testing.F) {
	f.Add([]byte("memory\t4\t21\t1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, number := range parseHierarchies(data) {
			assert.Positive(t, number)
		}
	})
}

func TestParseCursor(t *testing.T) {
	t.Parallel()
	cursor, ok := parseCursor([]byte("0.08 0.21 0.61 2/84 24979\n"))
	assert.True(t, ok)
	assert.Equal(t, 24979, cursor)
	for _, wrong := range []string{"", "0.08 0.21 0.61 2/84", "0.08 0.21 0.61 2/84 x", "0.08 0.21 0.61 2/84 -1"} {
		_, ok := parseCursor([]byte(wrong))
		assert.False(t, ok, wrong)
	}
}

func TestParseBirths(t *testing.T) {
	t.Parallel()
	births, ok := parseBirths([]byte("cpu  1 2\nintr 3 4\nctxt 5\nbtime 6\nprocesses 633204\nprocs_running 1\n"))
	assert.True(t, ok)
	assert.Equal(t, 633204, births)
	for _, wrong := range []string{"", "cpu 1\n", "cpu 1\nprocesses \n", "cpu 1\nprocesses -5\n", "cpu 1\nprocesses x"} {
		_, ok := parseBirths([]byte(wrong))
		assert.False(t, ok, wrong)
	}
}

func FuzzParseSmallFiles(f *testing.F) {
	f.Add([]byte("0.08 0.21 0.61 2/84 24979\n"))
	f.Add([]byte("cpu  1 2\nprocesses 633204\n"))
	f.Add([]byte("Name:\tx\nUid:\t102\t103\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if cursor, ok := parseCursor(data); ok {
			assert.Positive(t, cursor)
		}
		if births, ok := parseBirths(data); ok {
			assert.Positive(t, births)
		}
		parseStatus(data, "Uid")
		parseID(string(data))
		assert.LessOrEqual(t, len(trimCommandLine(string(data))), len(data))
	})
}

func TestParseStatus(t *testing.T) {
	t.Parallel()
	file := []byte("Name:\ta\\nUid:\\t0\nUmask:\t0022\nTgid:\t7\nUid:\t102\t103\t104\t105\nNSpid:\t27826\t1\n")
	assert.Equal(t, []string{"102", "103", "104", "105"}, parseStatus(file, "Uid"))
	assert.Equal(t, []string{"27826", "1"}, parseStatus(file, "NSpid"))
	assert.Empty(t, parseStatus(file, "Gid"))
}

func TestParseID(t *testing.T) {
	t.Parallel()
	assert.Equal(t, kill.NewID(1000), parseID("1000"))
	assert.Equal(t, kill.ID{Value: 4294967295}, parseID("4294967295\n"), "unset")
	for _, wrong := range []string{"", "x", "-1", "4294967296"} {
		assert.Equal(t, kill.ID{}, parseID(wrong), wrong)
	}
}

func TestTrimCommandLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                          "",
		"\x00\x00":                  "",
		"sleep\x00100\x00":          "sleep\x00100\x00",
		"nginx: master process":     "nginx: master process",
		"sshd: ann\x00\x00\x00":     "sshd: ann\x00",
		"empty\x00\x00argument\x00": "empty\x00\x00argument\x00",
	} {
		assert.Equal(t, want, trimCommandLine(in))
	}
	assert.Len(t, trimCommandLine(strings.Repeat("x", 2*maxCommandLine)), maxCommandLine)
}
