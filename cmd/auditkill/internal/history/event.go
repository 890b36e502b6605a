// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// eventOf returns the event of which a log record was made, as far as lists and searches need it; nil if it is none
// of ours.
func eventOf(resource pcommon.Resource, record plog.LogRecord) *Event {
	kind := kill.Kind(record.EventName())
	if kind == kill.KindCall || !slices.Contains(kill.Kinds(), kind) {
		return nil
	}
	r := reading{event: &kill.Event{
		Kind: kind, Time: timeOf(record.Timestamp()), TargetCount: -1, Complete: true, Source: "",
	}}
	for key, value := range record.Attributes().All() {
		if set := setters[key]; set != nil {
			set(&r, value)
		}
	}
	r.finish()
	if (kind == kill.KindOutcome) != (r.event.Outcome != nil) || (kind == kill.KindTamper) != (r.event.Tamper != nil) {
		return nil // somebody else's
	}
	if r.target != nil {
		r.target.Span = kill.Span{Trace: record.TraceID(), ID: record.SpanID()}
		*r.event.AddTarget() = *r.target
	}
	e := &Event{Event: r.event, Record: record, UID: r.uid, Body: record.Body().Str()}
	if host, ok := resource.Attributes().Get("host.name"); ok {
		e.HostName = host.Str()
	}
	return e
}

// timeOf returns a time that is written in nanoseconds without a sign.
func timeOf(at pcommon.Timestamp) time.Time {
	const second = 1e9
	return time.Unix(int64(at/second), int64(at%second))
}

// reading is a record while its attributes are read.
type reading struct {
	event *kill.Event
	// target, requester, initiator, session and lastSender are nil until an attribute of theirs comes.
	target, requester, lastSender *kill.Process
	initiator                     *kill.Ancestor
	session                       *kill.Session
	// person is the login user behind it, the sender's own or of whoever has asked.
	person kill.User

	evidence          kill.Evidence
	candidates        int
	result, errorName string
	outcome           kill.Verdict
	exitCode          int
	exitSignal        kill.Signal
	duration          time.Duration
	measured          bool
	escalated         bool
	lastSignal        kill.Signal
	lastCause         kill.Cause
	lastName          string
	pid               int
	uid               string
}

func (r *reading) targetOf() *kill.Process {
	if r.target == nil {
		r.target = &kill.Process{}
	}
	return r.target
}

func (r *reading) targetInstance() *kill.Instance {
	t := r.targetOf()
	if t.Instance == nil {
		t.Instance = &kill.Instance{}
	}
	return t.Instance
}

func (r *reading) senderInstance() *kill.Instance {
	s := &r.event.Sender
	if s.Instance == nil {
		s.Instance = &kill.Instance{}
	}
	return s.Instance
}

func (r *reading) requesterOf() *kill.Process {
	if r.requester == nil {
		r.requester = &kill.Process{}
	}
	return r.requester
}

func (r *reading) requesterInstance() *kill.Instance {
	p := r.requesterOf()
	if p.Instance == nil {
		p.Instance = &kill.Instance{}
	}
	return p.Instance
}

func (r *reading) initiatorOf() *kill.Ancestor {
	if r.initiator == nil {
		r.initiator = &kill.Ancestor{}
	}
	return r.initiator
}

func (r *reading) sessionOf() *kill.Session {
	if r.session == nil {
		r.session = &kill.Session{}
	}
	return r.session
}

func (r *reading) lastSenderOf() *kill.Process {
	if r.lastSender == nil {
		r.lastSender = &kill.Process{}
	}
	return r.lastSender
}

// finish sets what follows from several attributes.
func (r *reading) finish() {
	e := r.event
	switch r.result {
	case "success":
		e.Result = kill.Success()
	case "failure":
		// The number is not recorded, the name is.
		e.Result = kill.Result{Known: true, Errno: -1, Error: r.errorName}
	}
	if r.target == nil && r.pid != 0 { // a pid without a process: it was only named
		e.Requested = r.pid
	} else if r.target != nil {
		r.target.PID = r.pid
	}
	if r.target != nil && e.Scope != kill.ScopeProcess && e.Scope != kill.ScopeThread && r.result == "unknown" {
		r.target.Result = &kill.Result{}
	}
	e.Sender.Claimed = r.person == (kill.User{}) // otherwise it would be his
	r.finishBehind()
	if r.outcome != "" {
		e.Outcome = r.outcomeOf()
	}
}

// finishBehind makes of the attributes what is behind the event, if there is more than a sender.
func (r *reading) finishBehind() {
	e := r.event
	managed := e.Cause.Managed() || r.requester != nil || r.candidates > 0 || r.person == (kill.User{}) && e.Sender.Login.ID.Known
	if !managed && r.initiator == nil && r.session == nil && r.evidence == "" {
		if !e.Sender.Login.ID.Known {
			e.Sender.Login = r.person
		}
		e.Sender.Login.Name = r.person.Name
		return
	}
	if e.Sender.Login.ID == r.person.ID {
		e.Sender.Login.Name = r.person.Name
	}
	e.Behind = &kill.Behind{
		Managed: managed, Evidence: r.evidence, Requester: r.requester, Candidates: r.candidates, Initiator: r.initiator,
		User: r.person, Session: r.session,
	}
}

func (r *reading) outcomeOf() *kill.Outcome {
	o := &kill.Outcome{
		Verdict: r.outcome, Unsent: !r.measured, Began: r.event.Time.Add(-r.duration), Escalated: r.escalated,
		LastSignal: r.lastSignal, LastCause: r.lastCause, LastSender: r.lastSender, LastName: r.lastName,
	}
	const coreDumped = 0x80 // wait(2)
	switch r.outcome {
	case kill.VerdictExited:
		o.Exit = kill.Exit{Known: true, Status: r.exitCode << 8}
	case kill.VerdictKilled:
		o.Exit = kill.Exit{Known: true, Status: int(r.exitSignal)}
	case kill.VerdictCoreDumped:
		o.Exit = kill.Exit{Known: true, Status: int(r.exitSignal) | coreDumped}
	}
	return o
}

// name is the name of a process, a path or an id as it was before it was escaped.
func name(v pcommon.Value) string { return visible.Original(v.Str()) }

// longestWord is longer than any word.
const longestWord = 64

// word is one that the receiver has for something, such as a cause. Lists show these as they are, so that what can be none, as
// a forged record may have it, is empty.
func word(v pcommon.Value) string {
	text := v.Str()
	other := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_+-", r)
	}
	if len(text) > longestWord || strings.ContainsFunc(text, other) {
		return ""
	}
	return text
}

// title is a command line with a NUL after each argument: as good as the record has it, where spaces stand for those.
func title(v pcommon.Value) string { return strings.ReplaceAll(name(v), " ", "\x00") }

func number(v pcommon.Value) int { return int(v.Int()) }

// id is a user id, which the conventions have as an integer or as a text.
func id(v pcommon.Value) kill.ID {
	n := v.Int()
	if v.Type() == pcommon.ValueTypeStr {
		var err error
		if n, err = strconv.ParseInt(v.Str(), 10, 64); err != nil {
			return kill.ID{}
		}
	}
	if n < 0 || n >= 1<<32 {
		return kill.ID{}
	}
	return kill.NewID(uint32(n))
}

func signalNamed(v pcommon.Value) kill.Signal {
	signal, err := kill.ParseSignal(v.Str())
	if err != nil {
		return 0
	}
	return signal
}

func instant(v pcommon.Value) time.Time {
	at, err := time.Parse(time.RFC3339Nano, v.Str())
	if err != nil {
		return time.Time{}
	}
	return at
}
