// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func init() { roles["brief"] = beBrief }

// beBrief starts a program and kills it as soon as that prints that it runs.
func beBrief(arguments []string) {
	c := exec.Command(arguments[0], arguments[1:]...) //nolint:gosec // as the test says
	out, err := c.StdoutPipe()
	check(err)
	check(c.Start())
	_, err = out.Read(make([]byte, 1))
	check(err)
	check(unix.Kill(c.Process.Pid, unix.SIGKILL))
	_ = c.Wait()
	fmt.Println(c.Process.Pid) //nolint:forbidigo // this is how it answers
}

// requireComplete checks everything that is known about a process beyond its pid.
func requireComplete(t *testing.T, p *kill.Process, path string, arguments ...string) {
	t.Helper()
	require.NotNil(t, p.Instance)
	line := strings.Join(append([]string{path}, arguments...), "\x00")
	assert.Equal(t, path, p.Executable)
	assert.Equal(t, line, p.Instance.CommandLine)
	name := filepath.Base(path)
	assert.Equal(t, name[:min(15, len(name))], p.Command)
	assert.Equal(t, p.Command, p.Leader)
	assert.Equal(t, place(t), p.Instance.Cgroup)
	assert.WithinDuration(t, time.Now(), p.Instance.Start, limit)
	assert.Equal(t, kill.User{ID: kill.NewID(0)}, p.User)
}

// place is the control group of the tests that is reported: that of cgroup v2, unless it is the root.
func place(t *testing.T) string {
	t.Helper()
	for _, controller := range []string{"", "memory", "pids"} {
		if path := ownGroup(t, controller); path != "/" {
			return path
		}
	}
	return "/"
}

func TestIdentities(t *testing.T) {
	w := start(t, nil)
	t.Run("brief lives", func(t *testing.T) { testBriefLives(t, w) })
	t.Run("names", func(t *testing.T) { testNames(t, w) })
	t.Run("paths", func(t *testing.T) { testPaths(t, w) })
	t.Run("forks", func(t *testing.T) { testForks(t, w) })
	t.Run("used pids", func(t *testing.T) { testUsedPids(t, w) })
}

// A process that has lived for a millisecond is known as well as any other.
func testBriefLives(t *testing.T, w *watch) {
	t.Helper()
	program := program64(t, speak)
	for range 5 {
		sender := help(t, "brief", nil, program, "first", "second argument")
		var target int
		sender.read(&target)
		e := w.find(t, to(target, kill.SIGKILL))
		assert.Equal(t, sender.pid, e.Sender.PID)
		requireComplete(t, &e.Targets[0], program, "first", "second argument")
	}
	for range 5 {
		target := sleeper(t)
		path := program64(t, kill64(target, kill.SIGKILL))
		sender := command(path, "an argument")
		require.NoError(t, sender.Run())
		e := w.find(t, to(target, kill.SIGKILL))
		assert.Equal(t, sender.ProcessState.Pid(), e.Sender.PID)
		requireComplete(t, &e.Sender, path, "an argument")
		assert.Equal(t, path+"\x00an argument", e.Sender.Title)
	}
}

func testNames(t *testing.T, w *watch) {
	t.Helper()
	for what, name := range map[string]string{
		"spaces":            "a b  c",
		"UTF-8":             "größe 漢字",
		"UTF-8 that is cut": "aaaaaaaaaaaaaaü",
		"15 bytes":          "exactly-fifteen",
		"16 bytes":          "exactly--sixteen",
		"a line break":      "a\nb",
		"a quote":           `"x'`,
		"no UTF-8":          "\xff\xfe",
		"parentheses":       "a) S 1 (b",
		"255 bytes":         fmt.Sprintf("%0255d", 7),
		"deleted":           "x (not deleted)",
	} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			writeProgram(t, path, pause)
			target := run(t, command(path, "an argument"))
			_, errno := w.fencing.send(order{call: "kill", pid: target, signal: int(kill.SIGTERM)})
			require.Zero(t, errno)
			requireComplete(t, &w.find(t, to(target, kill.SIGTERM)).Targets[0], path, "an argument")
		})
	}
}

// The path of a program is what the kernel would say at this moment.
func testPaths(t *testing.T, w *watch) {
	t.Helper()
	find := func(t *testing.T, target int) kill.Process {
		t.Helper()
		_, errno := w.fencing.send(order{call: "kill", pid: target, signal: int(kill.SIGTERM)})
		require.Zero(t, errno)
		return w.find(t, to(target, kill.SIGTERM)).Targets[0]
	}
	t.Run("deleted while it runs", func(t *testing.T) {
		path := program64(t, pause)
		target := run(t, command(path))
		require.NoError(t, os.Remove(path))
		assert.Equal(t, path, find(t, target).Executable)
	})
	t.Run("deleted before it runs", func(t *testing.T) {
		path := program64(t, pause)
		file, err := os.Open(path)
		require.NoError(t, err)
		defer file.Close()
		require.NoError(t, os.Remove(path))
		c := exec.Command("/proc/self/fd/3")
		c.ExtraFiles = []*os.File{file}
		assert.Equal(t, path, find(t, run(t, c)).Executable)
	})
	t.Run("in memory only", func(t *testing.T) {
		fd, err := unix.MemfdCreate("a program", 0)
		require.NoError(t, err)
		file := os.NewFile(uintptr(fd), "memory")
		defer file.Close()
		_, err = file.Write(image64(t, pause))
		require.NoError(t, err)
		c := exec.Command("/proc/self/fd/3")
		c.ExtraFiles = []*os.File{file}
		assert.Equal(t, "/memfd:a program", find(t, run(t, c)).Executable)
	})
	t.Run("in a chroot", func(t *testing.T) {
		folder := filepath.Dir(program64(t, pause))
		c := exec.Command("/program")
		c.Dir, c.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: folder}
		assert.Equal(t, "/program", find(t, run(t, c)).Executable)
	})
	t.Run("on a file system of its own", func(t *testing.T) {
		folder := t.TempDir()
		program := program64(t, pause)
		c := command("sh", "-c", `mount -t tmpfs x "$0" && cp "$1" "$0/p" && exec "$0/p"`, folder, program)
		c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		target := run(t, c)
		awaitCommand(t, target, "p")
		assert.Equal(t, folder+"/p", find(t, target).Executable)
	})
	t.Run("by a link", func(t *testing.T) {
		path := program64(t, pause)
		link := path + "-link"
		require.NoError(t, os.Symlink(path, link))
		target := find(t, run(t, command(link)))
		assert.Equal(t, path, target.Executable)
		assert.Equal(t, link, target.Instance.CommandLine)
	})
}

// forks is a script that forks, without running another program, and prints the pid.
const forks = `(read x < "$0") > /dev/null 2>&1 & echo $!`

// A process that runs no program of its own runs its parent's.
func testForks(t *testing.T, w *watch) {
	t.Helper()
	executable, err := filepath.EvalSymlinks("/bin/sh")
	require.NoError(t, err)
	for name, script := range map[string]string{
		"a fork":     forks + "; :",
		"two forks":  "(" + forks + "); :",
		"once more":  "( (" + forks + ") & wait); :",
		"many forks": "(for i in 1 2 3; do (:) & done; wait; " + forks + "); :",
	} {
		t.Run(name, func(t *testing.T) {
			target := fork(t, script)
			_, errno := w.fencing.send(order{call: "kill", pid: target, signal: int(kill.SIGTERM)})
			require.Zero(t, errno)
			e := w.find(t, to(target, kill.SIGTERM))
			assert.Equal(t, "sh", e.Targets[0].Command)
			assert.Equal(t, executable, e.Targets[0].Executable)
			assert.Contains(t, e.Targets[0].Instance.CommandLine, "sh\x00-c\x00"+script+"\x00")
			assert.Equal(t, place(t), e.Targets[0].Instance.Cgroup)
		})
	}
}

// fork runs a script that prints the pid of a process that it leaves behind.
func fork(t *testing.T, script string, arguments ...any) int {
	t.Helper()
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	var pid int
	_, err := fmt.Sscan(shell(t, script, append([]any{pipe}, arguments...)...)[0], &pid)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
	return pid
}

// A process inherits nothing from the previous process with its pid.
func testUsedPids(t *testing.T, w *watch) {
	t.Helper()
	path := program64(t, pause)
	old := command(path, "an old argument")
	pid := run(t, old)
	_, errno := w.fencing.send(order{call: "kill", pid: pid, signal: int(kill.SIGTERM)})
	require.Zero(t, errno)
	before := w.find(t, to(pid, kill.SIGTERM)).Targets[0]
	requireComplete(t, &before, path, "an old argument")
	_ = old.Wait()
	awaitGone(t, pid)
	w.fence(t)

	if _, err := os.Stat("/proc/sys/kernel/ns_last_pid"); err != nil {
		audittest.Skip(t, "the kernel does not let pids be chosen (CONFIG_CHECKPOINT_RESTORE): %v", err)
	}
	require.Eventually(t, func() bool {
		return fork(t, fmt.Sprintf("echo %d > /proc/sys/kernel/ns_last_pid; %s; :", pid-1, forks)) == pid
	}, limit, time.Millisecond, "the pid is taken again")
	_, errno = w.fencing.send(order{call: "kill", pid: pid, signal: int(kill.SIGXCPU)})
	require.Zero(t, errno)
	after := w.find(t, to(pid, kill.SIGXCPU)).Targets[0]
	assert.Equal(t, "sh", after.Command)
	assert.NotEqual(t, before.Executable, after.Executable)
	assert.Contains(t, after.Instance.CommandLine, "sh\x00-c\x00echo")
	assert.True(t, after.Instance.Start.After(before.Instance.Start))
	assert.Equal(t, "an old argument", before.Instance.CommandLine[len(path)+1:], "what was reported stays")
}
