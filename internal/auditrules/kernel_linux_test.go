// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// These tests talk to the real kernel and need root.

func init() {
	roles["install"] = func() {
		for _, p := range New(Settings{Signals: []kill.Signal{9}, Key: testKey}).Install() {
			fmt.Println(p)
			fmt.Println(strings.Join(p.Lines, "\n"))
		}
	}
	roles["hold"] = func() {
		for _, p := range New(Settings{Signals: []kill.Signal{9}, Key: testKey}).Install() {
			fmt.Println(p)
		}
		fmt.Println("holds its rules")
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
	}
}

// realKernel reserves the audit system for the test, which begins with audit in the given state and without rules.
func realKernel(t *testing.T, enabled bool) auditcontrol.Client {
	t.Helper()
	if strconv.IntSize == 32 {
		audittest.Skip(t, "a 32-bit go-libaudit does not know what b64 is")
	}
	k := audittest.Kernel(t)
	if before := kernelRules(t); len(before) > 0 {
		audittest.Skip(t, "audit rules are loaded (auditctl -D removes them): %v", before)
	}
	require.NoError(t, k.SetEnabled(enabled, libaudit.WaitForReply))
	return k
}

func kernelRules(t *testing.T) []string {
	t.Helper()
	wires, err := auditcontrol.Client{}.GetRules()
	require.NoError(t, err)
	var lines []string
	for _, wire := range wires {
		lines = append(lines, lineOf(t, wire))
	}
	return lines
}

func assertInKernel(t *testing.T, lines ...string) {
	t.Helper()
	assert.Equal(t, listed(t, lines...), kernelRules(t))
}

// loadRule loads a rule as another program would, until the end of the test.
func loadRule(t *testing.T, k auditcontrol.Client, line string) {
	t.Helper()
	wire := parse(t, line)
	require.NoError(t, k.AddRule(wire), line)
	appended := parse(t, strings.Replace(line, "-A", "-a", 1))
	t.Cleanup(func() { assert.NoError(t, k.DeleteRule(appended)) })
}

// shell runs a command that the Manager tells people to use.
func shell(t *testing.T, command string) {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), "sh", "-c", "PATH=$PATH:/sbin:/usr/sbin "+command).CombinedOutput() //nolint:gosec // our own text
	require.NoError(t, err, "%s: %s", command, said)
}

func needAuditctl(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("auditctl"); err == nil {
		return
	}
	if _, err := exec.LookPath("/usr/sbin/auditctl"); err == nil {
		return
	}
	const reason = "auditctl is not installed; on Debian: apt-get install auditd"
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	audittest.Skip(t, reason)
}

func kernelManager(t *testing.T, signals ...kill.Signal) *Manager {
	t.Helper()
	return New(Settings{Signals: signals, Key: testKey, Logger: zaptest.NewLogger(t)})
}

func enabled(t *testing.T) uint32 {
	t.Helper()
	status, err := auditcontrol.Client{}.GetStatus()
	require.NoError(t, err)
	return status.Enabled
}

func TestKernelInstallAndRemove(t *testing.T) {
	for name, on := range map[string]bool{"audit is off": false, "audit is on": true} {
		t.Run(name, func(t *testing.T) {
			k := realKernel(t, on)
			const other = "-a always,exit -F arch=b64 -S kill -F a1=9 -k audit_kill"
			loadRule(t, k, other)
			before := enabled(t)

			m := kernelManager(t, kill.DefaultSignals()...)
			for _, p := range m.Install() {
				assert.False(t, on, p)
				require.ErrorContains(t, p, "audit=1")
			}
			assertInKernel(t, append([]string{other}, ours(os.Getpid(), kill.DefaultSignals()...)...)...)
			assert.Equal(t, uint32(1), enabled(t))
			found, err := m.Restore()
			require.NoError(t, err)
			assert.False(t, found.Any(), "%+v", found)

			require.NoError(t, m.Remove())
			assertInKernel(t, other)
			assert.Equal(t, before, enabled(t))
		})
	}
}

func TestKernelRestore(t *testing.T) {
	k := realKernel(t, true)
	m := kernelManager(t, 9, 15)
	assert.Empty(t, m.Install())
	wires, err := k.GetRules()
	require.NoError(t, err)
	require.NoError(t, k.DeleteRule(wires[1]))
	require.NoError(t, k.SetEnabled(false, libaudit.WaitForReply))

	found, err := m.Restore()
	require.NoError(t, err)
	assert.True(t, found.Disabled)
	require.Len(t, found.Removed, 1)
	assert.Equal(t, ours(os.Getpid())[1], found.Removed[0].String())
	assert.ElementsMatch(t, listed(t, ours(os.Getpid())...), kernelRules(t))
	assert.Equal(t, uint32(1), enabled(t))

	for _, wire := range wires {
		require.NoError(t, k.DeleteRule(wire))
	}
	require.NoError(t, m.Remove(), "what is gone already")
	assert.Equal(t, uint32(1), enabled(t))
}

func TestKernelLeftovers(t *testing.T) {
	realKernel(t, true)
	ended := exec.CommandContext(t.Context(), "true")
	require.NoError(t, ended.Run())
	crashed := New(Settings{Signals: []kill.Signal{1, 64}, Key: testKey, Self: ended.Process.Pid})
	assert.Empty(t, crashed.Install())
	require.NoError(t, crashed.add([]*managed{crashed.shield}))
	require.Len(t, kernelRules(t), 5)
	assert.Contains(t, kernelRules(t)[0], fmt.Sprintf("pid=%d", ended.Process.Pid), "the shield comes first")

	m := kernelManager(t, 9, 15)
	assert.Empty(t, m.Install())
	assertInKernel(t, ours(os.Getpid())...)
	require.NoError(t, m.Remove())
	require.NoError(t, crashed.Remove(), "what is gone already")
}

// Programs with this package under different names share the kernel, and each leaves the others what they need.
func TestKernelSharedWithAnotherProgram(t *testing.T) {
	realKernel(t, false)
	first := kernelManager(t, 9, 15)
	first.Install()
	end, other := startHolder(t)
	theirs := listed(t, ours(other, 9)...)
	assertInKernel(t, slices.Concat(ours(os.Getpid()), theirs)...)

	require.NoError(t, first.Remove())
	assertInKernel(t, theirs...)
	assert.Equal(t, uint32(1), enabled(t), "it would be blind")

	second := kernelManager(t, 9, 15)
	assert.Empty(t, second.Install())
	assertInKernel(t, slices.Concat(theirs, ours(os.Getpid()))...)
	require.NoError(t, second.Remove())

	end()
	third := kernelManager(t, 9, 15)
	assert.Empty(t, third.Install())
	assertInKernel(t, ours(os.Getpid())...)
	require.NoError(t, third.Remove())
	assert.Equal(t, uint32(1), enabled(t), "nothing shows any more that it was off")
}

// startHolder starts a program like this one under another name, whose file is gone as after an
// upgrade, and which has loaded its rules. end kills it.
func startHolder(t *testing.T) (end func(), pid int) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "otelcol-custom")
	content, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	audittest.WriteProgram(t, program, content)
	command := exec.CommandContext(t.Context(), program) //nolint:gosec // our own program
	command.Env = append(os.Environ(), roleVariable+"=hold")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is interrupted
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = stdin.Close() }) // it is, if the program has ended
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	end = sync.OnceFunc(func() {
		_ = command.Process.Kill() // it may have ended
		_ = command.Wait()         // it was killed
	})
	t.Cleanup(end)
	said, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "holds its rules\n", said)
	require.NoError(t, os.Remove(program))
	return end, command.Process.Pid
}

func TestKernelShield(t *testing.T) {
	k := realKernel(t, true)
	const broad = "-a always,exit -F arch=b64 -S madvise -k broad" // which is quiet, but one of ours
	loadRule(t, k, broad)
	m := kernelManager(t, 9, 15)
	assert.Empty(t, m.Install())
	shield := shieldFor(testKey, os.Getpid()).String()
	assertInKernel(t, slices.Concat([]string{shield, broad}, ours(os.Getpid()))...)

	loadRule(t, k, "-A always,exit -F arch=b64 -S madvise -k broader")
	found, err := m.Restore()
	require.NoError(t, err)
	assert.False(t, found.Any())
	assert.Equal(t, listed(t, shield), kernelRules(t)[:1])
	require.NoError(t, m.Remove())
	assert.Len(t, kernelRules(t), 2)
}

// The commands that people are told to run do what the Manager would do, and Check finds what they have loaded.
func TestKernelTakesTheCommands(t *testing.T) {
	needAuditctl(t)
	for name, signals := range map[string][]kill.Signal{
		"default": kill.DefaultSignals(), "one": {9}, "as many comparisons as there may be": {1, 64},
	} {
		t.Run(name, func(t *testing.T) {
			k := realKernel(t, false)
			m := New(Settings{Signals: signals, Key: "#$&;(*),<k>~=|", Logger: zaptest.NewLogger(t)})
			for _, line := range m.byHand() {
				shell(t, line)
			}
			assert.Equal(t, uint32(1), enabled(t), "auditctl -e 1")
			loaded := kernelRules(t)
			require.Len(t, loaded, 4)
			assert.Empty(t, m.Install())
			assert.Equal(t, loaded, kernelRules(t))
			require.NoError(t, m.Remove())
			assert.Equal(t, loaded, kernelRules(t))
			wires, err := k.GetRules()
			require.NoError(t, err)
			for _, wire := range wires {
				require.NoError(t, k.DeleteRule(wire))
			}
		})
	}
}

// The shipped rules are the managed ones, also according to auditctl.
func TestKernelTakesTheShippedRules(t *testing.T) {
	needAuditctl(t)
	realKernel(t, true)
	shell(t, "auditctl -R ../../deploy/audit_kill.rules")
	m := kernelManager(t, kill.DefaultSignals()...)
	assert.Empty(t, m.Install())
	assertInKernel(t, ours(0, kill.DefaultSignals()...)...)
	require.NoError(t, m.Remove())
	for _, line := range ours(0, kill.DefaultSignals()...) {
		require.NoError(t, auditcontrol.Client{}.DeleteRule(parse(t, line)))
	}
}

// An obstacle disappears with the command that is suggested for it.
func TestKernelObstacles(t *testing.T) {
	needAuditctl(t)
	for _, rule := range []string{
		"task,never",
		"always,exclude -F msgtype=OBJ_PID",
		"never,exit -S all -F uid=12345",
		"never,exit -F arch=b64 -S kill -F 'a1>=9' -k other",
	} {
		t.Run(rule, func(t *testing.T) {
			realKernel(t, true)
			shell(t, "auditctl -a "+rule)
			m := kernelManager(t, 9, 15)
			problems := m.Install()
			require.Len(t, problems, 1)
			require.Len(t, problems[0].Lines, 1)
			shell(t, problems[0].Lines[0])
			assertInKernel(t, ours(os.Getpid())...)
			require.NoError(t, m.Remove())
		})
	}
}

func TestKernelRefuses(t *testing.T) {
	audittest.Root(t, "take rights away from a process")
	nobody := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	for name, test := range map[string]struct {
		attributes syscall.SysProcAttr
		err        syscall.Errno
	}{
		"without rights": {
			syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
			syscall.EPERM,
		},
		"in a pid namespace":  {syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}, syscall.EPERM},
		"in a user namespace": {syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: nobody}, syscall.ECONNREFUSED},
	} {
		t.Run(name, func(t *testing.T) {
			realKernel(t, false)
			command := exec.CommandContext(t.Context(), "/proc/self/exe")
			command.Env = append(os.Environ(), roleVariable+"=install")
			command.SysProcAttr = &test.attributes
			command.Stderr = os.Stderr
			said, err := command.Output()
			require.NoError(t, err)
			assert.Contains(t, string(said), test.err.Error())
			for _, line := range New(Settings{Signals: []kill.Signal{9}, Key: testKey}).byHand() {
				assert.Contains(t, string(said), "\n"+line+"\n")
			}
			assert.Empty(t, kernelRules(t))
		})
	}
}
