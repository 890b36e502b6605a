// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package pluginsource

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// checkPeer returns an error if the process that listens belongs neither to root, as auditd does, nor to the
// user of this process: whoever may create files where the socket should be could have it report what never
// happened. In a user namespace, where root may have no number, every listener passes.
// See SO_PEERCRED in unix(7).
func checkPeer(path string, conn net.Conn) error {
	if privilege.OtherUserNamespace() {
		return nil
	}
	peer, err := credentials(conn)
	if err != nil {
		return fmt.Errorf("asking who listens on the socket %s: %w", path, err)
	}
	if peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		return &problem.Problem{
			What: fmt.Sprintf("process %d of user %d listens on the socket %s, not auditd, which is root's", peer.Pid, peer.Uid, path),
			Fix:  "use a path in a directory that only root may write to, in args in " + configFile + " and here",
		}
	}
	return nil
}

// credentials returns whose process listened on the other end.
func credentials(conn net.Conn) (peer *unix.Ucred, err error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	failed := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return peer, errors.Join(failed, err)
}
