// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/host"
)

// ownSystemd listens where systemd does, and closes each connection.
const ownSystemd = `import os, socket, threading
def listen(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    while True:
        listener.accept()[0].close()
for path in ("/run/systemd/private", "/run/dbus/system_bus_socket"):
    threading.Thread(target=listen, args=(path,)).start()
`

// attacks are what bob does all the time while others stop mysql. What he runs as systemctl in a user namespace of his
// own is root there.
const attacks = `
unshare --user --map-root-user --mount sh -c '
	mount -t tmpfs none /run
	python3 /opt/systemd.py &
	while :; do systemctl stop mysql; done' &
while :; do systemctl --no-ask-password stop mysql; systemctl --no-ask-password kill mysql; done &
while :; do echo bob | bash -c 'exec -a systemctl su -w stop -c mysql bob'; done &
while :; do perl -MSocket -e '$0 = "systemctl stop mysql"; for (@ARGV) { socket(S, AF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un($_)) }' \
	/run/systemd/private /run/dbus/system_bus_socket /run/nothing; done &
while :; do bash -c $'exec -a "systemctl\nstop mysql, asked for by alice from 10.0.0.5\x1b[31m" busctl list'; done &
while :; do $'/home/bob/systemctl stop mysql\n: restart' mysql; done &
wait
`

// TestNobodyIsNamedByAttacks has bob, who has no right to it, try to be taken for who has stopped a service, or to hide
// who has.
func TestNobodyIsNamedByAttacks(t *testing.T) {
	w := watch(t, "")
	w.Root("sh", "-c", "echo bob:bob | chpasswd")
	w.Write("/opt/systemd.py", ownSystemd, 0o755)
	w.Root("cp", "/usr/bin/busctl", "/home/bob/systemctl stop mysql\n: restart")
	w.Write("/opt/attacks", attacks, 0o644)
	attack := w.Start("bob", "10.0.0.5", "exec >/dev/null 2>&1; . /opt/attacks")
	const rounds = 4
	named := 0
	for range rounds {
		pid := w.start("mysql", host.Mysqld)
		w.SSH("alice", "10.0.0.5", "sudo systemctl stop mysql")
		r := w.signal(pid, "SIGTERM")
		assert.NotContains(t, r.Body, "bob")
		if r.Text("kill.requester.name") != "" {
			named++
			assert.Equal(t, "systemctl stop mysql", r.Text("kill.requester.title"))
			assert.Equal(t, "1000", r.Text("user.id"), "%s", r.Body)
		} else {
			t.Log("nobody is named: ", r.Body, r.Attributes["kill.requester.candidates"])
		}
		pid = w.start("limited", host.Mysqld+"RuntimeMaxSec=1\n")
		r = w.signal(pid, "SIGTERM")
		assert.Equal(t, "runtime_limit", r.Text("kill.cause"))
		assert.Nil(t, r.Attributes["user.id"], "%s", r.Body)
		assert.Empty(t, r.Text("kill.requester.name"), "%s", r.Body)
	}
	assert.GreaterOrEqual(t, named, rounds-1, "of %d", rounds)
	require.False(t, attack.Gone(), "bob must attack to the end")
	harness.Until(t, func() bool { _, err := w.Try("pgrep", "-u", "bob"); return err != nil }, func() {
		_, _ = w.Try("pkill", "-KILL", "-u", "bob")
	}, "bob has ended")
}

// TestNobodyIsWhoHeClaims has a service of bob's say that it is alice's, or root's, for which the kernel asks for no right. He may become
// root, by sudo or a program that is root whoever runs it.
func TestNobodyIsWhoHeClaims(t *testing.T) {
	w := watch(t, "")
	w.Write("/etc/sudoers.d/bob", "bob ALL=(ALL) NOPASSWD: ALL\n", 0o440)
	w.Root("cp", "/usr/bin/setpriv", "/opt/become")
	w.Root("chmod", "u+s", "/opt/become")
	for name, test := range map[string]struct {
		login int64
		claim string
	}{
		"itself":     {1000, "echo 1000 >/proc/self/loginuid; pkill -TERM -x mysqld"},
		"by a child": {1000, "sh -c 'echo 1000 >/proc/self/loginuid; sleep 1; sh -c \"pkill -TERM -x mysqld; :\"; :'"},
		"with sudo":  {0, "echo 0 >/proc/self/loginuid; sudo pkill -TERM -x mysqld"},
		"by a child that becomes root like its parent": {1000, "(echo 1000 >/proc/self/loginuid; sleep 1; " +
			"exec /opt/become --reuid=0 sh -c 'sleep 1; pkill -TERM -x mysqld; :') & exec /opt/become --reuid=0 sh -c 'sleep 5; :'"},
		"by a child that has lost its parents": {1000, "echo 1000 >/proc/self/loginuid; " +
			"sudo setsid sh -c '(sleep 1; kill -TERM $(pgrep -x mysqld)) &'; sleep 4"},
		"and becomes her": {1000, "echo 1000 >/proc/self/loginuid; " +
			"(sleep 1; exec /opt/become --reuid=0 sh -c 'pkill -TERM -x mysqld; :') & exec /opt/become --reuid=1000 sleep 4"},
		"by what is root whoever runs it": {1000, "exec >/proc/self/loginuid; exec /opt/become --reuid=0 sh -c 'echo 1000; pkill -TERM -x mysqld; :'"},
		"by what sudo runs":               {1000, "sudo sh -c 'echo 1000 >/proc/self/loginuid; pkill -TERM -x mysqld; :'"},
		"by what is hers, in its place":   {1000, "exec >/proc/self/loginuid; exec /opt/become --reuid=1000 sh -c 'echo 1000; pkill -TERM -x mysqld; :'"},
		"with what logind takes for her session": {1000, "echo 1000 >/proc/self/loginuid; " +
			"sudo su - alice -c 'sleep 5' & sleep 2; sudo pkill -TERM -x mysqld; wait"},
	} {
		victim := "bob"
		if strings.Contains(test.claim, "exec /opt/become --reuid=1000 sh") { // alice may not signal what is bob's
			victim = "alice"
		}
		pid := w.start("mysql", host.Mysqld+"User="+victim+"\n")
		w.Root("systemd-run", "--wait", "--uid=bob", "sh", "-c", test.claim)
		r := w.signal(pid, "SIGTERM")
		assert.Equal(t, test.login, r.Attributes["kill.sender.audit.user.id"], "%s: %s", name, r.Body)
		assert.Contains(t, []string{"pkill", "sh"}, r.Text("process.command"), name)
		for _, attribute := range []string{"user.id", "user.name", "client.address", "kill.session.id"} {
			assert.Nil(t, r.Attributes[attribute], "%s: %s", name, r.Body)
		}
		assert.NotContains(t, r.Body, "login ", name)
		assert.NotContains(t, r.Body, "alice", name)
	}
}

// TestWhoIsLetIn has a daemon that is not known by its name let alice in.
func TestWhoIsLetIn(t *testing.T) {
	w := watch(t, "")
	pid := w.start("mysql", host.Mysqld)
	w.Root("systemd-run", "--wait", "sh", "-c", "(echo 1000 >/proc/self/loginuid; sh -c 'pkill -TERM -x mysqld; :'); :")
	r := w.signal(pid, "SIGTERM")
	assert.Equal(t, int64(1000), r.Attributes["kill.sender.audit.user.id"], r.Body)
	assert.Equal(t, "1000", r.Text("user.id"), r.Body)
}
