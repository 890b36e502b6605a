// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

// maxKinds is how many kinds of signals the reader knows that were counted lately.
const maxKinds = 65536

// joiner takes signals that were counted (queue.Queue).
type joiner interface {
	Join(key queue.Key, count int, first, last time.Time, event func() *kill.Event)
}

// kinds has what the queue calls the kinds of signals that were counted lately.
type kinds map[kernelSumKey]queue.Key

// sum passes on signals that the programs have counted.
func (a *assembler) sum(kind *kernelSumKey, s *kernelSum, to joiner) {
	if kind.Kind != kindCall && kill.Signal(kind.Signal).Fatal() {
		a.exits.watch(key(&kind.Target), s.Target.Uid, time.Duration(s.Last))
	}
	var made *kill.Event
	name, known := a.kinds[*kind]
	if !known {
		made = a.events.counted(kind, s)
		name, _ = queue.KeyOf(made) // it has one target at most
		if len(a.kinds) >= maxKinds {
			clear(a.kinds)
		}
		a.kinds[*kind] = name
	}
	first, last := a.events.boot.Add(time.Duration(s.First)), a.events.boot.Add(time.Duration(s.Last))
	to.Join(name, int(s.Count), first, last, func() *kill.Event {
		if made == nil {
			made = a.events.counted(kind, s)
		}
		if forMany(&kind.Call) {
			made.TargetCount, made.Complete = -1, false // the others are told by themselves
		}
		return made
	})
}

// counted makes the event of the first of the signals that were counted.
func (m *events) counted(key *kernelSumKey, s *kernelSum) *kill.Event {
	r := &kernelSignalRecord{
		Kind: key.Kind, Special: key.Special, Group: key.Group, KernelThread: key.KernelThread,
		Signal: key.Signal, Code: key.Code, Result: key.Result, Call: key.Call, Time: s.First,
		Parent: s.Parent, Level: s.Level, Sender: partyOf(&key.Sender, &s.Sender), Target: partyOf(&key.Target, &s.Target),
	}
	switch key.Kind {
	case kindDeath:
		return m.death(r)
	case kindCall:
		return m.call(r)
	}
	e := m.signal(r)
	e.Trigger = nil // there is no more than a count
	if r.Special == infoPriv && e.Origin == kill.OriginKernel && e.Signal == kill.SIGKILL {
		e.Sender = kill.Process{} // it may be the OOM killer's: the process that needed memory is not the killer
	}
	return e
}

func partyOf(identity *kernelIdentity, p *kernelSumParty) kernelParty {
	return kernelParty{
		Identity: *identity, Thread: p.Thread, Uid: p.Uid, Euid: p.Euid, Suid: p.Suid,
		Login: p.Login, Session: p.Session, Command: p.Command, Leader: p.Leader,
	}
}
