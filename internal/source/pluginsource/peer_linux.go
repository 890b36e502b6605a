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

// checkPeer returns an error unless the process that listens runs as root, as auditd does, or as the user of this
// process. Otherwise anyone who may create files in the socket's directory could listen there, and report signals
// that nobody sent. Inside a user namespace, where root may have no uid, every listener passes.
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
			What: fmt.Sprintf("process %d of user %d listens on the socket %s, not auditd, which runs as root", peer.Pid, peer.Uid, path),
			Fix:  "use a path in a directory that only root may write to, in args in " + configFile + " and here",
		}
	}
	return nil
}

// credentials returns the pid and the user of the process that called listen(2) on the other end.
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
