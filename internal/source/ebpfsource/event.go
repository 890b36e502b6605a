// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"bytes"
	"os"
	"sync"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// sourceName is the value of kill.source.
const sourceName = "ebpf"

// pidfdThread and pidfdGroup are flags of pidfd_send_signal (include/uapi/linux/pidfd.h).
const (
	pidfdThread = 1
	pidfdGroup  = 4
)

// Errors of a call that have a meaning of their own here (include/uapi/asm-generic/errno-base.h).
const (
	errnoPermission = 1  // EPERM: a process was found
	errnoSearch     = 3  // ESRCH: no process was found
	errnoAgain      = 11 // EAGAIN: the target's queue is full
)

// processes knows more about a process than the kernel reports with a signal.
type processes interface {
	Fork(parent, child process.Key)
	Witness(key process.Key, session process.Session)
	Exec(exec process.Exec)
	Changed(key process.Key, session process.Session)
	Exit(key process.Key, at time.Time)
	MadeCgroup(id process.CgroupID, path string)
	Identify(key process.Key, cgroup process.CgroupID) (instance *kill.Instance, executable string)
	Lookup(pid int) (process.Known, bool)
	Cgroup(id process.CgroupID) string
	Doubt()
}

// events makes events from single records.
type events struct {
	processes processes
	texts     texts
	parents   parents
	// boot is when the host was started, by the wall clock, which may be set.
	boot    time.Time
	moments moments
	// pageSize is how many bytes a page has.
	pageSize int64
	// severalNodes reports whether the host's memory has several nodes.
	severalNodes func() bool
	// asked are the signals that were asked for, bit n-1 being signal n; 0 if that does not matter.
	asked uint64
}

// wasAsked reports whether a signal is one that was asked for, not only one that ends its target.
func (m *events) wasAsked(signal int32) bool {
	return m.asked == 0 || signal <= 0 || signal > 64 || m.asked>>(signal-1)&1 != 0
}

// signal makes the event of a signal that was generated, with its one target.
func (m *events) signal(r *kernelSignalRecord) *kill.Event {
	signal := kill.Signal(r.Signal)
	e := m.begin(kill.KindSignal, r)
	e.EndsTarget = !m.wasAsked(r.Signal)
	e.Code, e.Delivery, e.Result = codeName(signal, r.Code), deliveryOf(signal, r.Result), kill.Success()
	if r.Special != infoOwn {
		e.Code = ""
	}
	switch {
	case byCall(r):
		m.addCall(e, r)
		m.addSender(e, r)
		if r.Result == overflow {
			e.Result = failure(errnoAgain)
		}
	default:
		e.Origin, e.Scope = kill.OriginKernel, kill.ScopeProcess
		m.addCause(e, r)
		if prompted(r, e.Cause) {
			m.addSender(e, r)
		}
	}
	m.addTarget(e, &r.Target)
	e.TargetCount = len(e.Targets)
	return e
}

// call makes the event of a call that has generated no signal.
func (m *events) call(r *kernelSignalRecord) *kill.Event {
	e := m.begin(kill.KindSignal, r)
	e.Signal, e.Result = kill.Signal(r.Call.Signal), failure(int(-r.Result))
	m.addCall(e, r)
	m.addSender(e, r)
	asked := r.Target.Identity
	switch {
	case -r.Result == errnoSearch:
	case asked.Pid != 0 && asked.Start != 0:
		m.addTarget(e, &r.Target)
	case asked.Pid != 0: // by a pidfd, of which the kernel tells no more before Linux 6.2
		m.lookup(e, int(asked.Pid))
	case e.Scope.Single() && r.Level == 0:
		m.lookup(e, e.Requested)
	}
	if len(e.Targets) > 0 || r.Result != 0 && -r.Result != errnoPermission {
		e.TargetCount = len(e.Targets) // else there are targets, but it is not known which
	}
	return e
}

// death makes the event of a process that dies of a signal that dumps core.
func (m *events) death(r *kernelSignalRecord) *kill.Event {
	e := m.begin(kill.KindAbend, r)
	e.Origin, e.Cause, e.Scope, e.Result = kill.OriginKernel, causeOfDeath(e.Signal, r.Code, r.Number != 0), kill.ScopeProcess, kill.Success()
	e.Code = codeName(e.Signal, r.Code)
	m.addTarget(e, &r.Target)
	e.TargetCount = 1
	return e
}

// exit makes the end of a process.
func (m *events) exit(r *kernelExitRecord) *kill.End {
	who := key(&r.Identity)
	return &kill.End{
		PID: who.PID, Start: who.Start, Time: m.boot.Add(time.Duration(r.Time)),
		Exit: kill.Exit{Known: true, Status: int(r.Status)}, Command: m.texts.get(trimCommand(r.Command[:])),
		User: kill.NewID(r.Uid),
	}
}

// unexplained adds to the end of a process what is known about it, as no signal to it was seen.
func (m *events) unexplained(end *kill.End, r *kernelExitRecord) {
	end.Source = sourceName
	who := key(&r.Identity)
	known, ok := m.processes.Lookup(who.PID)
	if !ok || known.Key != who {
		instance, executable := m.processes.Identify(who, process.CgroupID{})
		known = process.Known{Key: who, Executable: executable, Instance: instance}
	}
	end.Process = describe(&known)
	end.Process.Command, end.Process.Leader = end.Command, end.Command
	end.Process.User, end.Process.Login, end.Process.Session = user(r.Uid), user(r.Login), kill.NewID(r.Session)
	// Not the parent that the table knows: if that has waited for the process, /proc shows nothing any more.
	if parent, ok := m.processes.Lookup(int(r.Parent)); ok && parent.Start <= who.Start {
		end.Parent = describe(&parent)
	}
}

// describe returns a process as far as the table knows it.
func describe(known *process.Known) *kill.Process {
	p := &kill.Process{
		PID: known.PID, Command: known.Command, Leader: known.Command, Executable: known.Executable, Instance: known.Instance,
		User: kill.User{ID: known.RealUser}, Login: kill.User{ID: known.Login}, Session: known.Session,
	}
	if known.Instance != nil {
		p.Home = known.Instance.Home
	}
	return p
}

// request makes the request of a process that has connected to a manager, or has sent it a call.
func (m *events) request(r *kernelRequestRecord, call *attribution.Call) *attribution.Request {
	request := &attribution.Request{
		Time: m.boot.Add(time.Duration(r.Time)), Manager: int(r.Listener),
		Socket: m.texts.get(trimCommand(r.Socket[:])), Call: call,
	}
	m.fillActor(&request.Requester, &actor{
		party: &r.Requester, parent: r.Parent, level: r.Level,
		title: first(r.Title[:], r.TitleLength), ancestors: first(r.Ancestors[:], r.AncestorCount),
	})
	return request
}

func (m *events) begin(kind kill.Kind, r *kernelSignalRecord) *kill.Event {
	return &kill.Event{
		Kind: kind, Time: m.boot.Add(m.moments.unlike(r.Sender.Thread, time.Duration(r.Time))), Signal: kill.Signal(r.Signal), SignalKnown: true,
		TargetCount: -1, Complete: true, Source: sourceName,
	}
}

// byCall reports whether the signal was sent by the system call that the sender is in, not
// by the kernel during that call.
func byCall(r *kernelSignalRecord) bool {
	if r.Special != infoOwn || r.Call.Number == callNone || r.Call.Signal != r.Signal || r.KernelThread != 0 {
		return false
	}
	switch r.Call.Number {
	case callKill:
		return r.Code == codeUser
	case callTkill, callTgkill:
		return r.Code == codeTkill
	}
	// The sender chooses it, to itself even one of the kernel's (kernel/signal.c, do_rt_sigqueueinfo).
	return r.Code <= 0 || r.Sender.Identity == r.Target.Identity
}

func failure(errno int) kill.Result {
	if errno == 0 {
		return kill.Success()
	}
	name := auditrecord.ErrorName(errno)
	if name == "" {
		name = "_OTHER" // OpenTelemetry's error.type for an error without a name
	}
	return kill.Result{Known: true, Errno: errno, Error: name}
}

// addCall adds how the signal was sent.
func (m *events) addCall(e *kill.Event, r *kernelSignalRecord) {
	e.Origin = kill.OriginUser
	if int(r.Call.Number) < len(callNames) {
		e.Syscall = callNames[r.Call.Number]
	}
	e.Scope, e.Requested = scopeOf(&r.Call, r.Group != 0 || r.Kind == kindCall)
}

// scopeOf returns what kind of target a call addressed, and the pid, thread id or group
// that it named, in the sender's pid namespace. group is true unless the signal went to a
// thread, which a pidfd may refer to.
func scopeOf(c *kernelCall, group bool) (kill.Scope, int) {
	pid := int(c.Pid)
	switch c.Number {
	case callTkill, callTgkill, callTgsigqueue:
		return kill.ScopeThread, max(pid, 0) // these calls address no groups
	case callSigqueue:
		return kill.ScopeProcess, max(pid, 0)
	case callPidfd:
		switch {
		case c.Flags == pidfdGroup:
			return kill.ScopeProcessGroup, 0
		case c.Flags == pidfdThread, c.Flags == 0 && !group:
			return kill.ScopeThread, 0
		}
		return kill.ScopeProcess, 0
	}
	return kill.ScopeOf(pid)
}

func (m *events) addSender(e *kill.Event, r *kernelSignalRecord) {
	m.fillActor(&e.Sender, &actor{
		party: &r.Sender, parent: r.Parent, level: r.Level,
		title: first(r.Title[:], r.TitleLength), ancestors: first(r.Ancestors[:], r.AncestorCount),
	})
}

// first returns the first n of all.
func first[T any](all []T, n uint32) []T { return all[:min(int(n), len(all))] }

// actor is what is told of a process that does something.
type actor struct {
	party         *kernelParty
	parent, level uint32
	title         []byte
	ancestors     []kernelAncestor
}

func (m *events) fillActor(to *kill.Process, a *actor) {
	m.fill(to, a.party)
	m.processes.Witness(key(&a.party.Identity), process.Session{Number: a.party.Session, User: a.party.Uid})
	to.User = user(a.party.Euid)
	to.RealUser, to.SavedUser = user(a.party.Uid), user(a.party.Suid)
	to.ParentPID = int(a.parent)
	to.Home.PIDs = kill.WhoseHost
	if a.level > 0 {
		to.Home.PIDs = kill.WhoseOther
	}
	to.Title = m.texts.get(trimTitle(a.title))
	to.Ancestry = m.parents.get(&a.party.Identity, a.ancestors, &m.texts)
}

func (m *events) addTarget(e *kill.Event, p *kernelParty) {
	t := e.AddTarget()
	m.fill(t, p)
	t.User = user(p.Uid)
}

func (m *events) fill(to *kill.Process, p *kernelParty) {
	to.PID, to.ThreadID = int(p.Identity.Pid), int(p.Thread)
	to.Command = m.texts.get(trimCommand(p.Command[:]))
	to.Leader = m.texts.get(trimCommand(p.Leader[:]))
	to.Login, to.Session = user(p.Login), kill.NewID(p.Session)
	to.Instance, to.Executable = m.processes.Identify(key(&p.Identity), cgroup(&p.Group))
	if to.Instance != nil {
		to.Home = to.Instance.Home
	}
}

// lookup adds the process with a pid that the sender named, where the kernel could not say more.
func (m *events) lookup(e *kill.Event, pid int) {
	known, ok := m.processes.Lookup(pid)
	if !ok {
		return
	}
	*e.AddTarget() = *describe(&known)
}

func user(id uint32) kill.User { return kill.User{ID: kill.NewID(id)} }

// tick is the resolution of a process's start time (kill.Instance).
const tick = 10 * time.Millisecond

func key(i *kernelIdentity) process.Key {
	return process.Key{PID: int(i.Pid), Start: time.Duration(i.Start).Truncate(tick)}
}

func cgroup(g *kernelGroup) process.CgroupID {
	return process.CgroupID{Hierarchy: int(g.Hierarchy), ID: g.Id}
}

// exec updates the process table with what a process now runs.
func (m *events) exec(x *execution) {
	m.processes.Exec(process.Exec{
		Key: key(&x.Identity), Parent: int(x.Parent),
		Command:     string(trimCommand(x.Command[:])),
		Executable:  x.executable(),
		CommandLine: string(bytes.TrimRight(x.arguments, "\x00")),
		Cgroup:      cgroup(&x.Group),
		Session:     process.Session{Number: x.Session, User: x.Uid},
		Namespaces:  process.Namespaces{Mount: x.MountNamespace, Root: x.Root, UserLevel: int(x.UserLevel)},
	})
}

func newEvents(processes processes) *events {
	return &events{
		processes: processes, texts: texts{}, parents: parents{}, boot: process.BootTime(),
		pageSize: int64(os.Getpagesize()), severalNodes: sync.OnceValue(severalNodes), // nodes come with new hardware only
	}
}
