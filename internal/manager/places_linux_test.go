// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// noLogin is what the kernel has for a process that nobody has started.
const noLogin = ^uint32(0)

// systemd makes a process that runs systemd's program, by a user and for a login.
func (h *fakeHost) systemd(pid int, namespaces string, user, login uint32) {
	h.t.Helper()
	h.process(pid, namespaces, "/usr/lib/systemd/systemd", "../..")
	dir := filepath.Join("proc", strconv.Itoa(pid))
	h.write(dir+"/status", fmt.Sprintf("Name:\tsystemd\nUid:\t%d\t%d\t%d\t%d\nNSpid:\t%s\n", user, user, user, user, namespaces))
	h.write(dir+"/loginuid", strconv.FormatUint(uint64(login), 10))
}

// has reports whether a systemd is listened to, or will be.
func (w *Watcher) has(pid int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watched[pid] != nil
}

// TestSystemdsOfOne has somebody start as many systemds as he can: those of others are listened to all the same.
func TestSystemdsOfOne(t *testing.T) {
	t.Parallel()
	const bob, subUID, www = 1001, 100_000, 33
	for name, start := range map[string]func(h *fakeHost, pid, n int){
		"a user's":            func(h *fakeHost, pid, _ int) { h.systemd(pid, strconv.Itoa(pid), bob, bob) },
		"a user's containers": func(h *fakeHost, pid, _ int) { h.systemd(pid, strconv.Itoa(pid)+"\t1", bob, bob) },
		"as his sub-uids":     func(h *fakeHost, pid, n int) { h.systemd(pid, strconv.Itoa(pid), uint32(subUID+n), bob) },
		"a service's, for logins of its choice": func(h *fakeHost, pid, n int) {
			h.systemd(pid, strconv.Itoa(pid), www, uint32(1000+n))
		},
		"a container's, whose root is ours": func(h *fakeHost, pid, _ int) { h.systemd(pid, strconv.Itoa(pid)+"\t7", 0, noLogin) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFakeHost(t)
			h.newFakeBus(hostBus)
			h.start()
			eventually(t, func() bool { return h.Counts().Connected == 1 })
			const first, many = 1000, maxManagers + 10
			for n := range many {
				start(h, first+n, n)
				assert.Equal(t, n < maxOfOne, h.Watch(first+n), n)
			}
			assert.Equal(t, int64(many-maxOfOne), h.Counts().Unwatched)
			h.systemd(alice, strconv.Itoa(alice), 1002, 1002)
			h.systemd(container, strconv.Itoa(container)+"\t1", subUID*10, noLogin)
			for _, pid := range []int{alice, container} {
				assert.True(t, h.Watch(pid))
				assert.True(t, h.has(pid))
			}
			h.Unwatch(first)
			assert.True(t, h.Watch(first+many-1), "there is a place now")
		})
	}
}

// TestNamedSystemd has a user call a program of his systemd.
func TestNamedSystemd(t *testing.T) {
	t.Parallel()
	for executable, inner := range map[string]map[string]bool{
		"/tmp/systemd":             {"77": false, "77\t5": false, "77\t1": true},
		"/home/bob/systemd":        {"77": false},
		"/lib/systemd/systemd":     {"77": true, "77\t5": true},
		"/usr/lib/systemd/systemd": {"77": true, "77\t1": true},
		// A container may have it anywhere.
		"/nix/store/a-systemd-257/lib/systemd/systemd": {"77": false, "77\t1": true},
	} {
		for namespaces, want := range inner {
			h := newFakeHost(t)
			h.process(container, namespaces, executable, "../..")
			of, err := openProcess(h.root, container)
			if !want {
				require.ErrorIs(t, err, errNoSystemd, executable+" "+namespaces)
				continue
			}
			require.NoError(t, err, executable+" "+namespaces)
			of.close()
		}
	}
}

// TestRoomOfTheHopeless has all places be taken, some of them by systemds that let nobody in.
func TestRoomOfTheHopeless(t *testing.T) {
	t.Parallel()
	w := New(Config{})
	for n := range maxManagers {
		w.Watch(hostPID + n)
	}
	const next, hopeless = maxManagers + 9, 7
	assert.False(t, w.Watch(next))
	for range hopelessAfter {
		w.watched[hopeless].tried(false)
		w.watched[hopeless+1].tried(false)
		w.watched[hostPID].tried(false)
	}
	w.watched[hopeless+1].tried(true)
	assert.True(t, w.Watch(next))
	assert.True(t, w.has(next))
	assert.False(t, w.has(hopeless))
	assert.True(t, w.has(hostPID))
	assert.False(t, w.Watch(hopeless), "there is no other one")
	assert.Len(t, w.watched, maxManagers)
}

// TestMakerOfNamespaces has a user make namespaces of his own, in which he may be somebody else.
func TestMakerOfNamespaces(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
	}
	if err := cmd.Start(); err != nil {
		t.Skip("namespaces cannot be made here: ", err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	path := filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid))
	dir, err := syscall.Open(path, syscall.O_DIRECTORY, 0)
	require.NoError(t, err)
	p := &process{pid: cmd.Process.Pid, dir: dir, root: "/", user: 12_345, nested: true}
	defer p.close()
	namespace, ok := p.outermost("ns/user")
	if !ok {
		t.Skip("namespaces cannot be seen here")
	}
	require.NoError(t, syscall.Close(namespace))
	assert.Equal(t, uint32(os.Getuid()), p.maker())
	assert.NotZero(t, p.container())
	own, err := syscall.Open("/proc/self", syscall.O_DIRECTORY, 0)
	require.NoError(t, err)
	us := &process{pid: os.Getpid(), dir: own, root: "/", user: 12_345}
	defer us.close()
	assert.Equal(t, party{partyUser, 12_345}, us.parties()[0], "in our own it is whoever it is")
	assert.Zero(t, us.container())
	us.user = 0
	assert.Equal(t, []party{{partyUser, 0}}, us.parties())
	us.user, us.nested = 12_345, true
	assert.Equal(t, []party{{partyContainer, 0}}, us.parties(), "a container of root has users of its own")
	login := fmt.Sprintf("/proc/%d/loginuid", os.Getpid())
	us.root = t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Dir(us.root+login), 0o755))
	require.NoError(t, os.WriteFile(us.root+login, []byte("1001"), 0o600))
	assert.Equal(t, []party{{partyContainer, 0}, {partyLogin, 1001}}, us.parties(), "whose sandbox it is")
}
