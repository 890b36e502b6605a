// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"fmt"
	"strings"
	"time"
	"unsafe"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// boot is when the host of the records was started.
var boot = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// bytesOf returns what the kernel writes for a record.
func bytesOf[T any](r *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(r)), unsafe.Sizeof(*r)) //nolint:gosec // as the kernel lays it out
}

// kills is the record of kill(20, SIGTERM) by process 10, one second after boot.
func kills() *kernelSignalRecord {
	r := &kernelSignalRecord{
		Kind: kindSignal, Special: infoOwn, Group: 1, Signal: int32(kill.SIGTERM), Time: uint64(time.Second),
		Call:   kernelCall{Number: callKill, Pid: 20, Signal: int32(kill.SIGTERM)},
		Parent: 9, Sender: party(10, "sh"), Target: party(20, "mysqld"), AncestorCount: 2,
	}
	r.Sender.Uid, r.Sender.Euid, r.Sender.Suid = 1000, 0, 0
	r.Sender.Login, r.Sender.Session = 1000, 3
	r.Ancestors[0] = ancestor(9, "bash")
	r.Ancestors[1] = ancestor(1, "systemd")
	r.TitleLength = uint32(copy(r.Title[:], "sh\x00-c\x00kill 20\x00"))
	return r
}

// sends is kills with changes.
func sends(change func(*kernelSignalRecord)) *kernelSignalRecord {
	r := kills()
	change(r)
	return r
}

// party is a process of one thread that nobody logged in for.
func party(pid uint32, command string) kernelParty {
	p := kernelParty{
		Identity: kernelIdentity{Pid: pid, Start: uint64(pid)*uint64(tick) + 123},
		Group:    kernelGroup{Id: 77}, Thread: pid, Uid: 101, Euid: 101, Suid: 101, Login: ^uint32(0), Session: ^uint32(0),
	}
	copy(p.Command[:], command)
	copy(p.Leader[:], command)
	return p
}

func ancestor(pid uint32, command string) kernelAncestor {
	a := kernelAncestor{Pid: pid}
	copy(a.Command[:], command)
	return a
}

// execs is the record of a process that starts to run a program. The path has the last part first.
func execs(pid uint32, path, arguments string) []byte {
	r := &kernelExecRecord{
		Kind: kindExec, Identity: party(pid, "").Identity, Group: kernelGroup{Id: 77}, Parent: 1,
		PathLength: uint16(len(path)), ArgumentsLength: uint16(len(arguments)),
		MountNamespace: 6, Root: 5, UserLevel: 1, Uid: 1002, Session: 8,
	}
	copy(r.Command[:], strings.SplitN(path, "\x00", 2)[0])
	copy(r.Text[:], path+arguments)
	return bytesOf(r)[:int(execTextOffset)+len(path)+len(arguments)]
}

// makes is the record of a new control group.
func makes(id uint64, path string) []byte {
	r := &kernelCgroupRecord{Kind: kindCgroup, Group: kernelGroup{Id: id, Hierarchy: 4}, PathLength: uint32(len(path))}
	copy(r.Path[:], path)
	return bytesOf(r)[:int(cgroupPathOffset)+len(path)]
}

// fakeProcesses knows what the test says, and notes what is reported to it.
type fakeProcesses struct {
	// sessions are those that were reported.
	sessions []string
	told     []string
	known    map[int]process.Known
}

func (f *fakeProcesses) note(format string, args ...any) {
	f.told = append(f.told, fmt.Sprintf(format, args...))
}

func (f *fakeProcesses) Witness(key process.Key, session process.Session) {
	f.sessions = append(f.sessions, fmt.Sprintf("%v %+v", key, session))
}

func (f *fakeProcesses) Fork(parent, child process.Key) { f.note("fork %v %v", parent, child) }

func (f *fakeProcesses) Exec(x process.Exec) { f.note("exec %+v", x) }

func (f *fakeProcesses) Exit(key process.Key, _ time.Time) { f.note("exit %v", key) }

func (f *fakeProcesses) MadeCgroup(id process.CgroupID, path string) {
	f.note("cgroup %v %s", id, path)
}

func (*fakeProcesses) Identify(key process.Key, _ process.CgroupID) (instance *kill.Instance, executable string) {
	if key.PID == 0 {
		return nil, ""
	}
	return instanceOf(key.PID), "/usr/bin/program"
}

func (f *fakeProcesses) Doubt() { f.note("doubt") }

func (f *fakeProcesses) Changed(key process.Key, _ process.Session) { f.note("changed %v", key) }

func (f *fakeProcesses) Lookup(pid int) (process.Known, bool) {
	known, ok := f.known[pid]
	return known, ok
}

func (*fakeProcesses) Cgroup(id process.CgroupID) string { return fmt.Sprintf("/group-%d", id.ID) }

// instanceOf is what is known about a process, which is its party.
func instanceOf(pid int) *kill.Instance {
	return &kill.Instance{SinceBoot: time.Duration(pid) * tick, CommandLine: "program\x00"}
}

func newFakeEvents(known ...process.Known) (*events, *fakeProcesses) {
	fake := &fakeProcesses{known: make(map[int]process.Known)}
	for _, k := range known {
		fake.known[k.PID] = k
	}
	return &events{
		processes: fake, texts: texts{}, parents: parents{}, boot: boot, pageSize: testPage, severalNodes: func() bool { return false },
	}, fake
}

// testPage is how many bytes a page of the host has.
const testPage = 4096

// told is what an event says about the signal, in a form that can be compared. The pids and threads
// are those of the targets.
type told struct {
	Kind                 kill.Kind
	Signal               kill.Signal
	Syscall              string
	Origin               kill.Origin
	Cause                kill.Cause
	Scope                kill.Scope
	Error                string
	Delivery             kill.Delivery
	Code                 string
	Requested            int
	Sender, SenderThread int
	Targets, Threads     []int
	Count                int
	Complete             bool
}

func tell(e *kill.Event) told {
	t := told{
		Kind: e.Kind, Signal: e.Signal, Syscall: e.Syscall, Origin: e.Origin, Cause: e.Cause, Scope: e.Scope,
		Error: e.Result.Error, Delivery: e.Delivery, Code: e.Code, Requested: e.Requested,
		Sender: e.Sender.PID, SenderThread: e.Sender.ThreadID, Count: e.TargetCount, Complete: e.Complete,
	}
	for i := range e.Targets {
		t.Targets = append(t.Targets, e.Targets[i].PID)
		t.Threads = append(t.Threads, e.Targets[i].ThreadID)
	}
	return t
}
