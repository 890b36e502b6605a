// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"path/filepath"

	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// judgeFile judges whether the audit log can be read, and whether it has signals.
func judgeFile(f *Facts) Source {
	l := &f.Log
	if l.Problem != LogReadable {
		s := newSource(SourceFile, []Finding{unreadable(f)}, nil)
		s.opens = l.Problem == LogMissing // a source would wait for it
		return s
	}
	var limits []Finding
	if l.Size == 0 {
		limits = append(limits, finding(l.Path+" is empty"))
	}
	if f.Audit.Daemon == nil && f.Audit.State != AuditUnknown {
		limits = append(limits, finding("no audit daemon is running, so nothing is written to "+l.Path, daemonCommands(l)...))
	}
	if f.Audit.State == AuditAbsent {
		limits = append(limits, f.withoutAudit()...)
	} else if f.OS == "linux" {
		limits = append(limits, f.unrecorded(false)...)
	}
	return newSource(SourceFile, nil, append(limits, f.unlogged()...))
}

// unreadable says why the log cannot be read.
func unreadable(f *Facts) Finding {
	l := &f.Log
	switch l.Problem {
	case LogMissing:
		what := l.Path + " does not exist"
		if l.Configured != "" && filepath.Clean(l.Configured) != filepath.Clean(l.Path) {
			return finding(what+": auditd.conf says log_file = "+l.Configured, "auditkill doctor --file "+quote(l.Configured))
		}
		if f.Audit.Daemon != nil {
			return finding(text("%s, although %s[%d] is the audit daemon: it writes to another file, or to none "+
				"(log_file and write_logs in auditd.conf)", what, visible.Name(f.Audit.Daemon.Name), f.Audit.Daemon.PID),
				"sudo grep -E '^(log_file|write_logs)' /etc/audit/auditd.conf")
		}
		if f.Namespaces.PID == NamespaceOther {
			return finding(what + " in this container: mount the host's log, and name it with --file or --root-path")
		}
		return finding(what+": auditd, which writes it, is not running", daemonCommands(l)...)
	case LogDenied:
		return denied(f)
	case LogIrregular:
		return finding(l.Path + " is not a file")
	}
	return finding(l.Error)
}

// daemonCommands returns the commands that make auditd write the log.
func daemonCommands(l *Log) []string {
	const start = "sudo systemctl enable --now auditd"
	switch {
	case l.DaemonInstalled:
		return []string{start}
	case l.Install != "":
		return []string{"sudo " + l.Install, start}
	}
	return []string{}
}

func denied(f *Facts) Finding {
	l := &f.Log
	read := "sudo auditkill report " + quote(l.Path)
	if l.Rights == nil {
		return finding(text("user %d may not read %s", f.UserID, l.Path), read)
	}
	r := l.Rights
	what := text("user %d may not read %s: %s belongs to %s:%s (%s)", f.UserID, l.Path, r.Path, r.Owner, r.Group, r.Mode)
	if r.GroupReads && r.Group != "root" {
		return finding(what+"; members of the group may, after their next login", read,
			"sudo usermod -aG "+quote(r.Group)+` "$USER"`)
	}
	return finding(what+"; run it as root or with "+capReadSearch+", or set log_group in auditd.conf to a group of the user", read,
		"AmbientCapabilities="+capReadSearch)
}
