// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// signaled is what a log record must say about one target of one call.
type signaled struct {
	Sender      int64
	Command     string
	Executable  string
	User        int64
	Arch        string
	Call        string
	Signal      int64
	Scope       string
	Result      string
	Error       string
	Target      int64
	TargetName  string
	TargetCount int64
}

// said is what a log record says.
func said(r record) signaled {
	text := func(name string) string {
		value, _ := r.Attributes[name].(string)
		return value
	}
	number := func(name string) int64 {
		value, _ := r.Attributes[name].(int64)
		return value
	}
	return signaled{
		Sender: number("process.pid"), Command: text("process.command"), Executable: text("process.executable.path"),
		User: number("process.user.id"), Arch: text("kill.audit.arch"),
		Call: text("kill.syscall"), Signal: number("kill.signal.number"), Scope: text("kill.scope"),
		Result: text("kill.result"), Error: text("error.type"),
		Target: number("kill.target.pid"), TargetName: text("kill.target.name"), TargetCount: number("kill.target.count"),
	}
}

// asToldBy leaves out what the source of a log record cannot know.
func (s signaled) asToldBy(r record) signaled {
	if r.Attributes["kill.source"] == "ebpf" {
		s.Arch = ""
	}
	return s
}

// sender is a process that sends signals as ordered (see sender/main.go). It is
// started after auditing was turned on: the kernel records no older processes.
type sender struct {
	t       *testing.T
	command *exec.Cmd
	input   io.WriteCloser
	output  *json.Decoder

	// pid is the process in the initial pid namespace, inside in its own.
	pid, inside int
	// victims are those in the initial pid namespace by what they are inside.
	victims map[int]int
	name    string
	arch    string
	// want are the log records that must come of what it did, in this order.
	want []signaled
	// took are the times of all calls, in nanoseconds.
	took []int64
}

// newSender starts a sender that is a process group of its own.
func newSender(t *testing.T, program string, options ...func(*exec.Cmd)) *sender {
	t.Helper()
	s := &sender{
		t: t, command: exec.Command(program), name: filepath.Base(program), arch: auditArch(program),
		victims: make(map[int]int),
	}
	s.name = s.name[:min(len(s.name), 15)] // TASK_COMM_LEN
	s.command.Stderr = os.Stderr
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for _, option := range options {
		option(s.command)
	}
	var err error
	s.input, err = s.command.StdinPipe()
	require.NoError(t, err)
	output, err := s.command.StdoutPipe()
	require.NoError(t, err)
	s.output = json.NewDecoder(output)
	require.NoError(t, s.command.Start())
	t.Cleanup(func() {
		_ = s.input.Close()  // the process ends with its input
		_ = s.command.Wait() // unless it has killed itself
	})
	s.pid = s.command.Process.Pid
	var hello orders.Truth
	require.NoError(t, s.output.Decode(&hello))
	s.inside = hello.PID
	s.victims[s.inside] = s.pid
	return s
}

// inPIDNamespace makes the sender the first process of a pid namespace.
func inPIDNamespace(command *exec.Cmd) { command.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID }

// asUser takes all rights from the sender.
func asUser(command *exec.Cmd) {
	command.SysProcAttr.Credential = &syscall.Credential{Uid: nobodyID, Gid: nobodyID}
}

// order returns all truths that come of an order but the last.
func (s *sender) order(order orders.Order) []orders.Truth {
	s.t.Helper()
	require.NoError(s.t, json.NewEncoder(s.input).Encode(order))
	var truths []orders.Truth
	for {
		var truth orders.Truth
		require.NoError(s.t, s.output.Decode(&truth), "the sender has ended")
		if truth.Done {
			return truths
		}
		truths = append(truths, truth)
	}
}

// start returns new victims, as the sender sees them.
func (s *sender) start(count int, group bool) []int {
	s.t.Helper()
	inside := s.order(orders.Order{Call: orders.Start, Count: count, Group: group})[0].Victims
	outside := s.outside()
	for _, pid := range inside {
		require.Contains(s.t, outside, pid)
		s.victims[pid] = outside[pid]
	}
	return inside
}

// outside returns the processes in the sender's pid namespace.
func (s *sender) outside() map[int]int {
	s.t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(s.t, err)
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", s.pid))
	require.NoError(s.t, err)
	pids := make(map[int]int)
	for _, process := range processes {
		namespace, err := os.Readlink(filepath.Join(process, "ns/pid"))
		if err != nil || namespace != own {
			continue // another's, or gone
		}
		status, err := os.ReadFile(filepath.Join(process, "status"))
		if err != nil {
			continue // gone
		}
		_, line, _ := strings.Cut(string(status), "\nNSpid:")
		line, _, _ = strings.Cut(line, "\n")
		seen := strings.Fields(line)
		pids[number(seen[len(seen)-1])] = number(filepath.Base(process))
	}
	return pids
}

// rename changes the sender's command name.
func (s *sender) rename(name string) {
	s.t.Helper()
	s.order(orders.Order{Call: orders.Rename, Name: name})
	s.name = name
}

// send carries out an order, for which the targets must be reported: none if
// the call does not get so far.
func (s *sender) send(order orders.Order, targets ...int) {
	s.t.Helper()
	want := s.expect(order, targets)
	for _, truth := range s.order(order) {
		s.took = append(s.took, truth.Nanoseconds)
		s.add(want, truth.Errno)
	}
}

// unreported carries out an order that must not be reported.
func (s *sender) unreported(order orders.Order) {
	s.t.Helper()
	for _, truth := range s.order(order) {
		s.took = append(s.took, truth.Nanoseconds)
	}
}

// dies carries out an order that ends the sender.
func (s *sender) dies(order orders.Order) {
	s.t.Helper()
	want := s.expect(order, []int{s.inside})
	require.NoError(s.t, json.NewEncoder(s.input).Encode(order))
	require.ErrorIs(s.t, s.output.Decode(&orders.Truth{}), io.EOF)
	var failed *exec.ExitError
	require.ErrorAs(s.t, s.command.Wait(), &failed)
	status, ok := failed.Sys().(syscall.WaitStatus)
	require.True(s.t, ok)
	require.Equal(s.t, syscall.Signal(order.Signal), status.Signal())
	s.add(want, 0)
}

// expect returns what is known of the log records before the call is made.
func (s *sender) expect(order orders.Order, targets []int) []signaled {
	one := signaled{
		Sender: int64(s.pid), Command: s.name, Executable: s.command.Path, Arch: s.arch,
		Call: order.Call, Signal: int64(order.Signal), Scope: scopeOf(order), TargetCount: int64(len(targets)),
	}
	if credential := s.command.SysProcAttr.Credential; credential != nil {
		one.User = int64(credential.Uid)
	}
	if len(targets) == 0 {
		if order.Call != "pidfd_send_signal" && order.Call != "tkill" {
			one.Target = int64(order.PID) // the one that was meant
		}
		return []signaled{one}
	}
	want := make([]signaled, len(targets))
	for i, target := range targets {
		if outside, ok := s.victims[target]; ok {
			target = outside
		}
		want[i] = one
		want[i].Target, want[i].TargetName = int64(target), commandName(s.t, target)
	}
	slices.SortFunc(want, byTarget)
	return want
}

// add notes down the log records of one call.
func (s *sender) add(want []signaled, errno int) {
	for _, one := range want {
		one.Result = "success"
		if errno != 0 {
			one.Result, one.Error = "failure", unix.ErrnoName(syscall.Errno(errno))
		}
		if one.Error == "EPERM" && one.TargetName == "" {
			one.Target = 0 // refused before it looked for the one that was meant
		}
		s.want = append(s.want, one)
	}
}

func byTarget(a, b signaled) int { return int(a.Target - b.Target) }

// Flags of pidfd_send_signal (include/uapi/linux/pidfd.h).
const (
	pidfdThread       = 1
	pidfdProcessGroup = 4
)

// scopeOf tells whom a call is addressed to (kill(2), pidfd_send_signal(2)).
func scopeOf(order orders.Order) string {
	switch {
	case order.Call == "pidfd_send_signal" && order.Flags == pidfdThread,
		order.Call == "tkill", order.Call == "tgkill", order.Call == "rt_tgsigqueueinfo":
		return "thread"
	case order.Call == "pidfd_send_signal" && order.Flags == pidfdProcessGroup, order.PID < -1:
		return "process_group"
	case order.PID == -1:
		return "all"
	case order.PID == 0:
		return "own_process_group"
	}
	return "process"
}

func commandName(t *testing.T, pid int) string {
	t.Helper()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	require.NoError(t, err)
	return strings.TrimSuffix(string(name), "\n")
}

// other32 is the architecture of 32-bit programs that this one may run.
var other32 = map[string]string{"amd64": "386", "arm64": "arm"}

// sendersVariable names the folder where the sending programs are, on a machine
// that has no Go to build them.
const sendersVariable = "AUDITKILL_E2E_SENDERS"

// nativeSender returns the path of the sending program.
func nativeSender(t *testing.T) string {
	t.Helper()
	return buildSender(t, runtime.GOARCH)
}

// buildSender returns the path of the sending program, for this architecture or
// its 32-bit sibling.
func buildSender(t *testing.T, architecture string) string {
	t.Helper()
	name := "sender-" + architecture
	if prebuilt := os.Getenv(sendersVariable); prebuilt != "" {
		return filepath.Join(prebuilt, name)
	}
	program := filepath.Join(publicDir(t), name)
	command := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./sender") //nolint:gosec // a test's own
	command.Env = append(os.Environ(), "GOARCH="+architecture, "CGO_ENABLED=0")
	said, err := command.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return program
}

// auditArch is what the kernel calls the architecture of a program.
func auditArch(program string) string {
	names := map[string]string{"386": "i386", "amd64": "x86_64", "arm": "arm", "arm64": "aarch64"}
	_, architecture, _ := strings.Cut(filepath.Base(program), "-")
	if name, ok := names[architecture]; ok {
		return name
	}
	return names[runtime.GOARCH]
}
