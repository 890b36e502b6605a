// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// maxUnit is how many bytes of the name of a unit a sentence has room for: all that systemd permits
// (UNIT_NAME_MAX).
const maxUnit = 256

// nobody is behind a signal of which nothing but a manager's cause is known.
var nobody kill.Behind

func behindOf(e *kill.Event) *kill.Behind {
	if e.Behind == nil {
		return &nobody
	}
	return e.Behind
}

// appendBehind appends why a manager sent a signal, who asked for it and from where, and what began that.
func (s *speaker) appendBehind(buf []byte, e *kill.Event, target *kill.Process) []byte {
	b := behindOf(e)
	buf = appendCause(buf, e, target)
	told := tellsPerson(e)
	if asked := b.Requester != nil || b.Candidates > 0; asked || b.Managed && !told && hasPerson(b) {
		buf = append(buf, connective(e.Cause, b.Evidence, asked)...)
		buf = s.appendRequester(buf, b)
		told = true
	}
	if i := b.Initiator; i != nil && !saysAsMuch(&e.Sender, i) && (b.Requester == nil || !saysAsMuch(b.Requester, i)) {
		buf = append(buf, s.begun.get(i)...)
		if !told {
			buf = appendPerson(buf, " of ", b)
			told = true
		}
	}
	if !told {
		buf = appendPerson(buf, ", on behalf of ", b)
	}
	return buf
}

// sayBegun returns what has begun something.
func (s *speaker) sayBegun(a *kill.Ancestor) string {
	buf := appendProcess([]byte(", begun by "), &kill.Process{PID: a.PID, Command: a.Command})
	return string(s.appendTitle(buf, a.Title))
}

// saysAsMuch reports whether a process is what has begun it, or was only passed on by that, as by sudo.
func saysAsMuch(p *kill.Process, begun *kill.Ancestor) bool {
	if p.PID == begun.PID {
		return true
	}
	before, found := strings.CutSuffix(begun.Title, p.Title)
	return found && p.Title != "" && strings.HasSuffix(before, "\x00")
}

// connective leads from what was done to who wanted it.
func connective(cause kill.Cause, evidence kill.Evidence, asked bool) string {
	inferred := asked && evidence == kill.EvidenceInferred
	switch {
	case cause == kill.CauseSessionKill && inferred:
		return ", probably by "
	case cause == kill.CauseSessionKill:
		return " by "
	case cause == kill.CauseStopTimeout && inferred: // it was the stop that somebody asked for, not this
		return ", after a stop that was probably asked for by "
	case cause == kill.CauseStopTimeout:
		return ", after a stop asked for by "
	case inferred:
		return ", probably asked for by "
	}
	return ", asked for by "
}

// appendRequester appends the process that asked, and the person behind it.
func (s *speaker) appendRequester(buf []byte, b *kill.Behind) []byte {
	switch {
	case b.Requester != nil:
		buf = s.appendTitle(appendAsker(buf, b.Requester), b.Requester.Title)
	case b.Candidates > 0:
		buf = append(strconv.AppendInt(append(buf, "one of "...), int64(b.Candidates), 10), " processes"...)
	default:
		return appendPerson(buf, "", b)
	}
	return appendPerson(buf, " of ", b)
}

// appendAsker appends the process that asked, of which audit records do not tell the pid.
func appendAsker(buf []byte, p *kill.Process) []byte {
	if p.PID == 0 && p.Command != "" {
		return appendName(buf, p.Command)
	}
	return appendProcess(buf, p)
}

// hasPerson reports whether it is known who had logged in, or from where.
func hasPerson(b *kill.Behind) bool {
	return b.User.ID.Known || b.User.Name != "" || b.Session != nil && (b.Session.Address != "" || b.Session.UserName != "")
}

// appendPerson appends who had logged in, and from where, if that is known.
func appendPerson(buf []byte, before string, b *kill.Behind) []byte {
	if !hasPerson(b) {
		return buf
	}
	buf = append(buf, before...)
	switch u := b.User; {
	case u.Name != "":
		buf = appendName(buf, u.Name)
	case b.Session != nil && b.Session.UserName != "":
		buf = appendName(buf, b.Session.UserName)
	case u.ID.Known:
		buf = strconv.AppendUint(append(buf, "user "...), uint64(u.ID.Value), 10)
	default:
		buf = append(buf, "somebody"...)
	}
	if b.Session != nil && b.Session.Address != "" {
		buf = appendName(append(buf, " from "...), b.Session.Address)
	}
	return buf
}

// tellsPerson reports whether the cause itself says who it was: whose session it is that ends, if nobody
// asked for that.
func tellsPerson(e *kill.Event) bool {
	b := behindOf(e)
	switch e.Cause {
	case kill.CauseTerminalKey, kill.CauseTerminalHangup:
		return true
	case kill.CauseSessionEnd, kill.CauseSessionKill:
		return b.Requester == nil && b.Candidates == 0
	}
	return false
}

// sameAsker reports whether the same process asked for two signals, or nobody is known for the later one. Audit records
// do not tell its pid: then it is the same if the sentence would say the same of it.
func (s *speaker) sameAsker(later, earlier *kill.Behind) bool {
	switch {
	case later == nil || later == earlier:
		return true
	case later.Requester == nil:
		return later.Managed && later.Candidates == 0
	case earlier == nil || earlier.Requester == nil:
		return false
	case later.Requester.PID == 0:
		return bytes.Equal(s.appendRequester(nil, later), s.appendRequester(nil, earlier))
	}
	return later.Requester.PID == earlier.Requester.PID
}

// appendTitle appends a command line in parentheses, if it is known and may be shown.
func (s *speaker) appendTitle(buf []byte, title string) []byte {
	if title == "" || s.commandLine == redact.Off {
		return buf
	}
	return append(buf, s.spoken.get(title)...)
}

// speak returns a command line for a sentence. What could be taken for the details of a process is quoted
// as well.
func (s *speaker) speak(title string) string {
	title = strings.ReplaceAll(strings.TrimRight(s.commandLine.Apply(title), "\x00"), "\x00", " ")
	if title == "" {
		return ""
	}
	buf := []byte(" (")
	if strings.HasPrefix(title, "uid ") || strings.HasPrefix(title, "login ") {
		buf = visible.AppendQuoted(buf, title, maxSpokenTitle)
	} else {
		buf = visible.AppendWords(buf, title, maxSpokenTitle)
	}
	return string(append(buf, ')'))
}

// appendCause appends why a manager sent a signal.
func appendCause(buf []byte, e *kill.Event, target *kill.Process) []byte {
	b := behindOf(e)
	phrase := phraseOf(e.Cause, b)
	if phrase == "" {
		return buf
	}
	buf = append(buf, ": "...)
	if b.Evidence == kill.EvidenceInferred && b.Requester == nil && b.Candidates == 0 {
		buf = append(buf, "probably "...)
	}
	for phrase != "" {
		before, after, found := strings.Cut(phrase, "%")
		buf = append(buf, before...)
		if !found {
			break
		}
		buf = appendPart(buf, after[0], e, target)
		phrase = after[1:]
	}
	return buf
}

// phraseOf returns what a cause says: %u is the unit, %n the one that was named, %l the limit, %s the
// session and %c the container. It is empty if the cause is none of a manager's.
func phraseOf(cause kill.Cause, b *kill.Behind) string {
	p := phrases[cause]
	switch {
	case b.Limit > 0 && p.limited != "":
		return p.limited
	case b.Unit == "" && p.unnamed != "":
		return p.unnamed
	}
	return p.usual
}

// phrases say what the causes of managers mean. limited counts if the limit is known, unnamed if the unit
// is not.
var phrases = map[kill.Cause]struct{ usual, limited, unnamed string }{
	kill.CauseServiceStop:    {usual: "stop of %u"},
	kill.CauseServiceRestart: {usual: "restart of %u"},
	kill.CauseServiceReload:  {usual: "reload of %u"},
	kill.CauseServiceKill:    {usual: "kill of %u"},
	kill.CauseMainProcessEnd: {usual: "the rest of %u after its main process"},
	kill.CauseStopTimeout:    {usual: "%u did not stop in time", limited: "%u did not stop within %l"},
	kill.CauseStartTimeout:   {usual: "%u did not start in time", limited: "%u did not start within %l"},
	kill.CauseRuntimeLimit:   {usual: "%u ran for longer than its limit", limited: "%u ran for longer than its limit of %l"},
	kill.CauseWatchdog:       {usual: "the watchdog of %u was not served in time", limited: "the watchdog of %u was not served for %l"},
	kill.CauseDependency:     {usual: "stop of %u because of %n"},
	kill.CauseOOMPolicy:      {usual: "the kernel killed a process of %u for lack of memory, and its OOMPolicy stops the rest"},
	kill.CauseMemoryPressure: {usual: "memory pressure in %u", unnamed: "memory pressure"},
	kill.CauseSwapPressure:   {usual: "swap pressure in %u", unnamed: "swap pressure"},
	kill.CauseSessionEnd:     {usual: "end of %s"},
	kill.CauseSessionKill:    {usual: "%s was ended"},
	kill.CauseShutdown:       {usual: "shutdown"},
	kill.CauseContainerStop:  {usual: "stop of %c"},
}

// appendPart appends a part of a phrase.
func appendPart(buf []byte, part byte, e *kill.Event, target *kill.Process) []byte {
	b := behindOf(e)
	switch part {
	case 'u':
		return appendUnit(buf, b.Unit, "a unit")
	case 'n':
		return appendUnit(buf, b.Named, "another unit")
	case 'l':
		return appendLimit(buf, b.Limit)
	case 's':
		return appendSession(buf, e)
	}
	return appendContainer(buf, b, target)
}

func appendUnit(buf []byte, unit, unknown string) []byte {
	if unit == "" {
		return append(buf, unknown...)
	}
	return visible.AppendWord(buf, unit, maxUnit)
}

// appendLimit appends a time in the unit in which people set such limits: 90 s, 5 min.
func appendLimit(buf []byte, d time.Duration) []byte {
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{" h", time.Hour}, {" min", time.Minute}, {" s", time.Second}, {" ms", time.Millisecond}} {
		if d%unit.size == 0 {
			return append(strconv.AppendInt(buf, int64(d/unit.size), 10), unit.name...)
		}
	}
	return append(strconv.AppendFloat(buf, d.Seconds(), 'f', -1, 64), " s"...)
}

// appendSession appends which session was ended. If somebody asked for that, the login that is known is the
// one of whoever asked, and not the one that was ended.
func appendSession(buf []byte, e *kill.Event) []byte {
	b := behindOf(e)
	number, isSession := strings.CutSuffix(strings.TrimPrefix(b.Unit, "session-"), ".scope")
	isSession = isSession && strings.HasPrefix(b.Unit, "session-")
	own := tellsPerson(e)
	switch {
	case own && b.Session != nil && b.Session.ID != "":
		buf = appendName(append(buf, "session "...), b.Session.ID)
	case isSession:
		buf = appendName(append(buf, "session "...), number)
	default:
		buf = appendUnit(buf, b.Unit, "a session")
	}
	if own {
		buf = appendPerson(buf, " of ", b)
	}
	return buf
}

// appendContainer appends which container it is.
func appendContainer(buf []byte, b *kill.Behind, target *kill.Process) []byte {
	if target != nil && target.Names != nil && (target.Names.PodContainer != "" || target.Names.Container != "") {
		return appendNamed(buf, target.Names)
	}
	id := b.Unit
	if target != nil && target.Instance != nil && target.Instance.Container != "" {
		id = target.Instance.Container
	}
	if id == "" {
		return append(buf, "a container"...)
	}
	return appendContainerID(buf, id)
}

func appendContainerID(buf []byte, id string) []byte {
	if len(id) == fullID && strings.Trim(id, "0123456789abcdef") == "" {
		id = id[:shortID]
	}
	return appendName(append(buf, "container "...), id)
}

// appendNamed appends which container it is by its name, and by that of its pod, as kubectl writes it.
func appendNamed(buf []byte, n *kill.Names) []byte {
	buf = appendName(append(buf, "container "...), cmp.Or(n.PodContainer, n.Container))
	if n.Pod == "" {
		return buf
	}
	buf = appendName(append(buf, " of pod "...), n.Namespace)
	return appendName(append(buf, '/'), n.Pod)
}

// The length of the id of a container, and of what runtimes show of it.
const (
	fullID  = 64
	shortID = 12
)
