// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/host"
)

// fact is what a systemd tells; exactly one of its fields is set.
type fact struct {
	Request  *request
	Job      *job
	Unit     *unit
	Login    *login
	Logout   *logout
	Shutdown *shutdown
}

type request struct {
	Requester struct {
		PID  int
		User user
	}
	Manager int
	Call    struct {
		Member, Object string
		Signal         int
		Job            uint32
	}
}

type job struct {
	Manager            int
	ID                 uint32
	Unit, Type, Result string
	Done               bool
}

type unit struct {
	Time                                              time.Time
	Manager                                           int
	Name, Active, Sub, Result                         string
	Names                                             []string
	StopTimeout, StartTimeout, RuntimeLimit, Watchdog time.Duration
}

type login struct {
	Manager int
	Session struct{ ID, Service, UserName, Address string }
	User    user
	Leader  int
}

type user struct {
	ID struct {
		Value uint32
		Known bool
	}
	Name string
}

type logout struct {
	Manager int
	ID      string
}

type shutdown struct{ Manager int }

// facts are those that the program prints that listens to systemds.
type facts struct {
	t *testing.T

	mu    sync.Mutex
	lines []fact
	said  bytes.Buffer
}

// program builds the program that listens to systemds, which is the receiver's own.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(harness.PublicDir(t), "facts")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", harness.Path(), "-o", path, "./internal/manager/facts") //nolint:gosec // a test's own
	build.Env = append(os.Environ(), "CGO_ENABLED=0")                                                                      // it also runs on a host without the libraries of this machine
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return path
}

// listen runs the program until the test ends.
func listen(t *testing.T, command *exec.Cmd) *facts {
	t.Helper()
	f := &facts{t: t}
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	complaints := new(harness.Output)
	command.Stderr = complaints
	harness.EndWithTest(command)
	require.NoError(t, command.Start())
	var reading sync.WaitGroup
	reading.Go(func() { f.read(output) })
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		reading.Wait()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("facts:\n%s\n%s", f.said.String(), complaints)
		}
	})
	return f
}

func (f *facts) read(output io.Reader) {
	lines := json.NewDecoder(output)
	for {
		var raw json.RawMessage
		if lines.Decode(&raw) != nil {
			return
		}
		var one fact
		err := json.Unmarshal(raw, &one)
		f.mu.Lock()
		f.said.Write(append(raw, '\n'))
		if err == nil {
			f.lines = append(f.lines, one)
		}
		f.mu.Unlock()
	}
}

// has reports whether a fact was told for which a condition holds.
func (f *facts) has(condition func(*fact) bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.lines {
		if condition(&f.lines[i]) {
			return true
		}
	}
	return false
}

// await waits for a fact.
func (f *facts) await(what string, condition func(*fact) bool) {
	f.t.Helper()
	harness.Eventually(f.t, func() bool { return f.has(condition) }, "a fact: %s", what)
}

// start boots a host whose systemd is listened to from this machine, which is outside of its container.
func start(t *testing.T, packages ...string) (*host.Host, *facts) {
	t.Helper()
	h := host.Boot(t, packages...)
	f := listen(t, exec.Command(program(t), strconv.Itoa(h.PID))) //nolint:gosec // was just built
	f.awaitBegin(h)
	return h, f
}

// listenInside has a user of a host listen to its systemds, as they are for him: that of the host has the pid 1.
func listenInside(t *testing.T, h *host.Host, user string, systemds ...string) *facts {
	t.Helper()
	h.Install(program(t), "/usr/local/bin/facts")
	command := []string{"--reuid", user, "--regid", user, "--clear-groups", "--pdeathsig", "TERM", "facts"}
	return listen(t, h.Command("setpriv", append(command, systemds...)...))
}

// awaitBegin waits until systemd is listened to.
func (f *facts) awaitBegin(h *host.Host) {
	f.t.Helper()
	begun := func(f *fact) bool { return f.Job != nil && f.Job.Unit == "begin.service" }
	h.Service("begin", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
	harness.Until(f.t, func() bool { return f.has(begun) }, func() { h.Root("systemctl", "start", "begin") }, "systemd is listened to")
}

// commandLine returns the command line of a process, with spaces between its arguments; empty if it has ended.
func commandLine(pid int) string {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return string(bytes.ReplaceAll(text, []byte{0}, []byte{' '}))
}
