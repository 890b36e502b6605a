// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

// strangerID is a user of the host without rights who makes namespaces.
const strangerID = 54321

// inMounts runs a process in a mount namespace of its own, as systemd does.
func inMounts() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
}

// asStranger runs a process in namespaces that any user can make, in which he is root and has other users
// besides.
func asStranger() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, Credential: &syscall.Credential{NoSetGroups: true}, GidMappingsEnableSetgroups: true,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: strangerID, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 1000}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: strangerID, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 1000}},
	}
}

// dwelling is a process that a test has started somewhere.
type dwelling struct {
	pid int
	key Key
	// folder is $1 of its script: everybody may read it, and it has a passwd, a copy of sleep, and a root with both.
	folder string
}

// dwell runs a script that makes itself at home somewhere, says so, and then starts a program.
func dwell(t *testing.T, table *Table, attributes *syscall.SysProcAttr, script string) *dwelling {
	t.Helper()
	audittest.Root(t, "make namespaces, mount and chroot")
	d := &dwelling{folder: furnish(t)}
	c := exec.Command("/bin/sh", "-e", "-c", script, "sh", d.folder) //nolint:gosec // the test's own script
	c.SysProcAttr, c.Stderr, c.Dir = attributes, os.Stderr, "/"
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	require.Equal(t, "ready\n", line, "the script has failed")
	d.pid = c.Process.Pid
	require.Eventually(t, func() bool {
		name, err := os.ReadFile("/proc/" + strconv.Itoa(d.pid) + "/comm")
		return err == nil && strings.HasPrefix(string(name), "sleep")
	}, patience, time.Millisecond)
	d.key = lifeOf(t, table, d.pid)
	require.Eventually(t, func() bool { return SinceBoot() > d.key.Start+2*procstat.RecordLag }, patience, time.Millisecond)
	return d
}

const forgedUsers = "web:x:70:70::/:/\nmallory:x:0:0::/:/\n"

// furnish makes the folder of a dwelling.
func furnish(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for at := folder; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		require.NoError(t, os.Chmod(at, 0o755))
	}
	require.NoError(t, os.WriteFile(folder+"/passwd", []byte(forgedUsers), 0o644))
	const script = `
		cp "$(readlink -f /bin/sleep)" "$0/sleep"; mkdir -p "$0/root/etc" "$0/root/bin" "$0/mnt"
		cp "$0/passwd" "$0/root/etc"; cp "$0/sleep" "$0/root/bin"
		for each in $(ldd /bin/sleep 2>/dev/null | grep -o '/[^ ]*'); do
			mkdir -p "$0/root$(dirname "$each")"; cp -L "$each" "$0/root$each"
		done; chmod -R go+rX "$0"`
	out, err := exec.CommandContext(t.Context(), "sh", "-e", "-c", script, folder).CombinedOutput() //nolint:gosec // the test's own script
	require.NoError(t, err, "%s", out)
	return folder
}

// needRoot skips a test that needs a program in another root, if it cannot be furnished there.
func needRoot(t *testing.T) {
	t.Helper()
	audittest.Root(t, "chroot")
	if err := exec.CommandContext(t.Context(), "chroot", furnish(t)+"/root", "/bin/sleep", "0").Run(); err != nil { //nolint:gosec // the test's own
		audittest.Skip(t, "a program does not find its libraries in another root: %v", err)
	}
}

// about is an event of the audit system about the process, as which auditd has named its user.
func (d *dwelling) about(user uint32) *kill.Event {
	e := killed(d.pid, "sleep")
	e.Targets[0].User = kill.User{ID: kill.NewID(user), Name: "told by auditd"}
	e.Audit.Recorded = true
	return e
}

// waysToOpen are openat2(2), and what answers where it is missing, or a filter such as that of RestrictSUIDSGID= forbids it.
var waysToOpen = map[string]openat2{
	"":                          unix.Openat2,
	", openat2(2) is missing":   func(int, string, *unix.OpenHow) (int, error) { return -1, unix.ENOSYS },
	", openat2(2) is forbidden": func(int, string, *unix.OpenHow) (int, error) { return -1, unix.EPERM },
}

const (
	idles = "; echo ready; exec sleep 1000 >/dev/null"
	// ownEtc is an /etc that its user may write.
	ownEtc = "mount -t tmpfs x /etc; "
)

// Whose users a process has and whose program it runs is seen, whatever namespaces it is in, and whatever lies where
// its users should be.
func TestHomes(t *testing.T) {
	t.Parallel()
	sleep, err := filepath.EvalSymlinks("/bin/sleep")
	require.NoError(t, err)
	host, other := kill.WhoseHost, kill.WhoseOther
	for name, test := range map[string]struct {
		attributes     *syscall.SysProcAttr
		script         string
		users, program kill.Whose
		// user is who it runs as on the host, own what its own database calls that user.
		user uint32
		own  string
		// deleted is true if its program is deleted once it runs, linked if a link leads to its users, which only openat2(2)
		// keeps below a root.
		deleted, linked bool
	}{
		"of the host": {script: ":" + idles, users: host, program: host},
		"of the host, another user": {
			attributes: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: strangerID}}, script: ":" + idles,
			user: strangerID, users: host, program: host,
		},
		"PrivateTmp=": {attributes: inMounts(), script: "mount -t tmpfs x /tmp" + idles, users: host, program: host},
		"ProtectSystem=": {
			attributes: inMounts(), users: host, program: host,
			script: "for each in /etc /usr; do mount --bind $each $each; mount -o remount,bind,ro $each; done" + idles,
		},
		"PrivateTmp=, and an upgrade": {
			attributes: inMounts(), users: host, program: host, deleted: true,
			script: `mount -t tmpfs x "$1/mnt"; cp "$1/sleep" "$1/sleep-old"; (sleep 0.1; rm "$1/sleep-old") >/dev/null 2>&1 & ` +
				`echo ready; exec "$1/sleep-old" 1000 >/dev/null`,
		},
		"BindPaths=": {attributes: inMounts(), script: `mount --bind "$1/sleep" SLEEP` + idles, users: host, program: other},
		"chroot":     {script: `echo ready; exec chroot "$1/root" /bin/sleep 1000 >/dev/null`, users: other, own: "mallory", program: host},
		"chroot to the root": {
			attributes: inMounts(), script: `mount --rbind / "$1/mnt"; echo ready; exec chroot "$1/mnt" sleep 1000 >/dev/null`, users: host, program: host,
		},
		"a user namespace": {attributes: asStranger(), script: ":" + idles, user: strangerID, users: host, program: host},
		"a forged program": {
			attributes: asStranger(), script: `mount --bind "$1/sleep" SLEEP` + idles, user: strangerID, users: host, program: other,
		},
		"a forged program that was deleted": {
			attributes: asStranger(), user: strangerID, users: host, program: other, deleted: true,
			script: `mount -t tmpfs x "$1/mnt"; cp SLEEP "$1/mnt/x"; mount --bind "$1/mnt/x" SLEEP; (SLEEP 0.1; rm "$1/mnt/x") >/dev/null 2>&1 & ` +
				"echo ready; exec SLEEP 1000 >/dev/null",
		},
		"forged users": {
			attributes: asStranger(), script: `mount --bind "$1/passwd" /etc/passwd` + idles,
			user: strangerID, users: other, own: "mallory", program: host,
		},
		"forged users, one of many": {
			attributes: asStranger(), user: 100069, users: other, own: "web", program: host,
			script: `mount --bind "$1/passwd" /etc/passwd; echo ready; exec chroot --userspec=70:0 / sleep 1000 >/dev/null`,
		},
		"a chroot of any user": {
			attributes: asStranger(), script: `echo ready; exec chroot "$1/root" /bin/sleep 1000 >/dev/null`,
			user: strangerID, users: other, own: "mallory", program: host,
		},
		"no users": {attributes: asStranger(), script: ownEtc + ":" + idles, user: strangerID, users: other, program: host},
		"a link": {
			attributes: asStranger(), script: ownEtc + `ln -s "$1/passwd" /etc/passwd` + idles, user: strangerID, users: other, program: host,
		},
		"a link to the host's": {
			attributes: asStranger(), script: `mount --bind /etc "$1/mnt"; ` + ownEtc + `ln -s "$1/mnt/passwd" /etc/passwd` + idles,
			user: strangerID, users: host, program: host, linked: true,
		},
		"a link to an environment": {
			attributes: asStranger(), script: ownEtc + "ln -s /proc/1/environ /etc/passwd" + idles, user: strangerID, users: other, program: host,
		},
		"its own environment": {
			attributes: asStranger(), users: other, program: host, user: strangerID,
			script: ownEtc + "touch /etc/passwd; mount --bind /proc/self/environ /etc/passwd" + idles,
		},
		"a loop": {
			attributes: asStranger(), script: ownEtc + "ln -s passwd /etc/passwd" + idles, user: strangerID, users: other, program: host,
		},
		"a FIFO": {
			attributes: asStranger(), script: ownEtc + "mkfifo -m 644 /etc/passwd" + idles, user: strangerID, users: other, program: host,
		},
		"a folder": {
			attributes: asStranger(), script: ownEtc + "mkdir /etc/passwd" + idles, user: strangerID, users: other, program: host,
		},
		"a device": {
			attributes: asStranger(), script: ownEtc + "touch /etc/passwd; mount --bind /dev/zero /etc/passwd" + idles,
			user: strangerID, users: other, program: host,
		},
		"a GiB": {
			attributes: asStranger(), script: ownEtc + `cp "$1/passwd" /etc/passwd; truncate -s 1G /etc/passwd` + idles,
			user: strangerID, users: other, own: "mallory", program: host,
		},
		"a GiB of NULs": {
			attributes: asStranger(), script: ownEtc + "truncate -s 1G /etc/passwd" + idles, user: strangerID, users: other, program: host,
		},
		"not for all": {
			attributes: asStranger(), script: ownEtc + `cp "$1/passwd" /etc/passwd; chmod 600 /etc/passwd` + idles,
			user: strangerID, users: other, program: host,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := newLiveTable(t)
			if strings.Contains(test.script, `"$1/root"`) {
				needRoot(t)
			}
			d := dwell(t, table, test.attributes, strings.ReplaceAll(test.script, "SLEEP", sleep))
			if test.deleted {
				require.Eventually(t, func() bool {
					path, err := os.Readlink("/proc/" + strconv.Itoa(d.pid) + "/exe")
					return err == nil && strings.HasSuffix(path, " (deleted)")
				}, patience, time.Millisecond)
			}
			for way, call := range waysToOpen {
				table, users := newLiveTable(t), test.users
				table.homes.host.openat2 = call
				if test.linked && way != "" {
					users = other
				}
				var e *kill.Event
				require.Eventually(t, func() bool { // a busy machine may read the users too late for the first event
					e = d.about(test.user)
					e.Targets[0].Command = commandOf(t, d.pid)
					table.Fill(e)
					return e.Targets[0].Home.Users != kill.WhoseUnknown
				}, patience, time.Millisecond, way)
				target := &e.Targets[0]
				require.NotNil(t, target.Instance, way)
				assert.Equal(t, users, target.Home.Users, "users%s", way)
				assert.Equal(t, test.program, target.Home.Program, "program%s", way)
				assert.Equal(t, test.own, target.ContainerUser, way)
				NewUsers("/etc/passwd", "").Fill(e)
				assert.Equal(t, users == host, target.User.Name != "", "%s%s", target.User.Name, way)
			}
		})
	}
}

func commandOf(t *testing.T, pid int) string {
	t.Helper()
	name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	require.NoError(t, err)
	return strings.TrimSuffix(string(name), "\n")
}

// Without openat2(2), and where that knows no RESOLVE_CACHED, a file is found without following a link, or asking a file system that
// may let its caller wait.
func TestFindStepByStep(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.MkdirAll(folder+"/usr/sbin", 0o755))
	require.NoError(t, os.WriteFile(folder+"/usr/sbin/mariadbd", nil, 0o600))
	require.NoError(t, os.WriteFile(folder+"/init", nil, 0o600))
	require.NoError(t, os.Symlink("usr/sbin", folder+"/sbin"))
	require.NoError(t, os.Symlink("mariadbd", folder+"/usr/sbin/mysqld"))
	for name, test := range map[string]struct {
		root, path string
		// want is the file that is found.
		want string
	}{
		"a program":                   {folder, "/usr/sbin/mariadbd", folder + "/usr/sbin/mariadbd"},
		"a folder":                    {folder, "/usr/sbin", folder + "/usr/sbin"},
		"the root":                    {folder, "/", folder},
		"not above the root":          {folder + "/usr", "/../../init", ""},
		"missing":                     {folder, "/usr/sbin/nginx", ""},
		"below a file":                {folder, "/init/mariadbd", ""},
		"a link":                      {folder, "/usr/sbin/mysqld", ""},
		"below a link":                {folder, "/sbin/mariadbd", ""},
		"the root of a process":       {"/", "/proc/self/root", ""},
		"a file system that may wait": {"/", "/proc/self/status", ""},
		"where such one is mounted":   {"/", "/proc", "/proc"},
		"up and down":                 {folder, "usr/sbin/../../init", folder + "/init"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, err := statOf(unix.AT_FDCWD, test.root, 0)
			require.NoError(t, err)
			want, _ := statOf(unix.AT_FDCWD, test.want, 0)
			for _, missing := range []error{unix.ENOSYS, unix.EPERM, unix.EINVAL} {
				v := vantage{folder: root, openat2: func(int, string, *unix.OpenHow) (int, error) { return -1, missing }}
				got, ok := v.cachedIn(unix.AT_FDCWD, test.root, test.path)
				assert.Equal(t, test.want != "", ok, missing)
				assert.Equal(t, want.fileID, got.fileID, missing)
			}
		})
	}
}

// Without the right to see a process's files, what all may see decides.
func TestPresumedHomes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		attributes *syscall.SysProcAttr
		want       kill.Whose
	}{
		"of the host":      {nil, kill.WhoseHost},
		"a service":        {inMounts(), kill.WhoseHost},
		"a user namespace": {asStranger(), kill.WhoseOther},
		"a pid namespace":  {&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}, kill.WhoseOther},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := newLiveTable(t)
			d := dwell(t, table, test.attributes, ":"+idles)
			dir, ok := table.proc.open(d.pid)
			require.True(t, ok)
			defer dir.close()
			presumed := dir.presume()
			assert.True(t, presumed.presumed)
			assert.Equal(t, kill.Home{Users: test.want, Program: test.want}, presumed.Home)
		})
	}
}

// A sender in another pid namespace names other processes by its numbers, also if only its parent is known.
func TestPIDsThatASenderNames(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		attributes *syscall.SysProcAttr
		want       kill.Whose
	}{
		"of the host": {nil, kill.WhoseHost},
		"another":     {&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}, kill.WhoseOther},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := newLiveTable(t)
			d := dwell(t, table, test.attributes, ":"+idles)
			sent := func(sender kill.Process) *kill.Process {
				e := &kill.Event{Kind: kill.KindSignal, Time: time.Now(), Requested: 4242, Sender: sender}
				table.Fill(e)
				return &e.Sender
			}
			known := sent(kill.Process{PID: d.pid, Command: "sleep"})
			require.NotNil(t, known.Instance)
			assert.Equal(t, test.want, known.Home.PIDs)

			parent, ok := table.Lookup(d.pid)
			require.True(t, ok)
			child := sent(kill.Process{
				PID: 1 << 22, ParentPID: d.pid, Command: "kill", Login: kill.User{ID: parent.Login}, Session: parent.Session,
			})
			assert.Nil(t, child.Instance)
			inherited := test.want
			if test.want == kill.WhoseHost {
				inherited = kill.WhoseUnknown // it may have left
			}
			assert.Equal(t, inherited, child.Home.PIDs)
		})
	}
}

// The path in an audit record is that within a chroot (kernel/audit.c, audit_log_d_path_exe).
func TestPathWithinAChroot(t *testing.T) {
	t.Parallel()
	needRoot(t)
	table := newLiveTable(t)
	d := dwell(t, table, nil, `echo ready; exec chroot "$1/root" /bin/sleep 1000 >/dev/null`)
	for path, want := range map[string]kill.Whose{"/bin/sleep": kill.WhoseOther, d.folder + "/root/bin/sleep": kill.WhoseHost} {
		e := &kill.Event{Kind: kill.KindSignal, Time: time.Now(), Sender: kill.Process{PID: d.pid, Command: "sleep", Executable: path}}
		table.Fill(e)
		require.NotNil(t, e.Sender.Instance)
		assert.Equal(t, want, e.Sender.Home.Program, path)
	}
}

// The names of a container's users follow its file.
func TestOwnUsersChange(t *testing.T) {
	t.Parallel()
	table := newLiveTable(t)
	d := dwell(t, table, asStranger(), `mount --bind "$1" /etc`+idles)
	calls := func(name string) bool {
		table.mu.Lock()
		clear(table.homes.spaces.suspended) // a slow machine takes so long that nobody would look for a minute
		table.mu.Unlock()
		e := d.about(strangerID)
		table.Fill(e)
		return e.Targets[0].ContainerUser == name
	}
	require.Eventually(t, func() bool { return calls("mallory") }, patience, 10*time.Millisecond)
	require.NoError(t, os.WriteFile(d.folder+"/passwd", []byte("trudy:x:0:0::/:/\n"), 0o644))
	require.Eventually(t, func() bool { return calls("trudy") }, patience, 10*time.Millisecond)
}

// BenchmarkLook finds out whose files a process sees that does, or does not, see the host's.
func BenchmarkLook(b *testing.B) {
	table := newLiveTable(b)
	dir, ok := table.proc.open(os.Getpid())
	require.True(b, ok)
	defer dir.close()
	executable := dir.executable()
	for name, mount := range map[string]uint64{"of the host": 0, "another namespace": 1} {
		b.Run(name, func(b *testing.B) {
			table.homes.look(table.proc, dir, executable, 0, spaceFor)
			table.homes.host.folder.mount += mount // so that it seems to be another
			b.ReportAllocs()
			for b.Loop() {
				table.homes.look(table.proc, dir, executable, 0, spaceFor)
			}
		})
	}
}
