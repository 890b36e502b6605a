// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// inNamespaces runs a process in a mount namespace of its own or, with more flags, in others besides.
func inNamespaces(more uintptr) *syscall.SysProcAttr {
	same := []syscall.SysProcIDMap{{Size: 1}}
	if more&syscall.CLONE_NEWUSER == 0 {
		return &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Cloneflags: more}
	}
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | more, UidMappings: same, GidMappings: same}
}

// A path or a user is the host's only if the process sees the host's files.
func TestWhoseNames(t *testing.T) {
	w := start(t, nil)
	sleep, err := filepath.EvalSymlinks("/bin/sleep")
	require.NoError(t, err)
	host, other := kill.WhoseHost, kill.WhoseOther
	for name, test := range map[string]struct {
		attributes     *syscall.SysProcAttr
		script         string
		path           string
		users, program kill.Whose
	}{
		"of the host": {script: `exec sleep 1000`, path: sleep, users: host, program: host},
		"a service": {
			attributes: inNamespaces(0), script: `mount -t tmpfs x /tmp; exec sleep 1000`, path: sleep, users: host, program: host,
		},
		"a user namespace": {
			attributes: inNamespaces(syscall.CLONE_NEWUSER), script: `exec sleep 1000`, path: sleep, users: host, program: host,
		},
		"a forged program": {
			attributes: inNamespaces(syscall.CLONE_NEWUSER), path: sleep, users: host, program: other,
			script: `mount --bind "$1" SLEEP; exec SLEEP`,
		},
		"forged users": {
			attributes: inNamespaces(syscall.CLONE_NEWUSER), path: sleep, users: other, program: host,
			script: `mount --bind "$1" /etc/passwd; exec sleep 1000`,
		},
		"a chroot": {script: `exec chroot "$(dirname "$1")" "/$(basename "$1")"`, path: "/program", users: other, program: other},
	} {
		t.Run(name, func(t *testing.T) {
			c := command("/bin/sh", "-e", "-c", strings.ReplaceAll(test.script, "SLEEP", sleep), "sh", program64(t, pause))
			c.SysProcAttr = test.attributes
			target := run(t, c)
			awaitCommand(t, target, filepath.Base(test.path))
			w.fence(t) // so that it still lives when its exec is read
			_, errno := w.fencing.send(order{call: "kill", pid: target, signal: int(kill.SIGTERM)})
			require.Zero(t, errno)
			p := w.find(t, to(target, kill.SIGTERM)).Targets[0]
			assert.Equal(t, test.path, p.Executable)
			assert.Equal(t, test.users, p.Home.Users, "users")
			assert.Equal(t, test.program, p.Home.Program, "program")
		})
	}
}

// Who forges a path cannot be too quick to be seen.
func TestForgedPathOfABriefLife(t *testing.T) {
	w := start(t, nil)
	sleep, err := filepath.EvalSymlinks("/bin/sleep")
	require.NoError(t, err)
	times := 20
	if testing.Short() {
		times = 5
	}
	for range times {
		target := sleeper(t)
		c := exec.Command("/bin/sh", "-e", "-c", `mount --bind "$1" "$0"; exec "$0"`, sleep, program64(t, kill64(target, kill.SIGKILL))) //nolint:gosec // the test's own
		c.SysProcAttr = inNamespaces(syscall.CLONE_NEWUSER)
		require.NoError(t, c.Run())
		e := w.find(t, to(target, kill.SIGKILL))
		assert.Equal(t, sleep, e.Sender.Executable)
		// On a slow machine it may be gone before anybody could compare the files: then that is not known.
		assert.NotEqual(t, kill.WhoseHost, e.Sender.Home.Program)
		assert.Equal(t, kill.WhoseHost, e.Sender.Home.PIDs)
	}
}

// In a chroot that any user can make, a path is another program's than on the host.
func TestForgedPathInAChroot(t *testing.T) {
	w := start(t, nil)
	sleep, err := filepath.EvalSymlinks("/bin/sleep")
	require.NoError(t, err)
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Dir(root+sleep), 0o755))
	writeProgram(t, root+sleep, pause)
	c := exec.Command(sleep) //nolint:gosec // a copy of sleep(1)
	c.Dir, c.SysProcAttr = "/", &syscall.SysProcAttr{
		Chroot: root, Cloneflags: syscall.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{Size: 1}}, GidMappings: []syscall.SysProcIDMap{{Size: 1}},
	}
	target := run(t, c)
	w.fence(t)
	_, errno := w.fencing.send(order{call: "kill", pid: target, signal: int(kill.SIGTERM)})
	require.Zero(t, errno)
	p := w.find(t, to(target, kill.SIGTERM)).Targets[0]
	assert.Equal(t, sleep, p.Executable)
	assert.Equal(t, kill.WhoseOther, p.Home.Program)
}

// The pid that a sender in a container names is not the host's.
func TestPIDsOfAContainer(t *testing.T) {
	w := start(t, nil)
	sender := help(t, "sender", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
	thread, errno := sender.send(order{call: "kill", pid: nobodys, signal: 15})
	require.Equal(t, syscall.ESRCH, errno)
	e := w.find(t, func(e *kill.Event) bool { return e.Sender.PID == sender.pid })
	assert.Equal(t, nobodys, e.Requested)
	assert.Equal(t, kill.WhoseOther, e.Sender.Home.PIDs)
	assert.NotEqual(t, thread, e.Sender.ThreadID)
}
