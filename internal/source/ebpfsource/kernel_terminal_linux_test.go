// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const sigTSTP = kill.Signal(syscall.SIGTSTP)

func init() { roles["terminal"] = beTerminal }

// beTerminal holds a terminal in which a shell waits for another program. It types what it is sent,
// and hangs up when there is no more.
func beTerminal(arguments []string) {
	shell := exec.Command("sh", "-c", arguments[0]) //nolint:gosec // the test's own script
	terminal, err := pty.Start(shell)
	check(err)
	var other int
	_, err = fmt.Fscan(terminal, &other)
	check(err)
	fmt.Println(shell.Process.Pid, other) //nolint:forbidigo // this is how it answers
	keys := map[string]string{"^C": "\x03", "^Z": "\x1a", `^\`: "\x1c"}
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		switch input.Text() {
		case "hang up":
			check(terminal.Close())
		case "end":
			check(shell.Process.Kill())
			_ = shell.Wait()
		default:
			_, err := terminal.WriteString(keys[input.Text()])
			check(err)
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// A shell in a terminal, which becomes one program and has started another.
const (
	usualShell = `sleep 1000 & echo $! && exec sleep 1000`
	// stubbornShell survives the end of its terminal, as does what it has started.
	stubbornShell = `trap "" HUP; sleep 1000 & echo $! && exec sleep 1000`
	// closedShell has nothing of its terminal open when that ends.
	closedShell = `sleep 1000 & echo $! && exec sleep 1000 </dev/null >/dev/null 2>&1`
)

// openTerminal opens a terminal for a shell, and returns its name.
func openTerminal(t *testing.T, script string) (terminal *helper, shell, other int, name string) {
	t.Helper()
	terminal = help(t, "terminal", nil, script)
	terminal.read(&shell, &other)
	awaitCommand(t, shell, "sleep")
	awaitCommand(t, other, "sleep")
	device, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", shell))
	require.NoError(t, err)
	if !strings.HasPrefix(device, "/dev/pts/") {
		device, err = os.Readlink(fmt.Sprintf("/proc/%d/fd/1", other))
		require.NoError(t, err)
	}
	return terminal, shell, other, strings.TrimPrefix(device, "/dev/")
}

func TestTerminals(t *testing.T) {
	w := start(t, func(s *Settings) { s.Signals = append(s.Signals, sigTSTP) })
	t.Run("keys", func(t *testing.T) { testKeys(t, w) })
	t.Run("a hangup", func(t *testing.T) { testHangup(t, w) })
	t.Run("a hangup that a shell survives", func(t *testing.T) { testLateHangup(t, w) })
	t.Run("the end of a shell", func(t *testing.T) { testShellEnds(t, w) })
	t.Run("a terminal that nobody has open", func(t *testing.T) { testClosedTerminal(t, w) })
	t.Run("a stopped program without a parent", func(t *testing.T) { testOrphan(t, w) })
	t.Run("no keys", func(t *testing.T) { testNoKeys(t, w) })
}

func testKeys(t *testing.T, w *watch) {
	t.Helper()
	for key, signal := range map[string]kill.Signal{"^C": kill.SIGINT, `^\`: kill.SIGQUIT, "^Z": sigTSTP} {
		t.Run(key, func(t *testing.T) {
			terminal, shell, other, name := openTerminal(t, usualShell)
			terminal.say("%s", key)
			e := w.find(t, to(shell, signal))
			want := byKernel(signal, shell).because(kill.CauseTerminalKey)
			want.Delivery = e.Delivery
			assert.Equal(t, want, tell(e), "from nobody: the terminal's driver sends it")
			assert.Equal(t, &kill.Trigger{Terminal: name}, e.Trigger)
			e = w.find(t, to(other, signal))
			want = byKernel(signal, other).because(kill.CauseTerminalKey)
			want.Delivery = e.Delivery // ignored, as a shell without job control has it
			assert.Equal(t, want, tell(e))
		})
	}
}

// hungUp is a hangup of a terminal as it is reported of a process.
func hungUp(e *kill.Event, pid, prompter int) told {
	want := byKernel(kill.SIGHUP, pid).because(kill.CauseTerminalHangup).prompted(prompter, e.Sender.ThreadID)
	if e.Delivery == kill.DeliveryIgnored {
		want.Delivery = kill.DeliveryIgnored
	}
	return want
}

func testHangup(t *testing.T, w *watch) {
	t.Helper()
	terminal, shell, other, name := openTerminal(t, usualShell)
	terminal.say("hang up")
	// When the shell dies, it hangs up on its group, itself included.
	e := w.find(t, func(e *kill.Event) bool { return to(shell, kill.SIGHUP)(e) && by(terminal.pid)(e) })
	assert.Equal(t, hungUp(e, shell, terminal.pid), tell(e)) // ignored if it was faster to end, as it could read no more
	assert.Equal(t, &kill.Trigger{Terminal: name}, e.Trigger)
	e = w.find(t, to(other, kill.SIGHUP))
	assert.Equal(t, hungUp(e, other, shell), tell(e))
	assert.Equal(t, &kill.Trigger{Terminal: name}, e.Trigger)
}

func testLateHangup(t *testing.T, w *watch) {
	t.Helper()
	terminal, shell, other, name := openTerminal(t, stubbornShell)
	terminal.say("hang up")
	e := w.find(t, to(shell, kill.SIGHUP))
	assert.Equal(t, hungUp(e, shell, terminal.pid), tell(e))
	terminal.say("end")
	e = w.find(t, to(other, kill.SIGHUP))
	assert.Equal(t, hungUp(e, other, shell), tell(e))
	assert.Equal(t, &kill.Trigger{Terminal: name}, e.Trigger)
}

func testShellEnds(t *testing.T, w *watch) {
	t.Helper()
	terminal, shell, other, name := openTerminal(t, usualShell)
	terminal.say("end")
	e := w.find(t, to(other, kill.SIGHUP))
	assert.Equal(t, hungUp(e, other, shell), tell(e))
	assert.Equal(t, &kill.Trigger{Terminal: name}, e.Trigger)
}

// The kernel has taken the terminal from the session already. Nothing says that it was one.
func testClosedTerminal(t *testing.T, w *watch) {
	t.Helper()
	terminal, shell, _, _ := openTerminal(t, closedShell)
	terminal.say("hang up")
	e := w.find(t, func(e *kill.Event) bool { return to(shell, kill.SIGHUP)(e) && by(terminal.pid)(e) })
	assert.Equal(t, byKernel(kill.SIGHUP, shell).prompted(terminal.pid, e.Sender.ThreadID), tell(e))
	assert.Nil(t, e.Trigger)
}

// The kernel also sends SIGHUP to a group of stopped processes that nobody could continue any more
// (kernel/exit.c, kill_orphaned_pgrp).
func testOrphan(t *testing.T, w *watch) {
	t.Helper()
	// The parent of the group is not the leader of the session.
	terminal := help(t, "terminal", nil, `sh -mc 'sleep 1000 & echo $! && exec sleep 1000' & wait`)
	var shell, stopped int
	terminal.read(&shell, &stopped)
	awaitCommand(t, stopped, "sleep")
	parent := childrenOf(t, shell)[0]
	require.NoError(t, syscall.Kill(stopped, syscall.SIGSTOP))
	awaitState(t, stopped, "T")
	require.NoError(t, syscall.Kill(parent, syscall.SIGKILL))
	e := w.find(t, to(stopped, kill.SIGHUP))
	assert.Equal(t, byKernel(kill.SIGHUP, stopped).prompted(parent, e.Sender.ThreadID), tell(e))
}

// What a process sends is no key, whatever it is in.
func testNoKeys(t *testing.T, w *watch) {
	t.Helper()
	_, shell, _, _ := openTerminal(t, usualShell)
	for _, signal := range []kill.Signal{sigTSTP, kill.SIGHUP, kill.SIGINT} {
		_, errno := w.fencing.send(order{call: "kill", pid: shell, signal: int(signal)})
		require.Zero(t, errno)
		e := w.find(t, func(e *kill.Event) bool { return to(shell, signal)(e) && by(w.fencing.pid)(e) })
		assert.Equal(t, kill.OriginUser, e.Origin)
		assert.Equal(t, kill.CauseNone, e.Cause)
	}
}
