// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// The commands that load the rules, now and at every boot.
const (
	loadRules = "auditkill rules | sudo sh"
	keepRules = "auditkill rules --format rules.d | sudo tee " + auditrules.Path
)

// judgeMulticast judges whether records can be received beside the audit daemon.
func judgeMulticast(f *Facts) Source {
	stops := f.withoutAudit()
	if len(stops) == 0 {
		if f.Namespaces.Network == NamespaceOther {
			stops = append(stops, elsewhere("network", settingsNet))
		}
		if olderThan(f.Kernel, 3, 16) {
			stops = append(stops, finding("the kernel is too old: Linux 3.16 or newer is needed"))
		}
		if missing := f.lacking(capAuditRead); len(missing) > 0 {
			stops = append(stops, f.lacks(SourceMulticast, missing))
		}
	}
	s := f.records(SourceMulticast, stops)
	if s.opens && f.Audit.known() && f.Audit.Daemon == nil {
		s.add(finding("no audit daemon is running, so the kernel prints every record to its own log; " +
			"unicast takes the daemon's place"))
	}
	return s
}

// judgeUnicast judges whether this process can take the place of the audit daemon.
func judgeUnicast(f *Facts) Source {
	stops := f.withoutAudit()
	if len(stops) == 0 {
		if f.Namespaces.PID == NamespaceOther {
			stops = append(stops, elsewhere("pid", settingsPID))
		}
		if missing := f.lacking(capAuditControl); len(missing) > 0 {
			stops = append(stops, f.lacks(SourceUnicast, missing))
		}
		if d := f.Audit.Daemon; d != nil {
			stops = append(stops, taken(d))
		}
		if len(stops) == 0 && !f.Audit.known() {
			stops = append(stops, finding("the kernel does not say which process is the audit daemon: "+f.Audit.Error))
		}
	}
	s := f.records(SourceUnicast, stops)
	if s.opens && f.Audit.stalls() {
		s.add(finding("the audit settings are locked until the next boot, so system calls may have to wait for the reader of "+
			"records: put this line into a file in /etc/audit/rules.d and reboot", "--backlog_wait_time 0"))
	}
	return s
}

// taken reports the daemon that holds the audit pid.
func taken(d *Process) Finding {
	what := text("%s[%d] holds the audit pid; multicast listens beside it", visible.Name(d.Name), d.PID)
	if d.Name == "auditd" { // it refuses to be stopped by systemctl
		return finding(what, "sudo service auditd stop")
	}
	return finding(what)
}

func (s *Source) add(f Finding) {
	s.findings = append(s.findings, f)
	s.Reasons = append(s.Reasons, f.What)
	s.Mend = append(s.Mend, f.Mend...)
}

// withoutAudit says why there is no audit system to ask.
func (f *Facts) withoutAudit() []Finding {
	switch {
	case f.OS != "linux":
		return []Finding{finding("only Linux has it")}
	case f.Namespaces.User == NamespaceOther:
		return []Finding{elsewhere("user", settingsUser)}
	case f.Audit.State == AuditAbsent && f.Audit.OffAtBoot:
		return []Finding{finding("audit was turned off at boot, which only a reboot can change: " +
			"remove audit=0 from the kernel's command line and reboot")}
	case f.Audit.State == AuditAbsent:
		return []Finding{finding("the kernel has no audit system (CONFIG_AUDIT), or it was turned off at boot: " +
			"remove audit=0 from the kernel's command line and reboot")}
	}
	return nil
}

// records returns a netlink source, which loads the rules that it needs and turns audit on if
// it may. It is not usable if nothing can be recorded until somebody fixes that.
func (f *Facts) records(name string, stops []Finding) Source {
	if len(stops) > 0 {
		return newSource(name, stops, nil)
	}
	mayChange := f.Audit.known() && len(f.lacking(capAuditControl)) == 0
	limits := append(f.unrecorded(mayChange), f.unlogged()...)
	s := newSource(name, nil, limits)
	locked := f.Audit.State == AuditLocked && f.Rules.Known && f.Rules.Recorded+f.Rules.Partly == 0
	staysOff := f.Audit.State == AuditOff && !mayChange
	s.Usable = !locked && !staysOff && !f.Rules.TaskNever
	return s
}

// unlogged says that the kernel's log, which has the kills that no audit record has, cannot be read.
func (f *Facts) unlogged() []Finding {
	if f.KernelLog.Error == "" {
		return nil
	}
	return []Finding{finding("kills for lack of memory are not seen, as the kernel's log cannot be read: " + f.KernelLog.Error)}
}

// unrecorded reports which signals the kernel does not record. mayChange is true if the source
// loads rules and turns audit on.
func (f *Facts) unrecorded(mayChange bool) []Finding {
	if !f.Rules.Known {
		return []Finding{f.rulesUnknown()}
	}
	var found []Finding
	missing := f.Rules.Needed - f.Rules.Recorded
	what := text("%d of the %d rules that record the default signals are missing", missing, f.Rules.Needed)
	if f.Rules.Partly > 0 {
		what += text(", %d of these in part (sudo auditkill rules --check)", f.Rules.Partly)
	}
	switch {
	case missing == 0:
	case f.Audit.State == AuditLocked:
		found = append(found, finding(what+"; the rules are locked until the next boot", keepRules, "sudo reboot"))
	case !mayChange:
		found = append(found, finding(what, loadRules, keepRules))
	}
	switch {
	case f.Audit.State != AuditOff:
	case mayChange:
		found = append(found, finding("audit is off: `auditkill watch` turns it on while it runs, and so does a receiver "+
			"unless it has rules::manage: false"))
	default:
		found = append(found, finding("audit is off, so nothing is recorded", "sudo auditctl -e 1"))
	}
	for _, o := range f.Rules.Obstacles {
		found = append(found, finding(o.What, o.Mend...))
	}
	return found
}

// rulesUnknown says why it is not known which rules are loaded.
func (f *Facts) rulesUnknown() Finding {
	const unknown = "it is not known whether signals are recorded"
	switch {
	case f.Namespaces.PID == NamespaceOther:
		return finding(unknown + ": the kernel says so only in the initial pid namespace; " + settingsPID)
	case len(f.lacking(capAuditControl)) > 0:
		return finding(unknown+": checking needs "+capAuditControl, "sudo auditkill rules --check", loadRules)
	}
	return finding(unknown + ": " + f.Rules.Error)
}

// olderThan compares the release of a kernel. One that cannot be parsed is not older.
func olderThan(release string, major, minor int) bool {
	words := strings.FieldsFunc(release, func(c rune) bool { return c < '0' || c > '9' })
	if len(words) < 2 {
		return false
	}
	first, err := strconv.Atoi(words[0])
	second, errSecond := strconv.Atoi(words[1])
	return err == nil && errSecond == nil && (first < major || first == major && second < minor)
}
