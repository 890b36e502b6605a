// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The scenes that the senders play, each with its own senders.

// players has the programs of the senders.
type players struct {
	t *testing.T
	// program and program32 are for 64 and for 32 bits. program32 is empty if the
	// kernel cannot run it.
	program, program32 string
	// traced is true if the source is ebpf, which sees more of some calls.
	traced bool
}

func newPlayers(t *testing.T) *players {
	t.Helper()
	p := &players{t: t, program: process.NativeSender(t)}
	architecture, ok := process.Other32[runtime.GOARCH]
	if !ok {
		return p
	}
	p.program32 = process.BuildSender(t, architecture)
	if err := exec.CommandContext(t.Context(), p.program32).Run(); err != nil { //nolint:gosec // was just built
		fmt.Fprintf(os.Stderr, "SKIPPED a part of %s: the kernel runs no 32-bit programs (CONFIG_IA32_EMULATION): %v\n",
			t.Name(), err)
		p.program32 = ""
	}
	return p
}

// all plays every scene once.
func (p *players) all(listed []syscall.Signal) []*process.Sender {
	return slices.Concat(
		p.eachProgram(),
		p.everySignal(listed),
		p.threads(),
		p.groups(),
		p.namespace(),
		p.failures(),
		p.names(),
		p.selfKill(),
		p.parallel(),
	)
}

// eachProgram sends by every call from a program of each architecture.
func (p *players) eachProgram() []*process.Sender {
	senders := p.everyCall(p.program)
	if p.program32 != "" {
		senders = append(senders, p.everyCall(p.program32)...)
	}
	return senders
}

// everyCall sends a signal with each of the system calls.
func (p *players) everyCall(program string) []*process.Sender {
	s := process.NewSender(p.t, program)
	victim := s.Start(1, false)[0]
	for _, call := range signalCalls {
		s.Send(orders.Order{Call: call, PID: victim, Thread: victim, Signal: int(unix.SIGTERM)}, victim)
	}
	return []*process.Sender{s}
}

// everySignal sends all listed signals, and some that are not.
func (p *players) everySignal(listed []syscall.Signal) []*process.Sender {
	s := process.NewSender(p.t, p.program)
	for _, signal := range listed {
		victim := s.Start(1, false)[0]
		s.Send(orders.Order{Call: "kill", PID: victim, Signal: int(signal)}, victim)
		victim = s.Start(1, false)[0]
		s.Send(orders.Order{Call: "tgkill", PID: victim, Thread: victim, Signal: int(signal)}, victim)
	}
	victim := s.Start(1, false)[0]
	for _, other := range []syscall.Signal{
		0, unix.SIGUSR1, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH, notListed, lastRealtime + 1, -1,
	} {
		for _, call := range signalCalls {
			s.Unreported(orders.Order{Call: call, PID: victim, Thread: victim, Signal: int(other)})
		}
	}
	return []*process.Sender{s}
}

// threads sends to a thread that is not the first of its process.
func (p *players) threads() []*process.Sender {
	s := process.NewSender(p.t, p.program)
	victim := s.Start(1, false)[0]
	thread := process.SecondThread(p.t, victim)
	s.Send(orders.Order{Call: "tkill", PID: thread, Signal: int(unix.SIGTERM)}, victim)
	for _, call := range []string{"tgkill", "rt_tgsigqueueinfo"} {
		s.Send(orders.Order{Call: call, PID: victim, Thread: thread, Signal: int(unix.SIGTERM)}, victim)
	}
	return []*process.Sender{s}
}

// groups signals many processes with one call.
func (p *players) groups() []*process.Sender {
	s, own := process.NewSender(p.t, p.program), process.NewSender(p.t, p.program)
	members := s.Start(100, true)
	s.Send(orders.Order{Call: "kill", PID: -members[0], Signal: int(unix.SIGTERM)}, members...)
	s.Send(orders.Order{Call: "kill", PID: -members[0], Signal: int(unix.SIGKILL)}, members...)

	members = append(own.Start(3, false), own.Inside)
	own.Send(orders.Order{Call: "kill", PID: 0, Signal: int(unix.SIGINT)}, members...)
	return []*process.Sender{s, own}
}

// namespace sends signals into a pid namespace, and within one.
func (p *players) namespace() []*process.Sender {
	inside, outside := process.NewSender(p.t, p.program, process.InPIDNamespace), process.NewSender(p.t, p.program)
	require.Equal(p.t, 1, inside.Inside)
	all := inside.Start(10, false)
	inside.Send(orders.Order{Call: "kill", PID: all[0], Signal: int(unix.SIGTERM)}, all[0])
	inside.Send(orders.Order{Call: "tgkill", PID: all[1], Thread: all[1], Signal: int(unix.SIGTERM)}, all[1])
	inside.Send(orders.Order{Call: "kill", PID: -1, Signal: int(unix.SIGKILL)}, all...)
	// A process has one pid outside, and another one inside.
	victim := inside.Victims[inside.Start(1, false)[0]]
	outside.Send(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGKILL)}, victim)
	return []*process.Sender{inside, outside}
}

// failures makes calls that the kernel refuses.
func (p *players) failures() []*process.Sender {
	root, user := process.NewSender(p.t, p.program), process.NewSender(p.t, p.program, process.AsUser)
	victim := root.Start(1, false)[0]
	for _, call := range signalCalls {
		user.Send(orders.Order{Call: call, PID: victim, Thread: victim, Signal: int(unix.SIGKILL)}, victim)
		root.Send(orders.Order{Call: call, PID: noSuchProcess, Thread: noSuchProcess, Signal: int(unix.SIGKILL)})
	}
	// The kernel refuses these before it looks for the process.
	root.Send(orders.Order{Call: "pidfd_send_signal", PID: victim, Signal: int(unix.SIGTERM), Flags: 1 << 10})
	forged := orders.Order{Call: "rt_sigqueueinfo", PID: victim, Signal: int(unix.SIGTERM), Forged: true}
	if p.traced { // ebpf reports the target of a refused call
		root.Send(forged, victim)
	} else {
		root.Send(forged)
	}
	return []*process.Sender{root, user}
}

// names uses command names and paths that the kernel encodes in audit records.
func (p *players) names() []*process.Sender {
	directory := filepath.Join(harness.PublicDir(p.t), `a "quoted" folder, für alle`)
	require.NoError(p.t, os.Mkdir(directory, 0o755))
	var senders []*process.Sender
	for _, name := range []string{"with space", `"quoted"`, "größe", "=key,val", "(null)", "6162", "more than fifteen letters"} {
		path := filepath.Join(directory, name)
		harness.CopyProgram(p.t, p.program, path)
		s := process.NewSender(p.t, path)
		victim := s.Start(1, false)[0]
		s.Send(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGTERM)}, victim)
		s.Rename("two\nlines")
		s.Send(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGKILL)}, victim)
		senders = append(senders, s)
	}
	return senders
}

// selfKill has senders kill themselves, so that /proc has nothing about them any more.
func (p *players) selfKill() []*process.Sender {
	killed, queued := process.NewSender(p.t, p.program), process.NewSender(p.t, p.program)
	killed.Dies(orders.Order{Call: "kill", PID: killed.Inside, Signal: int(unix.SIGKILL)})
	queued.Dies(orders.Order{Call: "rt_tgsigqueueinfo", PID: queued.Inside, Thread: queued.Inside, Signal: int(unix.SIGKILL)})
	return []*process.Sender{killed, queued}
}

// parallel has several senders send at the same time. They send at a limited rate: the kernel does
// not make them wait for a collector in auditd's place, and would drop records.
func (p *players) parallel() []*process.Sender {
	const (
		parallel = 4
		calls    = 700
		rate     = 1500
	)
	var senders []*process.Sender
	var running sync.WaitGroup
	for range parallel {
		s := process.NewSender(p.t, p.program)
		senders = append(senders, s)
		victim := s.Start(1, false)[0]
		running.Go(func() {
			for _, call := range signalCalls {
				s.Send(orders.Order{
					Call: call, PID: victim, Thread: victim, Signal: int(unix.SIGHUP), Times: calls, Rate: rate,
				}, victim)
			}
		})
	}
	running.Wait()
	return senders
}
