// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
)

func TestSocketName(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]struct {
		text string
		any  uint32
	}{
		"/run/docker.sock":       {"/run/docker.sock", 0},
		"/run/user/*/bus":        {"/run/user//bus", 1},
		"/run/supervisor.sock.*": {"/run/supervisor.sock.", 1},
	} {
		name := socketName(path)
		assert.Equal(t, want.text, string(trimCommand(name.Path[:])))
		assert.Equal(t, want.any, name.Any)
	}
}

func TestSocketLengths(t *testing.T) {
	t.Parallel()
	assert.Equal(t, [2]uint64{1<<5 | 1<<7, 0}, socketLengths([]string{"/12345"[:5], "/123456"}))
	assert.Equal(t, [2]uint64{1<<12 - 1<<2, 0}, socketLengths([]string{"/*"}), "a number of up to ten digits")
	long := make([]byte, 100)
	long[99] = '*'
	assert.Equal(t, [2]uint64{0, 1<<44 - 1<<36}, socketLengths([]string{string(long)}), "no path is longer")
}

// The filter before the exact comparison is of use.
func TestSocketBeginnings(t *testing.T) {
	t.Parallel()
	set, bits := socketBeginnings(attribution.Sockets()), 0
	for _, word := range set {
		for ; word != 0; word &= word - 1 {
			bits++
		}
	}
	assert.Less(t, bits, 24)
	assert.NotZero(t, bits)
	assert.Equal(t, [2]uint64{^uint64(0), ^uint64(0)}, socketBeginnings([]string{"/run/a.sock.*"}), "the number is compared, too")
	assert.Equal(t, socketBeginnings([]string{"/run/user/*/a"}), socketBeginnings([]string{"/run/user/*/b", "/run/user/*"}))
}

// mayEnd is what the kernel's program does (kernel/request.h, may_end).
func mayEnd(path string, set [2]uint64, inDigit bool) bool {
	last := binary.LittleEndian.Uint64([]byte(path[len(path)-8:]))
	switch final := path[len(path)-1]; {
	case '0' <= final && final <= '9':
		return inDigit
	case strings.HasPrefix(path, "/run/use"):
		last >>= 32
	}
	var hash [2]uint64
	addHash(&hash, last)
	return hash[0]&set[0]|hash[1]&set[1] != 0
}

// The filter passes every path that a listed one stands for, and few others.
func TestSocketEnds(t *testing.T) {
	t.Parallel()
	own := append(attribution.Sockets(), "/run/user/*/x", "/run/users.socket", "/srv/manager/socket7")
	for name, paths := range map[string][]string{
		"usual": attribution.Sockets(), "with a short end": own, "one user's": {"/run/user/*/docker.sock"}, "a pid": {"/srv/folder/a.sock.*"},
		"a digit": {"/srv/manager/socket7"},
	} {
		set, inDigit := socketEnds(paths)
		for _, path := range paths {
			for _, number := range []string{"0", "7", "1000", "4294967295"} {
				if listed := strings.ReplaceAll(path, "*", number); len(listed) >= 16 {
					assert.True(t, mayEnd(listed, set, inDigit), "%s: %s", name, listed)
				}
			}
		}
	}
	set, inDigit := socketEnds([]string{"/srv/manager/listed", "/run/user/*/docker.sock"})
	assert.False(t, inDigit)
	for _, other := range []string{"/srv/manager/others", "/srv/manager/liste7", "/run/user/1000/wayland-0", "/run/user/1000/pulse/nat"} {
		assert.False(t, mayEnd(other, set, inDigit), other)
	}
	assert.True(t, mayEnd("/run/user/7/other.sock", set, inDigit), "its last bytes are the same")
	set, _ = socketEnds([]string{"/run/user/*/x"})
	assert.Equal(t, [2]uint64{^uint64(0), ^uint64(0)}, set, "the number is compared, too")
}

func TestSocketThatIsNone(t *testing.T) {
	t.Parallel()
	spec, err := loadKernel()
	require.NoError(t, err)
	require.NoError(t, specifySockets(spec, attribution.Sockets(), 1<<20))
	assert.ErrorContains(t, specifySockets(spec, []string{"docker.sock"}, 1<<20), `"docker.sock" has to be an absolute path`)
}
