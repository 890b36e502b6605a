// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The scenario that two sources observe at the same time.

// scenario is a play with senders and their victims. All of them start before the
// collectors.
type scenario struct {
	t *testing.T
	// cast are the pids of all processes that send or die. brief are those that did not live
	// long enough for a source that only scans /proc.
	cast, brief map[int64]bool

	// root has all rights and user none; login has a login user, boxed is in a container,
	// inside in a pid namespace, odd has an odd name, and compat runs a 32-bit program
	// (nil if the kernel cannot).
	root, user, login, boxed, inside, odd, compat *process.Sender
	// leader leads its own process group.
	leader *process.Sender
	// suicide, abort and fault end themselves in three different ways.
	suicide, abort, fault *process.Sender
	last                  *process.Sender

	// victim and group are victims of root; members are leader and its victims. The others
	// are victims of the sender in their name.
	victim                  int
	group, members          []int
	ofLogin, ofBoxed, ofOdd int
	ofInside, ofLast        []int
}

const (
	loginUser = 1000 // need not exist
	boxID     = "5ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca1"
)

func newScenario(t *testing.T) *scenario {
	t.Helper()
	s := &scenario{t: t, cast: make(map[int64]bool), brief: make(map[int64]bool)}
	p := newPlayers(t)
	box := process.NewCgroup(t, "/auditkill-e2e.slice/docker-"+boxID+".scope")
	odd := filepath.Join(harness.PublicDir(t), "größe & co")
	harness.CopyProgram(t, p.program, odd)

	s.root, s.user, s.login = s.add(p.program), s.add(p.program, process.AsUser), s.add(p.program)
	s.login.Order(orders.Order{Call: orders.LogIn, User: loginUser})
	s.boxed, s.inside = s.add(p.program, process.InCgroup(t, box)), s.add(p.program, process.InPIDNamespace)
	s.odd, s.leader = s.add(odd), s.add(p.program)
	s.suicide, s.abort, s.fault = s.add(p.program), s.add(p.program), s.add(p.program)
	s.last = s.add(p.program)
	if p.program32 != "" {
		s.compat = s.add(p.program32)
	}
	s.victim, s.group = s.root.Start(1, false)[0], s.root.Start(3, true)
	s.members = append(s.leader.Start(3, false), s.leader.Inside)
	s.ofLogin, s.ofBoxed, s.ofOdd = s.login.Start(1, false)[0], s.boxed.Start(1, false)[0], s.odd.Start(1, false)[0]
	s.ofInside, s.ofLast = s.inside.Start(3, false), s.last.Start(2, false)
	return s
}

func (s *scenario) add(program string, options ...func(*exec.Cmd)) *process.Sender {
	s.t.Helper()
	sender := process.NewSender(s.t, program, options...)
	s.cast[int64(sender.PID)] = true
	return sender
}

// play plays the scenario.
func (s *scenario) play() {
	s.t.Helper()
	s.everyCall()
	s.fromAndToThreads()
	s.root.Send(orders.Order{Call: "kill", PID: -s.group[0], Signal: int(unix.SIGTERM), Times: 10}, s.group...)
	s.root.Send(orders.Order{Call: "kill", PID: -s.group[0], Signal: int(unix.SIGKILL)}, s.group...)
	s.leader.Send(orders.Order{Call: "kill", PID: 0, Signal: int(unix.SIGINT)}, s.members...)
	for _, other := range []int{s.ofLogin, s.ofBoxed, s.ofOdd, s.inside.Victims[s.ofInside[2]]} {
		s.root.Send(orders.Order{Call: "kill", PID: other, Signal: int(unix.SIGTERM)}, other)
	}
	s.inside.Send(orders.Order{Call: "tgkill", PID: s.ofInside[0], Thread: s.ofInside[0], Signal: int(unix.SIGHUP)}, s.ofInside[0])
	s.inside.Send(orders.Order{Call: "kill", PID: -1, Signal: int(unix.SIGTERM)}, s.ofInside...)
	s.inside.Send(orders.Order{Call: "kill", PID: s.ofInside[1], Signal: int(unix.SIGKILL)}, s.ofInside[1])
	s.refused()
	s.short()
	s.deaths()
	for _, pid := range s.ofLast {
		s.last.Send(orders.Order{Call: "kill", PID: pid, Signal: int(unix.SIGKILL)}, pid)
	}
}

// everyCall has all kinds of senders make every call.
func (s *scenario) everyCall() {
	senders := []*process.Sender{s.root, s.user, s.login, s.boxed, s.odd}
	if s.compat != nil {
		senders = append(senders, s.compat)
	}
	for _, sender := range senders {
		for _, call := range signalCalls {
			for _, signal := range []int{0, int(unix.SIGTERM), realtime, lastRealtime} {
				sender.Send(orders.Order{Call: call, PID: s.victim, Thread: s.victim, Signal: signal}, s.victim)
			}
		}
		sender.Rename("two\nlines")
		sender.Send(orders.Order{Call: "kill", PID: s.victim, Signal: int(unix.SIGHUP), Times: 20}, s.victim)
	}
}

func (s *scenario) fromAndToThreads() {
	thread := process.SecondThread(s.t, s.victim)
	for _, call := range signalCalls {
		order := orders.Order{Call: call, PID: s.victim, Thread: thread, Signal: int(unix.SIGTERM), From: "a thread ü"}
		if call == "tkill" {
			order.PID = thread
		}
		s.root.Send(order, s.victim)
	}
	const ofThread, ofProcess, ofGroup = 1, 2, 4 // PIDFD_SIGNAL_THREAD and so on, since Linux 6.9
	for _, flags := range []int{ofThread, ofProcess, ofGroup} {
		s.odd.Send(orders.Order{Call: "pidfd_send_signal", PID: s.victim, Signal: int(unix.SIGTERM), Flags: flags}, s.victim)
	}
}

// refused makes calls that fail.
func (s *scenario) refused() {
	for _, sender := range []*process.Sender{s.root, s.user, s.inside} {
		for _, call := range signalCalls {
			for _, signal := range []int{0, int(unix.SIGKILL)} {
				sender.Send(orders.Order{Call: call, PID: noSuchProcess, Thread: noSuchProcess, Signal: signal})
			}
		}
	}
	s.root.Send(orders.Order{Call: "kill", PID: -noSuchProcess, Signal: int(unix.SIGTERM)})
	s.root.Send(orders.Order{Call: "tgkill", PID: s.victim, Thread: noSuchProcess, Signal: int(unix.SIGTERM)})
	s.root.Send(orders.Order{Call: "pidfd_send_signal", PID: s.victim, Signal: int(unix.SIGTERM), Flags: 1 << 10})
}

// short starts senders and victims that end at once.
func (s *scenario) short() {
	programs := [][]string{{"sh", "-c", "kill -TERM $0"}, {"/bin/kill", "-TERM"}}
	if _, err := os.Stat("/bin/kill"); err != nil {
		require.NotEqual(s.t, "true", os.Getenv("CI"), "kill must be installed in CI")
		fmt.Fprintf(os.Stderr, "LEFT OUT of %s: kill is not installed; on Debian: apt-get install procps\n", s.t.Name())
		programs = programs[:1]
	}
	for range 5 {
		brief := s.root.Order(orders.Order{Call: orders.Brief, Path: "/bin/cat", Signal: int(unix.SIGKILL)})[0].Victims[0]
		s.brief[int64(brief)] = true
		for _, program := range programs {
			command := exec.CommandContext(s.t.Context(), program[0], append(program[1:], strconv.Itoa(s.victim))...) //nolint:gosec // as above
			require.NoError(s.t, command.Run())
			pid := int64(command.Process.Pid)
			s.cast[pid], s.brief[pid] = true, true
		}
	}
}

func (s *scenario) deaths() {
	s.suicide.Dies(orders.Order{Call: "kill", PID: s.suicide.Inside, Signal: int(unix.SIGKILL)})
	s.abort.Dies(orders.Order{Call: orders.Abort, Signal: int(unix.SIGABRT)})
	s.fault.Dies(orders.Order{Call: orders.Fault, Signal: int(unix.SIGSEGV)})
}
