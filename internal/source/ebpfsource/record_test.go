// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhole(t *testing.T) {
	t.Parallel()
	raw := bytesOf(kills())
	r := whole[kernelSignalRecord](raw)
	require.NotNil(t, r)
	assert.EqualValues(t, 10, r.Sender.Identity.Pid)
	assert.NotNil(t, whole[kernelSignalRecord](append(raw, 1, 2, 3)), "more than enough")
	assert.Nil(t, whole[kernelSignalRecord](raw[:len(raw)-1]), "cut")
	assert.Nil(t, whole[kernelSignalRecord](append([]byte{0}, raw...)[1:]), "not where a processor expects a number")
	assert.Nil(t, whole[kernelExitRecord](nil))
}

func TestExecutable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ path, want string }{
		"a program":         {"sleep\x00bin\x00usr\x00", "/usr/bin/sleep"},
		"at the root":       {"init\x00", "/init"},
		"spaces and UTF-8":  {"mein Prögramm\x00opt\x00", "/opt/mein Prögramm"},
		"a line break":      {"a\nb\x00", "/a\nb"},
		"no path":           {"", ""},
		"a part was cut":    {"sleep\x00bi", "/bi/sleep"},
		"an empty part":     {"sleep\x00\x00usr\x00", "/usr//sleep"},
		"nothing but a NUL": {"\x00", "/"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, ok := viewExec(execs(30, tt.path, "sleep\x001000\x00"))
			require.True(t, ok)
			assert.Equal(t, tt.want, x.executable())
			assert.Equal(t, "sleep\x001000\x00", string(x.arguments))
		})
	}
}

func TestExecutableDeleted(t *testing.T) {
	t.Parallel()
	raw := execs(30, "sleep\x00bin\x00", "")
	x, ok := viewExec(raw)
	require.True(t, ok)
	x.Deleted = 1
	assert.Equal(t, "/bin/sleep (deleted)", x.executable())
	x.path = nil
	assert.Empty(t, x.executable(), "a path that is not known is not deleted")
}

func TestViewExecOfTooLittle(t *testing.T) {
	t.Parallel()
	raw := execs(30, "sleep\x00bin\x00", "sleep\x00")
	for length := range len(raw) {
		_, ok := viewExec(raw[:length])
		assert.False(t, ok, length)
	}
	_, ok := viewExec(raw)
	assert.True(t, ok)

	most := execs(30, strings.Repeat("p", 1024+256), strings.Repeat("a", 1024))
	x, ok := viewExec(most)
	require.True(t, ok)
	assert.Len(t, most, int(unsafe.Sizeof(kernelExecRecord{})), "as much as the kernel reports at most")
	assert.Len(t, x.arguments, 1024)
}

func TestViewCgroup(t *testing.T) {
	t.Parallel()
	raw := makes(5, "/system.slice/mysql.service\x00")
	r, path, ok := viewCgroup(raw)
	require.True(t, ok)
	assert.EqualValues(t, 5, r.Group.Id)
	assert.Equal(t, "/system.slice/mysql.service", string(path))
	for length := range len(raw) {
		_, _, ok = viewCgroup(raw[:length])
		assert.False(t, ok, length)
	}
	_, path, ok = viewCgroup(makes(5, ""))
	assert.True(t, ok)
	assert.Empty(t, path)
}

func TestTrim(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, command, title string }{
		"short":             {"sh\x00\x00\x00", "sh", "sh"},
		"full":              {"a-name-of-15-by", "a-name-of-15-by", "a-name-of-15-by"},
		"rest of a longer":  {"sh\x00ystemd", "sh", "sh\x00ystemd"},
		"arguments":         {"sh\x00-c\x00true\x00", "sh", "sh\x00-c\x00true"},
		"a line break":      {"a\nb\n", "a\nb\n", "a\nb"},
		"a delete":          {"a\x7f\x00", "a\x7f", "a"},
		"a space":           {"a ", "a ", "a "},
		"half a character":  {"a\xc3", "a\xc3", "a\xc3"},
		"nothing":           {"", "", ""},
		"nothing but zeros": {"\x00\x00", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.command, string(trimCommand([]byte(tt.text))))
			assert.Equal(t, tt.title, string(trimTitle([]byte(tt.text))))
		})
	}
}
