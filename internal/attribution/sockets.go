// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// userFolder is where users have their managers' sockets (file-hierarchy(7)).
const userFolder = "/run/user/"

// maxSocket is the length of the longest path of a socket (unix(7)), without its NUL.
const maxSocket = 107

// Sockets returns the paths under which managers bind their sockets. A * stands for a number. What is in
// /var/run may be bound by that name although it is the same folder as /run.
func Sockets() []string {
	return []string{
		// systemd: systemctl of root uses the first, everybody else the bus.
		"/run/systemd/private",
		"/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket",
		"/run/systemd/io.systemd.Manager",
		"/run/user/*/systemd/private", "/run/user/*/bus", "/run/user/*/systemd/io.systemd.Manager",

		"/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock",
		"/run/docker.sock", "/var/run/docker.sock", "/run/user/*/docker.sock",
		"/run/crio/crio.sock", "/var/run/crio/crio.sock",
		"/run/podman/podman.sock", "/run/user/*/podman/podman.sock",

		// supervisord binds its socket with its pid at the end, and makes a link to it afterwards.
		"/run/supervisor.sock", "/run/supervisor.sock.*",
		"/var/run/supervisor.sock", "/var/run/supervisor.sock.*",
		"/run/supervisord.sock", "/run/supervisord.sock.*",
		"/var/run/supervisord.sock", "/var/run/supervisord.sock.*",
		"/run/supervisor/supervisor.sock", "/run/supervisor/supervisor.sock.*",
		"/var/run/supervisor/supervisor.sock", "/var/run/supervisor/supervisor.sock.*",
		"/run/supervisord/supervisord.sock", "/run/supervisord/supervisord.sock.*",
		"/tmp/supervisor.sock", "/tmp/supervisor.sock.*", // as in supervisord's example
	}
}

// CheckSocket returns an error if a path is none that Sockets could return: the kernel compares it, which
// must take no time.
func CheckSocket(socket string) error {
	fixed := socket
	if rest, found := strings.CutPrefix(socket, userFolder+"*/"); found {
		fixed = userFolder + rest
	} else if rest, found := strings.CutSuffix(socket, "*"); found {
		fixed = rest
	}
	switch {
	case !path.IsAbs(socket):
		return errors.New("has to be an absolute path")
	case len(socket) > maxSocket:
		return fmt.Errorf("must have no more than %d bytes, as every path of a Unix socket", maxSocket)
	case strings.ContainsAny(fixed, "*\x00"):
		return fmt.Errorf("may have one *, which stands for a number: after %s or at the end", userFolder)
	}
	return nil
}
