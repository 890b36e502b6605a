// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"os"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// constraints are what was out of memory, by the number that the programs have for it (kernel/record.h,
// enum constraint). 0 is not known.
var constraints = [...]kill.OOMConstraint{
	"", kill.OOMConstraintNone, kill.OOMConstraintCpuset, kill.OOMConstraintMempolicy, kill.OOMConstraintMemcg,
}

// victim is the OOM killer's report of a victim: the thread that was running, and when; which process it
// is, what that held, and what was out of memory.
type victim struct {
	thread      uint32
	at          time.Duration
	pid         int
	memory      *kill.Memory
	outOfMemory *kill.OutOfMemory
}

// follows reports whether a victim is killed for the same lack of memory as the one before: the kernel may kill
// a whole group for it.
func (v *victim) follows(last *victim) bool {
	o, before := v.outOfMemory, last.outOfMemory
	return v.thread == last.thread && v.at >= last.at && v.at-last.at < loopWindow && o != nil && before != nil &&
		o.Constraint == before.Constraint && o.Cgroup == before.Cgroup && o.Limit == before.Limit
}

// victimOf returns what a record says.
func (m *events) victimOf(r *kernelVictimRecord, path []byte) victim {
	v := victim{thread: r.Thread, at: time.Duration(r.Time), pid: int(r.Pid)}
	if v.pid == 0 {
		return v
	}
	v.memory = &kill.Memory{ScoreAdj: kill.NewAmount(int64(r.ScoreAdj))}
	if r.HasMemory != 0 {
		v.memory.AnonRSS, v.memory.FileRSS, v.memory.ShmemRSS = m.pages(r.Anon), m.pages(r.File), m.pages(r.Shmem)
		v.memory.TotalVM, v.memory.PageTables = m.pages(r.Total), kill.NewAmount(int64(r.PageTables))
	}
	v.outOfMemory = m.outOfMemory(r, path)
	return v
}

func (m *events) outOfMemory(r *kernelVictimRecord, path []byte) *kill.OutOfMemory {
	o := &kill.OutOfMemory{Inferred: r.Observed == 0}
	if int(r.Constraint) < len(constraints) {
		o.Constraint = constraints[r.Constraint]
	}
	switch {
	case o.Constraint == kill.OOMConstraintMemcg:
		o.Cgroup = join(path)
		o.Limit, o.Usage = m.pages(r.Limit), m.pages(r.Usage)
	case o.Inferred && o.Constraint == kill.OOMConstraintNone && m.severalNodes():
		o.Constraint = "" // it may as well be a part of the host's memory
	}
	if r.Asked != 0 {
		o.Invoker = kill.Process{PID: int(r.Invoker), Command: m.texts.get(trimCommand(r.InvokerCommand[:]))}
	}
	return o
}

func (m *events) pages(n uint64) kill.Amount { return kill.NewAmount(int64(n) * m.pageSize) }

// severalNodes reports whether the host's memory has several nodes, so that a process may be kept from
// a part of it (set_mempolicy(2), cpuset(7)).
func severalNodes() bool {
	nodes, err := os.ReadFile("/sys/devices/system/node/has_memory")
	return err == nil && strings.ContainsAny(string(nodes), ",-")
}

// blame attributes a loop to the OOM killer if the report of a victim belongs to it.
func (l *loop) blame(v victim) {
	if l.mayBeOOM() && v.thread == l.thread && v.at > l.first-oomWindow && v.at < l.last+oomWindow {
		l.event.Cause, l.event.Trigger = kill.CauseOOM, nil
		l.event.Sender = kill.Process{} // the process that needed memory is not the killer
		l.note(v)
	}
}

// note keeps the first report of each victim: when the kernel kills all processes of a group, it has
// chosen one of them, and looks at that one again later (mm/oom_kill.c, oom_kill_process).
func (l *loop) note(v victim) {
	if _, known := l.victims[v.pid]; known || v.pid == 0 || len(l.victims) >= maxVictims {
		return
	}
	if l.victims == nil {
		l.victims = map[int]victim{}
	}
	l.victims[v.pid] = v
}

// describeMemory adds what is known about the victims to the event. Where several were killed for one
// lack of memory, the first report has the numbers: later ones show memory that was given back already.
func (l *loop) describeMemory() {
	var first time.Duration
	for i := range l.event.Targets {
		target := &l.event.Targets[i]
		v, known := l.victims[target.PID]
		if !known {
			continue
		}
		target.Memory = v.memory
		if l.event.OutOfMemory == nil || v.at < first {
			l.event.OutOfMemory, first = v.outOfMemory, v.at
		}
	}
}
