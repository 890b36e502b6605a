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

const (
	// followed is how many fields may be known by what follows a signal alone, until that itself comes: see follows.
	followed = 6
	// slots is how many values there are: of all fields, and of what follows.
	slots = int(Fields) + followed
)

// fields has a bit for each slot.
type fields uint64

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

// kept returns a value, unless it is longer than any such value is, which is forged: cut, two of them might be taken for one. Only command
// lines are cut, as the receiver does.
func (r *Record) kept(f Field) string {
	value := r.value(f)
	if len(value) <= longestText {
		return value
	}
	switch f {
	case RequesterTitle, InitiatorTitle:
		return value
	case TargetExecutable, SenderPath, RequesterPath, OOMCgroup:
		if len(value) <= longestPath {
			return value
		}
	}
	return ""
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
type sharing [slots]common

// add adds a record of a target, or of none; again if another source tells the same. What follows a signal on its own
// account does not change why it was sent, in whichever order they come. But who is behind one signal is not behind another one to
// the same target.
func (s *sharing) add(r *Record, known *target, again bool) {
	own := known != nil && r.Kind != kill.KindOutcome && !again && !goesOn(r)
	another := own && known.has&signaled != 0
	if own {
		known.has |= signaled
	}
	for f := range Fields {
		value := r.kept(f)
		had := known != nil && known.has&bit(int(f)) != 0
		if another && behind(f) && had != (value != "") {
			s[f].Mixed = true
		}
		if value == "" {
			continue
		}
		slot := int(f)
		if later := laterOf(f); later >= 0 {
			switch {
			case !follows(r):
				s.withdraw(later, known)
			case had || known != nil && known.has&bit(later) != 0:
				continue
			default:
				slot = later
			}
		}
		s.put(slot, value, known)
	}
}

// put adds a value of a target, or of none.
func (s *sharing) put(slot int, value string, known *target) {
	s[slot].add(value)
	if known == nil || known.has&bit(slot) == 0 {
		s[slot].Count++
	}
	if known != nil {
		known.has |= bit(slot)
	}
}

// withdraw takes back what the records of a target have said.
func (s *sharing) withdraw(slot int, known *target) {
	if known == nil || known.has&bit(slot) == 0 {
		return
	}
	known.has &^= bit(slot)
	s.less(slot)
}

// less notes that one target less has a value.
func (s *sharing) less(slot int) {
	s[slot].Count--
	if s[slot].Count <= 0 && (!s[slot].Mixed || slot >= int(Fields)) {
		s[slot] = common{}
	}
}

func bit(slot int) fields { return 1 << slot }

// signaled is the bit of a target that somebody has signaled on his own account.
const signaled fields = 1 << 63

// behind reports whether a field says who or what is behind a signal.
func behind(f Field) bool {
	return f == Cause || f >= UserID && f <= Session || f >= SenderName && f < Fields
}

// goesOn reports whether a signal is a part of what an earlier one has begun.
func goesOn(r *Record) bool { return r.Cause == "stop_timeout" || r.Cause == "main_process_end" }

// follows reports whether a record says how something went on that had begun before: a manager that loses its patience, or the end
// of the process.
func follows(r *Record) bool { return r.Outcome != "" || r.Cause == "stop_timeout" }

// laterOf returns the slot of what a field is by what follows a signal; -1 if it is the same by that.
func laterOf(f Field) int {
	switch f {
	case SignalName, Cause:
		return int(Fields) + int(f)
	case SenderName, SenderPath, SenderUserID, SenderUserName:
		return int(Fields) + 2 + int(f-SenderName)
	}
	return -1
}

// exceed notes a member for which there is no room. What it does not have is not what all have.
func (s *sharing) exceed(r *Record) {
	for f := range Fields {
		value, all := r.kept(f), &s[f]
		if later := laterOf(f); later >= 0 && all.Value == "" {
			all = &s[later]
		}
		if value == "" || all.differs(value) || all.Value == "" {
			s[f].Mixed = true
		}
	}
}

func (s *sharing) absorb(other *sharing) {
	for slot := range s {
		s[slot].absorb(&other[slot].single)
		s[slot].Count += other[slot].Count
	}
}

// overlap takes back what two incidents that are one now have counted twice: both have a target, of which each knows
// some fields. It returns which of them are known of it.
func (s *sharing) overlap(a, b fields) fields {
	all := a | b
	for slot := range s {
		if a&b&bit(slot) != 0 {
			s.less(slot)
		}
	}
	for f := range Fields {
		if a&b&signaled != 0 && behind(f) && (a^b)&bit(int(f)) != 0 {
			s[f].Mixed = true
		}
		if later := laterOf(f); later >= 0 && all&bit(int(f)) != 0 && all&bit(later) != 0 { // the signal itself says it
			all &^= bit(later)
			s.less(later)
		}
	}
	return all
}

// bytes is how long all values are.
func (s *sharing) bytes() (n int) {
	for slot := range s {
		n += len(s[slot].Value)
	}
	return n
}

// of returns the value that all of a number of members have; empty if there is none.
func (s *sharing) of(f Field, members int) string {
	all := s[f]
	if later := laterOf(f); later >= 0 {
		all.absorb(&s[later].single)
		all.Count += s[later].Count
	}
	if all.Mixed || all.Count < members {
		return ""
	}
	return strings.Clone(all.Value)
}
