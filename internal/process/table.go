// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
)

const (
	// defaultMax bounds the processes that are remembered. Few hosts have that many; each takes
	// some 500 bytes.
	defaultMax = 1 << 16
	// maxCommandLine is how much of a command line is remembered: enough for anything that people
	// type, while a class path may be megabytes long.
	maxCommandLine = 4096
	// readsPerSecond bounds what questions about unknown processes cost the caller: at some 40 µs
	// each, two percent of a processor.
	readsPerSecond = 500
)

// Config says which host the processes belong to.
type Config struct {
	// Root is the root of the host's file system; "" or "/" is this one.
	Root string
	// Host is the host's name; if it is empty, every named host counts as another one.
	Host string
	// Max bounds the processes that are remembered, including ended ones; 0 means the default.
	Max    int
	Logger *zap.Logger
	// Container is called with the id of a container, and its pod's uid, when a control group of it is seen for the
	// first time, and perhaps again; nil if nobody wants to know. It must not wait, nor ask the table.
	Container func(id, pod string)
}

// CgroupID identifies a control group as the kernel does.
type CgroupID struct {
	// Hierarchy is 0 for cgroup v2, and the number in /proc/cgroups for v1.
	Hierarchy int
	// ID is its kernfs id, which is the inode number of its folder.
	ID uint64
}

// Exec is what a process now runs.
type Exec struct {
	Key
	Parent              int
	Command, Executable string
	// CommandLine has a NUL after each argument.
	CommandLine string
	Cgroup      CgroupID
	Namespaces  Namespaces
	// Session is what it has just been in, before it may have changed anything.
	Session Session
}

// Counts are the table's own numbers.
type Counts struct {
	// Size is how many processes it remembers, including ended ones.
	Size int
	// Evicted is how many it had to forget for lack of room.
	Evicted uint64
}

// Table remembers the processes of a host, including some that have ended. It identifies a process
// by its pid and the time it was created, so that a process with a reused pid never inherits a
// name.
//
// It learns from reports (Fork, Exec, Exit, MadeCgroup), which are exact, or from /proc (Prime,
// Run), or from both. It is safe for concurrent use.
type Table struct {
	logger *zap.Logger
	proc   *proc
	// host is the name of the host, boot the time it started: see bootTime.
	host string
	boot time.Time
	// now is the time since boot, wall that of the wall clock.
	now  func() time.Duration
	wall func() time.Time
	// bootNow is when the host was started by the wall clock, as of bootAsked.
	bootNow, bootAsked time.Time
	// programs counts what processes were seen to run.
	programs atomic.Uint64

	mu      sync.Mutex
	memory  memory
	cgroups cgroups
	homes   homes
	reads   budget
	// openings are the reads for Opening.
	openings budget
	scanned  snapshot
	round    uint64
	batch    batch
}

// NewTable returns an empty table.
func NewTable(config Config) *Table {
	if config.Max <= 0 {
		config.Max = defaultMax
	}
	if config.Logger == nil {
		config.Logger = zap.NewNop()
	}
	return &Table{
		logger:  logsampling.New(config.Logger),
		proc:    newProc(config.Root),
		host:    config.Host,
		boot:    BootTime(),
		now:     SinceBoot,
		wall:    time.Now,
		memory:  newMemory(config.Max),
		cgroups: newCgroups(config.Root, config.Container),
		homes:   newHomes(config.Root),
		reads:   budget{perSecond: readsPerSecond}, openings: budget{perSecond: openingsPerSecond},
	}
}

// Fork reports that parent has created child, which runs the same program.
func (t *Table) Fork(parent, child Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entryOf(child)
	if e.gone { // its pid was reused within a tick
		t.programs.Add(1)
		e.program, e.before, e.reported, e.gone, e.instance, e.owner = nil, nil, false, false, nil, owner{}
		e.home = home{}
	}
	e.parent = parent.PID
	p := t.memory.find(parent.rounded())
	e.begun = begun{}
	if p != nil {
		e.begun = p.begun
	}
	if e.program != nil {
		return // /proc was quicker, and already knows a later program
	}
	if p != nil {
		e.program, e.reported = p.program, p.reported
		e.place, e.cgroup = p.place, p.cgroup
		e.home = p.home
		e.home.PIDs = kill.WhoseUnknown // unshare(2) gives the children another pid namespace
	}
}

// Exec reports that a process runs another program.
func (t *Table) Exec(x Exec) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entryOf(x.Key)
	t.programs.Add(1)
	e.parent = x.Parent
	e.program = &program{
		command: x.Command, executable: withoutDeleted(x.Executable),
		commandLine: trimCommandLine(x.CommandLine),
	}
	e.reported, e.instance, e.owner = true, nil, owner{}
	e.begun.learn(x.Session)
	if x.Executable == "" {
		e.program, e.reported = nil, false // its path is too long to be reported, but /proc may know it
	}
	if t.memory.newest[e.PID] == e {
		e.gone = false // it seemed to be, because /proc did not know it yet
	}
	t.arrive(e, x.Namespaces)
	t.move(e, x.Cgroup)
}

// Doubt reports that something that happened to processes went unreported: any of them may run
// another program by now, so /proc has to be read.
func (t *Table) Doubt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.programs.Add(1)
	for _, e := range t.memory.newest {
		for ; e != nil; e = e.older {
			e.doubt()
			e.begun.doubt()
		}
	}
}

// Changed reports that one process runs another program, and for whom. Nothing else was reported: /proc has to be read.
func (t *Table) Changed(key Key, session Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entryOf(key) // a new one, lest what is known of an earlier process with that pid is taken for this one's
	t.programs.Add(1)
	e.doubt()
	e.begun.learn(session)
}

// doubt forgets what a process runs.
func (e *entry) doubt() {
	e.program, e.before, e.reported, e.instance, e.owner = nil, nil, false, nil, owner{}
	e.home = home{}
	if e.gone {
		e.program = &program{} // never to be known
	}
}

// Exit reports that a process has ended at a time. The table remembers it for a while, because ended
// processes are signaled, too, and events come late.
func (t *Table) Exit(key Key, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entryOf(key)
	e.left = at.UnixNano()
	t.memory.leave(e)
}

// LeftBefore reports whether it is known that a process had ended before a time. The process is one with an Instance.
func (t *Table) LeftBefore(p *kill.Process, at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Instance == nil {
		return false
	}
	e := t.memory.find(Key{PID: p.PID, Start: p.Instance.SinceBoot}.rounded())
	return e != nil && e.left != 0 && e.left < at.UnixNano()
}

// MadeCgroup reports the path of a new control group.
func (t *Table) MadeCgroup(id CgroupID, path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cgroups.add(id, path)
}

// Cgroup returns the path of a control group; empty if it is not known.
func (t *Table) Cgroup(id CgroupID) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.cgroups.find(id); known != nil {
		return known.path
	}
	return ""
}

// Identify returns what is known about a process that the kernel reported, and about the program it
// runs. For a known process that takes no memory and no system call.
func (t *Table) Identify(key Key, cgroup CgroupID) (instance *kill.Instance, executable string) {
	if key.PID <= 0 {
		return nil, "" // the kernel itself
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entryOf(key)
	if e.program == nil && t.reads.take() {
		t.readUnknown(e)
	}
	t.move(e, cgroup)
	if e.program == nil {
		return t.describe(e, &program{}), ""
	}
	return t.instanceOf(e), e.program.executable
}

// Counts returns the table's own numbers.
func (t *Table) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Counts{Size: t.memory.size, Evicted: t.memory.evicted}
}

// entryOf returns the entry of a process, which may be new.
func (t *Table) entryOf(key Key) *entry {
	key = key.rounded()
	e := t.memory.find(key)
	if e == nil {
		e = &entry{Key: key, round: t.round}
		t.memory.add(e)
	}
	return e
}

// readUnknown reads from /proc what a process runs of which only the key is known.
func (t *Table) readUnknown(e *entry) {
	if t.refresh(e.PID) != e || e.program == nil {
		e.program = &program{} // it is gone, so this will never be known
		t.memory.leave(e)
	}
}

// move moves a process to another control group; zero is an unknown one.
func (t *Table) move(e *entry, id CgroupID) {
	if id.ID == 0 || id == e.cgroup {
		return
	}
	p := t.cgroups.find(id)
	if _, ok := t.cgroups.mounts[id.Hierarchy]; ok && p == nil && id != e.sought && t.reads.take() {
		p, e.sought = t.cgroups.ask(t.proc, e.PID, id), id
	}
	switch {
	case p != nil:
		e.place, e.cgroup, e.instance = p, id, nil
	case e.cgroup.ID != 0:
		// It has left the known group. Where it went may become known later.
		e.place, e.cgroup, e.instance = nil, CgroupID{}, nil
	}
}

// instanceOf returns what events share about a process. It is made anew once the clock was set.
func (t *Table) instanceOf(e *entry) *kill.Instance {
	if e.instance == nil || !e.instance.Start.Equal(t.bootTime().Add(e.Start)) {
		e.instance = t.describe(e, e.program)
	}
	return e.instance
}

// clockStep is by how much the clock must be set to change when processes were started: some hosts have
// no clock of their own, and begin in 1970. While it is only adjusted, a process keeps one start time.
const clockStep = time.Second

// bootTime returns when the host was started, from which the start times of processes are counted.
func (t *Table) bootTime() time.Time {
	if now := t.booted(); now.Sub(t.boot).Abs() > clockStep {
		t.boot = now.UTC().Round(time.Millisecond)
	}
	return t.boot
}

// describe makes what events share.
func (t *Table) describe(e *entry, p *program) *kill.Instance {
	i := &kill.Instance{Start: t.bootTime().Add(e.Start), SinceBoot: e.Start, CommandLine: p.commandLine}
	if e.place != nil {
		i.Cgroup = e.place.path
		i.Container, i.Pod, i.Unit = e.place.container, e.place.pod, e.place.unit
	}
	i.Home = e.whose(p)
	return i
}

// withoutDeleted removes what the kernel appends to the path of a program whose file was replaced,
// as any upgrade does (fs/d_path.c).
func withoutDeleted(path string) string { return strings.TrimSuffix(path, " (deleted)") }
