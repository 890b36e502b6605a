// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package pluginsource

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/problem"
)

func TestStartFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(t *testing.T, path string)
		is      error
		says    string
	}{
		"no socket": {
			func(*testing.T, string) {}, syscall.ENOENT,
			"the socket PATH does not exist: auditd is not running, or its af_unix plugin is not active: no such file or directory; " +
				"set `active = yes` and `args = 0640 PATH` in /etc/audit/plugins.d/af_unix.conf and run `service auditd reload`",
		},
		"left behind": {func(t *testing.T, path string) {
			t.Helper()
			listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
			require.NoError(t, err)
			listener.SetUnlinkOnClose(false)
			require.NoError(t, listener.Close())
		}, syscall.ECONNREFUSED, "no process listens on the socket PATH: connection refused; start auditd"},
		"a file": {
			func(t *testing.T, path string) {
				t.Helper()
				require.NoError(t, os.WriteFile(path, nil, 0o600))
			},
			nil, "PATH is not a socket; use the path that args has in /etc/audit/plugins.d/af_unix.conf",
		},
		"a directory": {
			func(t *testing.T, path string) {
				t.Helper()
				require.NoError(t, os.Mkdir(path, 0o700))
			},
			nil, "PATH is not a socket; use the path that args has in /etc/audit/plugins.d/af_unix.conf",
		},
		"another type of socket": {func(t *testing.T, path string) {
			t.Helper()
			conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, conn.Close()) })
		}, syscall.EPROTOTYPE, "connecting to auditd's af_unix plugin: dial unix PATH: connect: protocol wrong type for socket"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			test.prepare(t, b.path)
			err := b.source.Start(t.Context())
			require.NoError(t, b.source.Close())
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
			require.EqualError(t, err, strings.ReplaceAll(test.says, "PATH", b.path))
		})
	}
}

func TestStartWithoutRight(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	require.NoError(t, os.Chmod(filepath.Dir(b.path), 0o755)) // another user has to get there
	b.listen()
	require.NoError(t, os.Chmod(b.path, 0o440)) // as args = 0440 does
	var err error
	asNobody(func() { err = b.source.Start(t.Context()) })
	require.ErrorIs(t, err, syscall.EACCES)
	require.EqualError(t, err, "connecting to the socket "+b.path+" needs the right to write to it: permission denied; "+
		"run as root, or set args to a mode such as 0660 in /etc/audit/plugins.d/af_unix.conf "+
		"and to a path in a directory that has the group of this user and the set-group-ID bit")
	var p *problem.Problem
	assert.ErrorAs(t, err, &p)
}

// asNobody does something without root's rights on files, on a thread that ends with it.
func asNobody(do func()) {
	onThread(func() {
		dropFileRights()
		do()
	})
}

// onThread does something on a thread of its own.
func onThread(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		do()
	}()
	<-done
}
