// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
)

// The commands that load the rules, now and at every boot.
const (
	loadRules = "auditkill rules | sudo sh"
	keepRules = "auditkill rules --format rules.d | sudo tee " + auditrules.Path
)

// judgeMulticast tells whether records can be had beside the audit daemon.
func judgeMulticast(f *Facts) Source {
	stops := f.withoutAudit()
	if len(stops) == 0 {
		if f.Namespaces.Network == NamespaceOther {
			stops = append(stops, elsewhere("network", settingsNet))
		}
		if olderThan(f.Kernel, 3, 16) {
			stops = append(stops, finding("the kernel is too old: it takes Linux 3.16 or newer"))
		}
		if missing := f.lacking(capAuditRead); len(missing) > 0 {
			stops = append(stops, f.lacks(SourceMulticast, missing))
		}
	}
	s := f.records(SourceMulticast, stops)
	if s.opens && f.Audit.known() && f.Audit.Daemon == nil {
		s.add(finding("nobody is the audit daemon, so that the kernel prints every record to its own log; " +
			"unicast takes that place"))
	}
	return s
}

// judgeUnicast tells whether this process can be the audit daemon.
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
			stops = append(stops, finding("the kernel does not say who is the audit daemon: "+f.Audit.Error))
		}
	}
	s := f.records(SourceUnicast, stops)
	if s.opens && f.Audit.stalls() {
		s.add(finding("the settings of audit are locked until the next boot, so that system calls may have to wait for who reads: "+
			"put this line into /etc/audit/rules.d and reboot", "--backlog_wait_time 0"))
	}
	return s
}

// taken tells of the daemon that holds the audit pid.
func taken(d *Process) Finding {
	what := text("%s[%d] holds the audit pid; multicast listens beside it", d.Name, d.PID)
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

// withoutAudit tells why there is no audit system to ask.
func (f *Facts) withoutAudit() []Finding {
	switch {
	case f.OS != "linux":
		return []Finding{finding("only Linux has it")}
	case f.Namespaces.User == NamespaceOther:
		return []Finding{elsewhere("user", settingsUser)}
	case f.Audit.State == AuditAbsent && f.Audit.OffAtBoot:
		return []Finding{finding("audit was turned off at boot, which nobody can change until the next one: " +
			"remove audit=0 from the kernel's command line and reboot")}
	case f.Audit.State == AuditAbsent:
		return []Finding{finding("the kernel has no audit system (CONFIG_AUDIT), or it was turned off at boot: " +
			"remove audit=0 from the kernel's command line and reboot")}
	}
	return nil
}

// records makes a netlink source, which loads the rules that it needs and turns audit on
// if it may. If nothing can be recorded before somebody mends it, it is not usable.
func (f *Facts) records(name string, stops []Finding) Source {
	if len(stops) > 0 {
		return newSource(name, stops, nil)
	}
	mayChange := f.Audit.known() && len(f.lacking(capAuditControl)) == 0
	limits := f.unrecorded(mayChange)
	s := newSource(name, nil, limits)
	locked := f.Audit.State == AuditLocked && f.Rules.Known && f.Rules.Recorded+f.Rules.Partly == 0
	offForGood := f.Audit.State == AuditOff && !mayChange
	s.Usable = !locked && !offForGood && !f.Rules.TaskNever
	return s
}

// unrecorded tells what of the signals does not get into audit records. mayChange says
// whether the source loads rules and turns audit on.
func (f *Facts) unrecorded(mayChange bool) []Finding {
	if !f.Rules.Known {
		return []Finding{f.notTold()}
	}
	var found []Finding
	missing := f.Rules.Needed - f.Rules.Recorded
	what := text("%d of the %d rules that record the default signals are not there", missing, f.Rules.Needed)
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
		found = append(found, finding("audit is off: `auditkill watch` and a receiver turn it on while they run, "+
			"the latter unless it has rules::manage: false"))
	default:
		found = append(found, finding("audit is off, so that nothing is recorded", "sudo auditctl -e 1"))
	}
	for _, o := range f.Rules.Obstacles {
		found = append(found, finding(o.What, o.Mend...))
	}
	return found
}

// notTold says why it is not known which rules there are.
func (f *Facts) notTold() Finding {
	const unknown = "whether signals are recorded is not known"
	switch {
	case f.Namespaces.PID == NamespaceOther:
		return finding(unknown + ", as the kernel tells it in the initial pid namespace only: " + settingsPID)
	case len(f.lacking(capAuditControl)) > 0:
		return finding(unknown+" without "+capAuditControl, "sudo auditkill rules --check", loadRules)
	}
	return finding(unknown + ": " + f.Rules.Error)
}

// olderThan compares a kernel's release. One that cannot be read is not older.
func olderThan(release string, major, minor int) bool {
	words := strings.FieldsFunc(release, func(c rune) bool { return c < '0' || c > '9' })
	if len(words) < 2 {
		return false
	}
	first, err := strconv.Atoi(words[0])
	second, errSecond := strconv.Atoi(words[1])
	return err == nil && errSecond == nil && (first < major || first == major && second < minor)
}
