// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Field is something that all members may have in common.
type Field uint8

const (
	SignalName Field = iota
	Cause
	UserID
	UserName
	Client
	Session
	TargetName
	TargetUnit
	TargetExecutable
	TargetContainer
	TargetContainerName
	TargetPod
	TargetPodName
	TargetNamespace
	SenderName
	SenderPath
	SenderUserID
	SenderUserName
	RequesterPID
	RequesterName
	RequesterPath
	RequesterTitle
	RequesterUnit
	RequesterUserID
	RequesterUserName
	InitiatorPID
	InitiatorName
	InitiatorTitle
	OOMCgroup
	Fields // how many there are
)

// fields has a bit for each Field.
type fields uint32

// attributes are their usual names. Some are numbers, some mean something on one host only.
var attributes = [Fields]struct {
	name          string
	number, local bool
}{
	SignalName: {name: "kill.signal.name"}, Cause: {name: "kill.cause"}, UserID: {name: "user.id"}, UserName: {name: "user.name"},
	Client: {name: "client.address"}, Session: {name: "kill.session.id", local: true}, TargetName: {name: "kill.target.name"},
	TargetUnit: {name: "kill.target.systemd.unit"}, TargetExecutable: {name: "kill.target.executable.path"},
	TargetContainer:     {name: "kill.target.container.id", local: true},
	TargetContainerName: {name: "kill.target.container.name"}, TargetPod: {name: "kill.target.k8s.pod.uid"},
	TargetPodName: {name: "kill.target.k8s.pod.name"}, TargetNamespace: {name: "kill.target.k8s.namespace.name"},
	SenderName: {name: "process.command"}, SenderPath: {name: "process.executable.path"},
	SenderUserID: {name: "process.user.id", number: true}, SenderUserName: {name: "process.user.name"},
	RequesterPID:  {name: "kill.requester.pid", number: true, local: true},
	RequesterName: {name: "kill.requester.name"}, RequesterPath: {name: "kill.requester.executable.path"},
	RequesterTitle: {name: "kill.requester.title"}, RequesterUnit: {name: "kill.requester.systemd.unit"},
	RequesterUserID: {name: "kill.requester.user.id", number: true}, RequesterUserName: {name: "kill.requester.user.name"},
	InitiatorPID:  {name: "kill.initiator.pid", number: true, local: true},
	InitiatorName: {name: "kill.initiator.name"}, InitiatorTitle: {name: "kill.initiator.title"}, OOMCgroup: {name: "kill.oom.cgroup"},
}

// Attribute returns the name of the attribute, and whether it is an int.
func (f Field) Attribute() (name string, number bool) {
	return attributes[f].name, attributes[f].number
}

func (r *Record) value(f Field) string {
	if r.prompted() && behind(f) {
		return ""
	}
	switch f {
	case SignalName:
		return r.SignalName
	case Cause:
		return r.Cause
	case UserID:
		return r.UserID
	case UserName:
		return r.UserName
	case Client:
		return r.Client
	case Session:
		return r.Session
	case OOMCgroup:
		return r.OOMCgroup
	case InitiatorPID:
		return pid(r.Initiator.PID)
	case InitiatorName:
		return r.Initiator.Name
	case InitiatorTitle:
		return r.Initiator.Title
	}
	if f < SenderName {
		return r.Target.value(f)
	}
	return r.actor(f)
}

func (p *Target) value(f Field) string {
	switch f {
	case TargetName:
		return p.Name
	case TargetUnit:
		return p.Unit
	case TargetExecutable:
		return p.Executable
	case TargetContainer:
		return p.Container
	case TargetContainerName:
		return p.ContainerName
	case TargetPod:
		return p.PodUID
	case TargetPodName:
		return p.PodName
	case TargetNamespace:
		return p.PodNamespace
	}
	return ""
}

func (r *Record) actor(f Field) string {
	switch f {
	case SenderName:
		return r.Sender.Name
	case SenderPath:
		return r.Sender.Path
	case SenderUserID:
		return r.Sender.UserID
	case SenderUserName:
		return r.Sender.UserName
	case RequesterPID:
		return pid(r.Requester.PID)
	case RequesterName:
		return r.Requester.Name
	case RequesterPath:
		return r.Requester.Path
	case RequesterTitle:
		return r.Requester.Title
	case RequesterUnit:
		return r.Requester.Unit
	case RequesterUserID:
		return r.Requester.UserID
	case RequesterUserName:
		return r.Requester.UserName
	}
	return ""
}

func pid(n int64) string {
	if n == 0 {
		return ""
	}
	return number(n)
}

// common is a value and how many members are known to have it. A target has it once one of its records does.
type common struct {
	single
	Count int `json:"n,omitempty"`
}

// sharing knows what all members have in common.
type sharing [Fields]common

// add adds a record of a target, or of none; again if another source tells the same. What follows a signal on its own
// account does not change why it was sent. But who is behind one signal is not behind another one to the same target.
func (s *sharing) add(r *Record, known *target, again bool) {
	own := known != nil && r.Kind != kill.KindOutcome && !again && !goesOn(r)
	another := own && known.has&signaled != 0
	if own {
		known.has |= signaled
	}
	for f := range Fields {
		value := r.value(f)
		bit := fields(1) << f
		had := known != nil && known.has&bit != 0
		if another && behind(f) && had != (value != "") {
			s[f].Mixed = true
		}
		if value == "" {
			continue
		}
		if had && follows(f, r) {
			continue
		}
		s[f].add(value)
		if !had {
			s[f].Count++
		}
		if known != nil {
			known.has |= bit
		}
	}
}

// withdraw takes back what the records of a target have said.
func (s *sharing) withdraw(f Field, known *target) {
	bit := fields(1) << f
	if known.has&bit == 0 {
		return
	}
	known.has &^= bit
	s[f].Count--
	if s[f].Count <= 0 && !s[f].Mixed {
		s[f] = common{}
	}
}

// signaled is the bit of a target that somebody has signaled on his own account.
const signaled fields = 1 << 31

// behind reports whether a field says who or what is behind a signal.
func behind(f Field) bool {
	return f == Cause || f >= UserID && f <= Session || f >= SenderName && f < Fields
}

// goesOn reports whether a signal is a part of what an earlier one has begun.
func goesOn(r *Record) bool { return r.Cause == "stop_timeout" || r.Cause == "main_process_end" }

// follows reports whether a field of a record says how something went on that had begun before: a manager that loses
// its patience, or the end of the process.
func follows(f Field, r *Record) bool {
	switch f {
	case Cause, SignalName, SenderName, SenderPath, SenderUserID, SenderUserName:
		return r.Outcome != "" || r.Cause == "stop_timeout"
	}
	return false
}

// exceed notes a member for which there is no room. What it does not have is not what all have.
func (s *sharing) exceed(r *Record) {
	for f := range Fields {
		if value := r.value(f); value == "" || s[f].differs(value) || s[f].Value == "" {
			s[f].Mixed = true
		}
	}
}

func (s *sharing) absorb(other *sharing) {
	for f := range s {
		s[f].absorb(&other[f].single)
		s[f].Count += other[f].Count
	}
}

// overlap takes back what two incidents that are one now have counted twice: both have a target, of which each knows
// some fields.
func (s *sharing) overlap(a, b fields) {
	for f := range Fields {
		bit := fields(1) << f
		if a&b&bit != 0 {
			s[f].Count--
		}
		if a&b&signaled != 0 && behind(f) && (a^b)&bit != 0 {
			s[f].Mixed = true
		}
	}
}

// of returns the value that all of a number of members have; empty if there is none.
func (s *sharing) of(f Field, members int) string {
	if c := &s[f]; !c.Mixed && c.Count >= members {
		return strings.Clone(c.Value)
	}
	return ""
}
