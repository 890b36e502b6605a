// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package pluginsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// configFile is where auditd's plugin is configured.
const configFile = "/etc/audit/plugins.d/af_unix.conf"

// connect connects to the plugin's socket.
func connect(ctx context.Context, path string) (net.Conn, error) {
	// Without this check, connecting to a file of another type would be refused as if the
	// plugin had gone.
	info, err := os.Stat(path)
	if err != nil {
		return nil, explain(path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return nil, &problem.Problem{
			What: path + " is not a socket", Fix: "use the path that args has in " + configFile,
		}
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, explain(path, err)
	}
	if err := checkPeer(path, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// explain adds to an error of connecting what fixes it.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &problem.Problem{
			What: fmt.Sprintf("the socket %s does not exist: auditd is not running, or its af_unix plugin is not active", path),
			Err:  syscall.ENOENT,
			Fix: fmt.Sprintf("set `active = yes` and `args = 0640 %s` in %s and run `service auditd reload`",
				path, configFile),
		}
	case errors.Is(err, fs.ErrPermission):
		return &problem.Problem{
			What: fmt.Sprintf("connecting to the socket %s needs the right to write to it", path),
			Err:  syscall.EACCES,
			Fix: "run as root, or set args to a mode such as 0660 in " + configFile +
				" and to a path in a directory that has the group of this user and the set-group-ID bit",
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &problem.Problem{
			What: "no process listens on the socket " + path, Err: syscall.ECONNREFUSED, Fix: "start auditd",
		}
	case errors.Is(err, syscall.EAGAIN):
		return &problem.Problem{
			What: fmt.Sprintf("too many readers wait for the socket %s, which serves one", path), Err: syscall.EAGAIN,
			Fix: "stop the others",
		}
	}
	return fmt.Errorf("connecting to auditd's af_unix plugin: %w", err)
}
