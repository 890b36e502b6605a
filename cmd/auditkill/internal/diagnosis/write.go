// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// WriteJSON writes the report as one object.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // rules have comparisons in them
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// widest is the width of prose: longer lines are hard to read.
const widest = 100

// WriteTable writes the report for people: a line for each source, its reasons, and each
// command on a line of its own.
func (r *Report) WriteTable(w io.Writer, t terminal.Terminal) error {
	p := page{width: widest}
	if width := t.Width(); width > 0 {
		p.width = min(width, widest)
	}
	for _, s := range r.Sources {
		mark, style := "ok", terminal.Green
		switch {
		case !s.Usable:
			mark, style = "no", terminal.Red
		case len(s.findings) > 0:
			mark, style = "ok, but", terminal.Yellow
		}
		p.line(text("%-10s %s", s.Name, t.Paint(style, mark)))
		p.findings(s.findings)
	}
	p.behind(r.Behind, t)
	if len(r.Warnings) > 0 {
		p.line("\n" + t.Paint(terminal.Yellow, "also"))
		p.findings(r.Warnings)
	}
	p.line("")
	p.prose("", "", r.choice())
	p.line("")
	for _, fact := range r.Facts.lines() {
		p.prose(t.Paint(terminal.Dim, text("%-10s ", fact[0])), "           ", fact[1])
	}
	_, err := io.WriteString(w, p.text.String())
	return err
}

// page is the text for people.
type page struct {
	text  strings.Builder
	width int
}

func (p *page) line(line string) { p.text.WriteString(line + "\n") }

func (p *page) findings(findings []Finding) {
	for _, f := range findings {
		p.prose("  ", "  ", f.What)
		for _, command := range f.Mend { // in one line, to be copied
			p.line("      " + visible.Message(command))
		}
	}
}

// behind writes what cannot be known about who is behind a signal. What fixes several findings is written once.
func (p *page) behind(facts []Behind, t terminal.Terminal) {
	var missing []Finding
	for _, b := range facts {
		if b.Known {
			continue
		}
		if last := len(missing) - 1; last >= 0 && slices.Equal(missing[last].Mend, b.Mend) {
			missing[last].Mend = nil
		}
		missing = append(missing, b.Finding)
	}
	mark, style := "ok", terminal.Green
	switch len(missing) {
	case 0:
	case len(facts):
		mark, style = "no", terminal.Red
	default:
		mark, style = "ok, but", terminal.Yellow
	}
	if len(facts) > 0 {
		p.line("\n" + text("%-10s %s", "behind", t.Paint(style, mark)))
		p.findings(missing)
	}
}

// prose writes a text with line breaks between words. The first line begins with first, the
// others with next, which is as wide.
func (p *page) prose(first, next, text string) {
	room := max(p.width-len(next), 1)
	p.text.WriteString(first)
	used := 0
	for i, word := range strings.Fields(visible.Message(text)) {
		length := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+length > room:
			p.text.WriteString("\n" + next)
			used = 0
		default:
			p.text.WriteString(" ")
			used++
		}
		p.text.WriteString(word)
		used += length
	}
	p.line("")
}

// choice says which source is used if none is configured.
func (r *Report) choice() string {
	const watch, receiver = "`auditkill watch`", "a receiver with `audit_kill: {}`"
	switch {
	case r.Chosen == "":
		return watch + " and " + receiver + " cannot open any source."
	case r.Chosen == SourceFile && r.Facts.Log.Problem == LogMissing:
		return watch + " cannot open any source; " + receiver + " would choose file, and wait for the log."
	case slices.ContainsFunc(r.Sources, func(s Source) bool { return s.Name == r.Chosen && !s.Usable }):
		return watch + " and " + receiver + " choose " + r.Chosen + ", and see nothing until that is fixed."
	}
	return watch + " and " + receiver + " choose " + r.Chosen + "."
}

// lines are the facts in brief.
func (f *Facts) lines() [][2]string {
	return [][2]string{
		{"kernel", f.kernelLine()},
		{"process", f.processLine()},
		{"audit", f.Audit.line()},
		{"rules", f.Rules.line()},
		{"log", f.Log.line()},
		{"systemd", f.Systemd.line()},
	}
}

func (f *Facts) kernelLine() string {
	line := strings.TrimSpace(f.OS + " " + f.Kernel + " " + f.Machine)
	if f.BTF {
		line += ", with BTF"
	} else {
		line += ", no BTF"
	}
	if f.BPF.Possible {
		line += ", BPF programs load"
	}
	if f.Lockdown != "" {
		line += ", lockdown " + f.Lockdown
	}
	return line
}

func (f *Facts) processLine() string {
	line := text("user %d", f.UserID)
	if len(f.Capabilities) > 0 {
		line += " with " + strings.Join(f.Capabilities, " ")
	} else {
		line += " without any of the capabilities that help"
	}
	n := f.Namespaces
	if n.User == n.PID && n.PID == n.Network {
		return line + text("; %s user, pid and network namespace", n.User)
	}
	return line + text("; %s user namespace, %s pid, %s network", n.User, n.PID, n.Network)
}

func (a *Audit) line() string {
	if !a.known() {
		line := string(a.State) + ": " + a.Error
		if a.Daemon != nil {
			line += text("; %s[%d] runs", visible.Name(a.Daemon.Name), a.Daemon.PID)
		}
		return line
	}
	line := string(a.State) + ", no daemon"
	if a.Daemon != nil {
		line = text("%s, %s[%d] is the daemon", a.State, visible.Name(a.Daemon.Name), a.Daemon.PID)
	}
	return line + text(", backlog %d of %d, %d lost since boot", a.Backlog, a.BacklogLimit, a.Lost)
}

func (r *Rules) line() string {
	if !r.Known {
		return "unknown: " + r.Error
	}
	line := text("%d of %d", r.Recorded, r.Needed)
	if r.Partly > 0 {
		line += text(", %d partly", r.Partly)
	}
	if r.TaskNever {
		line += ", and task,never"
	}
	return line
}

func (l *Log) line() string {
	if l.Problem != LogReadable {
		return l.Path + ": " + string(l.Problem)
	}
	line := text("%s: %s", l.Path, size(l.Size))
	if l.Rights != nil {
		line += text(", %s %s:%s", l.Rights.Mode, l.Rights.Owner, l.Rights.Group)
	}
	if l.Modified != nil {
		line += ", written " + l.Modified.Format(time.RFC3339)
	}
	if l.Rotated > 0 {
		line += text(", %d older from %s on", l.Rotated, l.Since.Format(time.RFC3339))
	}
	if l.Free >= 0 {
		line += text(", %s free", size(l.Free))
	}
	return line
}

func (s *Systemd) line() string {
	line := "not the init of this host"
	switch {
	case s.Reached:
		line = "can be listened to"
	case s.Runs:
		line = "cannot be listened to"
	}
	if s.Sessions {
		line += ", logins can be read"
	}
	return line
}
