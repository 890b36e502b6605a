// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"path"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// addStatement adds a record that is not about a signal, but may help to explain one. What is cut is not
// believed.
func (c *Correlator) addStatement(record *auditrecord.Record) Verdict {
	if c.config.Fact == nil || !record.Type.Explains() || record.Cut {
		return Ignored
	}
	if record.Type == auditrecord.TypeLogin {
		c.addLogin(record)
		return Taken
	}
	s, whole := auditrecord.ParseStatement(record.Fields)
	if !whole {
		return Ignored
	}
	switch record.Type {
	case auditrecord.TypeUserStart, auditrecord.TypeUserLogin:
		if s.Succeeded {
			c.begin(record, &s)
		}
	case auditrecord.TypeUserEnd, auditrecord.TypeUserLogout:
		c.end(record, &s)
	case auditrecord.TypeUserCmd:
		if s.Succeeded {
			c.addCommand(record, &s)
		}
	case auditrecord.TypeServiceStart, auditrecord.TypeServiceStop:
		c.addJob(record, &s)
	case auditrecord.TypeSystemBoot, auditrecord.TypeSystemShutdown:
		c.addTurn(record, &s)
	default:
		return Ignored
	}
	return Taken
}

// tell hands on a fact.
func (c *Correlator) tell(node string, fact attribution.Fact) {
	fact.Node = node
	c.config.Fact(&fact)
}

// program returns the name of the program that has sent a record, as it says; empty if it is not known.
func (c *Correlator) program(exe []byte) string {
	text, whole := c.texts.decode(exe)
	if !whole || text == "" {
		return ""
	}
	return path.Base(strings.TrimSuffix(text, " (deleted)"))
}

func timeOf(record *auditrecord.Record) time.Time { return time.UnixMilli(record.Stamp.Milliseconds) }

const (
	// longestCommand is more than the kernel accepts of a record (include/uapi/linux/audit.h,
	// MAX_AUDIT_MESSAGE_LENGTH) if it is encoded.
	longestCommand = 4096
	// longestUnit is the longest name of a unit (src/basic/unit-name.h of systemd, UNIT_NAME_MAX).
	longestUnit = 255
)

// addCommand tells that somebody runs a program by the right of another user.
func (c *Correlator) addCommand(record *auditrecord.Record, s *auditrecord.Statement) {
	text, whole := c.texts.once(s.Command)
	title := arguments(text)
	if !whole || title == "" || len(title) > longestCommand {
		return
	}
	first, _, _ := strings.Cut(title, "\x00")
	command := &attribution.Command{
		Time: timeOf(record), PID: s.PID, Title: title, Command: path.Base(first),
		Login: kill.User{ID: kill.NewID(s.AUID)}, Session: kill.NewID(s.Session),
	}
	node := c.texts.plain(record.Node)
	*c.asked.slot(s.PID) = asking{node: node, program: c.program(s.Exe), command: command}
	c.tell(node, attribution.Fact{Command: command})
}

// arguments puts a NUL behind each argument. sudo joins them with spaces, which arguments may have in them, too.
func arguments(text string) string {
	if strings.Contains(text, "\x00") {
		return strings.TrimRight(text, "\x00")
	}
	return strings.ReplaceAll(strings.TrimRight(text, " "), " ", "\x00")
}

// asking is a program that was run by the right of another user, and the program that has run it, such as sudo.
type asking struct {
	node, program string
	command       *attribution.Command
}

// asked holds the latest of these.
type asked [16]asking

func (a *asked) slot(pid int) *asking { return &a[uint(pid)%uint(len(a))] }

// addRight tells a command again once it is known by whose right it runs: sudo opens a session for that user.
func (c *Correlator) addRight(record *auditrecord.Record, s *auditrecord.Statement) {
	was := c.asked.slot(s.PID)
	node := c.texts.plain(record.Node)
	account, whole := c.texts.decode(s.Account)
	if was.command == nil || was.command.PID != s.PID || was.node != node || was.program != c.program(s.Exe) ||
		was.command.Session != kill.NewID(s.Session) || !whole || account == "" {
		return
	}
	command := *was.command
	command.User.Name = account
	if account == "root" {
		command.User.ID = kill.NewID(0)
	}
	was.command = nil
	c.tell(node, attribution.Fact{Command: &command})
}

// addJob tells that a systemd has started or stopped a service. It writes the name of the unit without its suffix
// (src/core/manager.c of systemd, manager_send_unit_audit).
func (c *Correlator) addJob(record *auditrecord.Record, s *auditrecord.Statement) {
	comm, whole := c.texts.decode(s.Comm)
	unit := string(s.Unit)
	if comm != systemd || !whole || c.program(s.Exe) != systemd || len(unit) > longestUnit || !unitName(unit) {
		return
	}
	if !hasSuffix(unit) {
		unit += ".service"
	}
	job := &attribution.Job{Time: timeOf(record), Manager: s.PID, Unit: unit, Type: "start", Done: true, Result: "failed"}
	if record.Type == auditrecord.TypeServiceStop {
		job.Type = "stop"
	}
	if s.Succeeded {
		job.Result = "done"
	}
	node := c.texts.plain(record.Node)
	c.tell(node, attribution.Fact{Job: job})
	if unit == turnUnit {
		c.turned(node, job)
	}
}

// systemd is the name of the program that manages services.
const systemd = "systemd"

// unitName reports whether a text may be the name of a unit (systemd.unit(5)).
func unitName(text string) bool {
	other := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(`:-_.\@`, r)
	}
	return text != "" && !strings.ContainsFunc(text, other)
}

// hasSuffix reports whether the name of a unit says what kind of unit it is.
func hasSuffix(unit string) bool {
	switch path.Ext(unit) {
	case ".service", ".socket", ".target", ".scope", ".slice", ".timer", ".mount", ".automount", ".swap", ".path", ".device":
		return true
	}
	return false
}
