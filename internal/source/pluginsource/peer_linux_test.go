// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package pluginsource

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
)

// Any user who may create files where the socket should be can listen there, and send records of his own making.
func TestStartWhereAnotherUserListens(t *testing.T) {
	t.Parallel()
	audittest.Root(t, "listen as another user")
	b := newBench(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Close(fd)) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: b.path}))
	var listening error
	asUser(65534, func() { listening = unix.Listen(fd, 1) })
	require.NoError(t, listening)
	require.EqualError(t, b.source.Start(t.Context()), fmt.Sprintf(
		"process %d of user 65534 listens on the socket %s, not auditd, which runs as root; use a path in a directory that only "+
			"root may write to, in args in /etc/audit/plugins.d/af_unix.conf and here", os.Getpid(), b.path))
}

// asUser does something as a user, on a thread that ends with it.
func asUser(uid int, do func()) {
	onThread(func() {
		_, _, _ = unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
		do()
	})
}
