// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// auditRules record kill(2) only with the signals of the load: Go programs, such as the compilers
// that run at the same time, send themselves thousands of other signals.
var auditRules = []string{
	"always,exit -F arch=b64 -S kill -F a1=0 -k audit_kill",
	"always,exit -F arch=b64 -S kill -F a1=18 -k audit_kill",
}

// startAuditd runs an audit daemon with auditRules until the test ends, and then restores
// everything.
func startAuditd(t *testing.T, settings string) *audit.Daemon {
	t.Helper()
	audit.Use(t)
	daemon := audit.NewDaemon(t, settings)
	daemon.Run()
	for _, rule := range auditRules {
		audit.AddRule(t, rule)
	}
	return daemon
}

// noSuchProcess is above the largest possible pid (include/linux/threads.h).
const noSuchProcess = 1 << 23

// load is a process that sends signals. The test process itself cannot: the kernel may
// not record what it sends (audit.Use).
type load struct {
	t       *testing.T
	pid     int
	sent    int
	command *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
}

func newLoad(t *testing.T) *load {
	t.Helper()
	audit.NoteSender(t)
	l := &load{t: t, command: exec.Command(os.Args[0])} //nolint:gosec // this program
	l.command.Env = append(os.Environ(), harness.RoleVariable+"=load")
	l.command.Stderr = os.Stderr
	var err error
	l.input, err = l.command.StdinPipe()
	require.NoError(t, err)
	output, err := l.command.StdoutPipe()
	require.NoError(t, err)
	l.output = bufio.NewReader(output)
	require.NoError(t, l.command.Start())
	l.pid = l.command.Process.Pid
	t.Cleanup(func() { _ = l.input.Close() })
	return l
}

// start has the process send signals, and returns the channel that finished needs.
func (l *load) start(calls int) <-chan string {
	l.sent += calls
	_, err := fmt.Fprintln(l.input, calls)
	require.NoError(l.t, err)
	done := make(chan string, 1)
	go func() {
		line, _ := l.output.ReadString('\n') // empty if the process has ended
		done <- line
	}()
	return done
}

func (l *load) finished(done <-chan string) bool {
	l.t.Helper()
	select {
	case line := <-done:
		require.Equal(l.t, "done\n", line)
		return true
	default:
		return false
	}
}

func (l *load) run(calls int) {
	l.t.Helper()
	done := l.start(calls)
	harness.Eventually(l.t, func() bool { return len(done) > 0 }, "%d signals are sent", calls)
	require.True(l.t, l.finished(done))
}

func (l *load) stop() {
	l.t.Helper()
	require.NoError(l.t, l.input.Close())
	require.NoError(l.t, l.command.Wait())
}

const members = 20

// runLoad reads a number from each line of its input, and sends so many signals in ways that lead
// to different records.
func runLoad() {
	pids, done := startMembers()
	defer done()
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		for i := range harness.Number(strings.TrimSpace(input.Text())) {
			switch {
			case i%100 == 99:
				_ = syscall.Kill(-pids[0], 0) // the whole group
			case i%50 == 25:
				_ = syscall.Kill(noSuchProcess, 0) // ESRCH
			case i%10 == 5:
				_ = syscall.Kill(pids[i%members], syscall.SIGCONT)
			default:
				_ = syscall.Kill(pids[i%members], 0)
			}
		}
		fmt.Println("done")
	}
}

// startMembers starts a process group, whose members end when their common input
// is closed.
func startMembers() (pids []int, done func()) {
	reader, writer, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	var commands []*exec.Cmd
	for range members {
		command := exec.Command("cat") // ends when its input is closed
		command.Stdin = reader
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if len(pids) > 0 {
			command.SysProcAttr.Pgid = pids[0]
		}
		if err := command.Start(); err != nil {
			panic(err)
		}
		pids = append(pids, command.Process.Pid)
		commands = append(commands, command)
	}
	return pids, func() {
		_ = writer.Close()
		for _, command := range commands {
			_ = command.Wait()
		}
	}
}
