// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// ErrNone is the error of a host without systemd.
var ErrNone = errNoSystemd

// Check reports why this process cannot listen to the host's systemd, and why it cannot read what logind writes
// down of logins; nil if it can. root is where the host's root directory is mounted; empty for /.
func Check(ctx context.Context, root string) (listen, sessions error) {
	of, err := openProcess(root, hostPID)
	if err != nil {
		return ErrNone, ErrNone
	}
	defer of.close()
	listen = newManager(New(Config{Root: root}), of).try(ctx)
	fd, sessions := of.open(sessionsPath, unix.S_IFDIR)
	if sessions == nil {
		sessions = unix.Close(fd)
	}
	return listen, sessions
}

// try connects, and does nothing with that.
func (m *manager) try(ctx context.Context) error {
	var all error
	for _, l := range m.links() {
		conn, err := m.dial(ctx, l.socket(), nil, nil)
		if err == nil {
			return conn.Close()
		}
		all = errors.Join(all, err)
	}
	return all
}
