// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// What two sources look at together.

// scenario is a play of senders and their victims, each of which has lived for a
// while before it begins.
type scenario struct {
	t *testing.T
	// cast are all who send or die; brief are those of them that did not live long
	// enough to be noticed by who is not told of them.
	cast, brief map[int64]bool

	// root and user may do all and nothing; login has logged in, boxed is in a
	// container, inside in a pid namespace, odd has an odd name, compat runs a
	// 32-bit program (nil if the kernel does not).
	root, user, login, boxed, inside, odd, compat *sender
	// leader leads its own process group.
	leader *sender
	// suicide, abort and fault die in three ways.
	suicide, abort, fault *sender
	last                  *sender
}

const (
	loginUser = 1000 // whoever that is
	boxID     = "5ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca15ca1"
)

func newScenario(t *testing.T) *scenario {
	t.Helper()
	s := &scenario{t: t, cast: make(map[int64]bool), brief: make(map[int64]bool)}
	p := newPlayers(t)
	box := newCgroup(t, "/auditkill-e2e.slice/docker-"+boxID+".scope")
	odd := filepath.Join(publicDir(t), "größe & co")
	data, err := os.ReadFile(p.program)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(odd, data, 0o755))

	s.root, s.user, s.login = s.add(p.program), s.add(p.program, asUser), s.add(p.program)
	s.login.order(orders.Order{Call: orders.LogIn, User: loginUser})
	s.boxed, s.inside = s.add(p.program, inCgroup(t, box)), s.add(p.program, inPIDNamespace)
	s.odd, s.leader = s.add(odd), s.add(p.program)
	s.suicide, s.abort, s.fault = s.add(p.program), s.add(p.program), s.add(p.program)
	s.last = s.add(p.program)
	if p.program32 != "" {
		s.compat = s.add(p.program32)
	}
	return s
}

func (s *scenario) add(program string, options ...func(*exec.Cmd)) *sender {
	s.t.Helper()
	sender := newSender(s.t, program, options...)
	s.cast[int64(sender.pid)] = true
	return sender
}

// play does it all.
func (s *scenario) play() {
	s.t.Helper()
	victim, group := s.root.start(1, false)[0], s.root.start(3, true)
	members := append(s.leader.start(3, false), s.leader.inside)
	loggedIn, boxed, odd := s.login.start(1, false)[0], s.boxed.start(1, false)[0], s.odd.start(1, false)[0]
	inside, killed := s.inside.start(3, false), s.last.start(2, false)
	comeOfAge()

	s.everyCall(victim)
	s.fromAndToThreads(victim)
	s.root.send(orders.Order{Call: "kill", PID: -group[0], Signal: int(unix.SIGTERM), Times: 10}, group...)
	s.root.send(orders.Order{Call: "kill", PID: -group[0], Signal: 0}, group...)
	s.root.send(orders.Order{Call: "kill", PID: -group[0], Signal: int(unix.SIGKILL)}, group...)
	s.leader.send(orders.Order{Call: "kill", PID: 0, Signal: int(unix.SIGINT)}, members...)
	for _, other := range []int{loggedIn, boxed, odd, s.inside.victims[inside[2]]} {
		s.root.send(orders.Order{Call: "kill", PID: other, Signal: int(unix.SIGTERM)}, other)
	}
	s.inside.send(orders.Order{Call: "tgkill", PID: inside[0], Thread: inside[0], Signal: int(unix.SIGHUP)}, inside[0])
	s.inside.send(orders.Order{Call: "kill", PID: -1, Signal: int(unix.SIGTERM)}, inside...)
	s.inside.send(orders.Order{Call: "kill", PID: inside[1], Signal: int(unix.SIGKILL)}, inside[1])
	s.refused(victim)
	s.short(victim)
	s.deaths()
	for _, pid := range killed {
		s.last.send(orders.Order{Call: "kill", PID: pid, Signal: int(unix.SIGKILL)}, pid)
	}
}

// everyCall lets everybody make every call.
func (s *scenario) everyCall(victim int) {
	senders := []*sender{s.root, s.user, s.login, s.boxed, s.odd}
	if s.compat != nil {
		senders = append(senders, s.compat)
	}
	for _, sender := range senders {
		for _, call := range signalCalls {
			for _, signal := range []int{0, int(unix.SIGTERM), realtime, lastRealtime} {
				sender.send(orders.Order{Call: call, PID: victim, Thread: victim, Signal: signal}, victim)
			}
		}
		sender.rename("two\nlines")
		sender.send(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGHUP), Times: 20}, victim)
	}
}

func (s *scenario) fromAndToThreads(victim int) {
	thread := secondThread(s.t, victim)
	for _, call := range signalCalls {
		order := orders.Order{Call: call, PID: victim, Thread: thread, Signal: int(unix.SIGTERM), From: "a thread ü"}
		if call == "tkill" {
			order.PID = thread
		}
		s.root.send(order, victim)
	}
	const ofThread, ofProcess, ofGroup = 1, 2, 4 // PIDFD_SIGNAL_THREAD and so on, from Linux 6.9 on
	for _, flags := range []int{ofThread, ofProcess, ofGroup} {
		s.odd.send(orders.Order{Call: "pidfd_send_signal", PID: victim, Signal: int(unix.SIGTERM), Flags: flags}, victim)
	}
}

// refused are calls that come to nothing.
func (s *scenario) refused(victim int) {
	for _, sender := range []*sender{s.root, s.user, s.inside} {
		for _, call := range signalCalls {
			for _, signal := range []int{0, int(unix.SIGKILL)} {
				sender.send(orders.Order{Call: call, PID: noSuchProcess, Thread: noSuchProcess, Signal: signal})
			}
		}
	}
	s.root.send(orders.Order{Call: "kill", PID: -noSuchProcess, Signal: int(unix.SIGTERM)})
	s.root.send(orders.Order{Call: "tgkill", PID: victim, Thread: noSuchProcess, Signal: int(unix.SIGTERM)})
	s.root.send(orders.Order{Call: "pidfd_send_signal", PID: victim, Signal: int(unix.SIGTERM), Flags: 1 << 10})
}

// short are those who are gone at once.
func (s *scenario) short(victim int) {
	for range 5 {
		brief := s.root.order(orders.Order{Call: orders.Brief, Path: "/bin/cat", Signal: int(unix.SIGKILL)})[0].Victims[0]
		s.brief[int64(brief)] = true
		for _, program := range [][]string{{"sh", "-c", "kill -TERM $0"}, {"/bin/kill", "-TERM"}} {
			command := exec.CommandContext(s.t.Context(), program[0], append(program[1:], strconv.Itoa(victim))...) //nolint:gosec // as above
			require.NoError(s.t, command.Run())
			pid := int64(command.Process.Pid)
			s.cast[pid], s.brief[pid] = true, true
		}
	}
}

func (s *scenario) deaths() {
	s.suicide.dies(orders.Order{Call: "kill", PID: s.suicide.inside, Signal: int(unix.SIGKILL)})
	s.abort.dies(orders.Order{Call: orders.Abort, Signal: int(unix.SIGABRT)})
	s.fault.dies(orders.Order{Call: orders.Fault, Signal: int(unix.SIGSEGV)})
}
