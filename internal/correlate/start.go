// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"slices"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
)

// addStart adds the call that starts a program, if a rule with our key is the reason why it was recorded: then the
// program is one by which managers are asked. On most hosts there are no such rules, and on some all starts are
// recorded.
func (c *Correlator) addStart(record *auditrecord.Record, called *call, line []byte, at Position, now time.Time) {
	if c.config.Fact == nil || !c.ofOurRule(record) {
		c.reject(record)
		return
	}
	if s, _ := auditrecord.ParseSyscall(record.Fields); !s.Has(auditrecord.FieldSuccess|auditrecord.FieldPID) || !s.Succeeded {
		c.reject(record)
		return
	}
	c.others.remove(record)
	c.addRecord(record, called, line, at, now)
}

// ofOurRule reports whether a call was recorded because of a rule with our key.
func (c *Correlator) ofOurRule(record *auditrecord.Record) bool {
	value := auditrecord.KeyOf(record.Fields)
	if len(value) > 0 && value[0] == '"' { // several would be encoded
		return string(auditrecord.Unquote(value)) == c.config.Key
	}
	keys, whole := c.splitKeys(value)
	return whole && slices.Contains(keys, c.config.Key)
}

// addArguments adds the arguments of a program that was started.
func (c *Correlator) addArguments(record *auditrecord.Record, line []byte, at Position, now time.Time) Verdict {
	p := c.table.byKey[c.keyOf(record)]
	if p == nil || !p.starts() || p.listed || record.Cut {
		return Ignored
	}
	arguments, whole := auditrecord.AppendArguments(c.texts.buffer[:0], record.Fields)
	c.texts.buffer = arguments
	for len(arguments) > longestCommand {
		arguments, whole = beforeLast(arguments), false
	}
	if len(arguments) == 0 {
		return Ignored
	}
	c.gather(record, at, now)
	p.event.Sender.Title = strings.TrimSuffix(string(arguments), "\x00")
	p.listed = true
	p.titled = p.titled || whole
	c.added(p, record, line)
	return Taken
}

// beforeLast returns a list of arguments, each with a NUL behind it, without the last one.
func beforeLast(arguments []byte) []byte {
	end := len(arguments) - 1
	for end > 0 && arguments[end-1] != 0 {
		end--
	}
	return arguments[:max(0, end)]
}

// longestTitle is how much of a command line is surely in a PROCTITLE record: the kernel writes 128 bytes at most, and
// leaves out what cannot be printed at their end (kernel/auditsc.c, audit_proctitle_rtrim).
const longestTitle = 120

// started tells that a program was started.
func (c *Correlator) started(p *pending) {
	c.others.put(p.key.stamp, p.key.node) // its other records are of no interest
	s := &p.event.Sender
	title := s.Title
	if !p.listed && len(title) > longestTitle {
		title = title[:max(0, strings.LastIndexByte(title, 0))] // the last argument may be another one
	}
	if title == "" || !p.titled && !p.listed {
		return
	}
	c.tell(p.key.node, attribution.Fact{Command: &attribution.Command{
		Time: p.event.Time, PID: s.PID, Self: true, Command: s.Command, Title: title, User: s.User, Login: s.Login, Session: s.Session,
	}})
}
