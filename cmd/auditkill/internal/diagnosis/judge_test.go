// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ready returns the facts of a host where all is well: auditd runs, with the rules.
func ready() *Facts {
	modified := time.Date(2026, 11, 20, 10, 30, 0, 0, time.UTC)
	since := modified.Add(-72 * time.Hour)
	return &Facts{
		OS: "linux", Kernel: "6.12.9-amd64", Machine: "x86_64",
		Capabilities: []string{capAuditControl, capAuditRead, capBPF, capPerfmon, capSysAdmin, capReadSearch, capPtrace, capOverride},
		Namespaces:   Namespaces{User: NamespaceInitial, PID: NamespaceInitial, Network: NamespaceInitial},
		Lockdown:     "none", BTF: true, BPF: BPF{Possible: true},
		Audit: Audit{
			State: AuditOn, Daemon: &Process{PID: 812, Name: "auditd"}, BacklogLimit: 8192, BacklogWaitTime: 60000, FromBoot: true,
		},
		Rules: Rules{Known: true, Needed: 4, Recorded: 4, Obstacles: []Obstacle{}},
		Log: Log{
			Path: "/var/log/audit/audit.log", Size: 4321098, Modified: &modified, Rotated: 4, Since: &since, Unread: []string{}, Free: 12 << 30,
			Rights:     &Rights{Path: "/var/log/audit/audit.log", Mode: "-rw-r-----", Owner: "root", Group: "adm", GroupReads: true},
			Configured: "/var/log/audit/audit.log", DaemonInstalled: true, Install: "apt-get install auditd",
		},
		Systemd: Systemd{Runs: true, Reached: true, Sessions: true}, KernelLog: KernelLog{Readable: true},
		Containers: Containers{Found: true},
	}
}

func noCapabilities(f *Facts) {
	f.UserID, f.Capabilities = 1000, []string{}
	noKernelLog(f)
	f.BPF = BPF{Problem: BPFRefused, Error: "operation not permitted"}
	f.Audit = Audit{State: AuditUnknown, Error: "operation not permitted", Daemon: &Process{PID: 812, Name: "auditd"}}
	f.Rules = Rules{Error: "operation not permitted", Obstacles: []Obstacle{}}
	f.Log = Log{
		Path: f.Log.Path, Problem: LogDenied, Error: "permission denied", Free: -1, Unread: []string{},
		Rights: &Rights{Path: "/var/log/audit", Mode: "drwxr-x---", Owner: "root", Group: "adm", GroupReads: true},
	}
}

func noKernelLog(f *Facts) {
	f.KernelLog = KernelLog{Error: "open /dev/kmsg: operation not permitted"}
}

func noAudit(f *Facts) {
	f.Audit = Audit{State: AuditAbsent, Error: "protocol not supported"}
	f.Rules = Rules{Error: "protocol not supported", Obstacles: []Obstacle{}}
	noLog(f)
}

func noLog(f *Facts) {
	f.Log = Log{Path: f.Log.Path, Problem: LogMissing, Free: -1, Unread: []string{}, Install: f.Log.Install}
	f.Audit.Daemon = nil
}

func noBPF(problem BPFProblem) func(*Facts) {
	return func(f *Facts) { f.BPF = BPF{Problem: problem, Error: "the kernel's answer"} }
}

func taskNever(f *Facts) {
	f.Rules.TaskNever = true
	f.Rules.Obstacles = []Obstacle{{What: `the audit rule "-a task,never" is in the way`, Mend: []string{"sudo auditctl -d task,never"}}}
}

func inContainer(f *Facts) {
	f.Namespaces = Namespaces{User: NamespaceInitial, PID: NamespaceOther, Network: NamespaceOther}
	f.Capabilities = []string{}
	f.BPF = BPF{Problem: BPFRefused, Error: "operation not permitted"}
	f.Audit = Audit{State: AuditUnknown, Error: "operation not permitted"}
	f.Rules = Rules{Error: "operation not permitted", Obstacles: []Obstacle{}}
	noLog(f)
	noBus(f)
	f.Containers = Containers{}
}

func noBus(f *Facts) {
	f.Systemd = Systemd{Runs: true, Error: "opening /run/dbus/system_bus_socket: no such file or directory"}
}

func noSystemd(f *Facts) { f.Systemd = Systemd{} }

// The marks of the sources: usable, usable with reservations, not usable.
const (
	ok  = "ok"
	but = "but"
	no  = "no"
)

func mark(s Source) string {
	switch {
	case !s.Usable:
		return no
	case len(s.Reasons) > 0:
		return but
	}
	return ok
}

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change []func(*Facts)
		// marks are those of ebpf, multicast, unicast and file.
		marks  [4]string
		chosen string
		// says is by source, or "warnings": what must be in the reasons or what fixes them.
		says map[string][]string
	}{
		"all is well": {
			marks: [4]string{ok, ok, no, ok}, chosen: SourceEBPF,
			says: map[string][]string{SourceUnicast: {"auditd[812] holds the audit pid", "sudo service auditd stop"}},
		},
		"another daemon": {
			change: []func(*Facts){func(f *Facts) { f.Audit.Daemon.Name = "auditbeat" }},
			marks:  [4]string{ok, ok, no, ok}, chosen: SourceEBPF,
			says: map[string][]string{SourceUnicast: {"auditbeat[812] holds", "multicast listens beside"}},
		},
		"no daemon": {
			change: []func(*Facts){noLog}, marks: [4]string{ok, but, ok, no}, chosen: SourceEBPF,
			says: map[string][]string{
				SourceMulticast: {"kernel prints every record to its own log"},
				SourceFile:      {"does not exist: auditd", "sudo apt-get install auditd", "sudo systemctl enable --now auditd"},
			},
		},
		"no daemon, no eBPF": {
			change: []func(*Facts){noLog, noBPF(BPFTooOld)}, marks: [4]string{no, but, ok, no}, chosen: SourceUnicast,
			says: map[string][]string{SourceEBPF: {"Linux 5.15", "the kernel's answer"}},
		},
		"a daemon, no eBPF": {
			change: []func(*Facts){noBPF(BPFTooOld)}, marks: [4]string{no, ok, no, ok}, chosen: SourceMulticast,
		},
		"no daemon, audit off": {
			change: []func(*Facts){noLog, func(f *Facts) { f.Audit.State, f.Audit.FromBoot, f.Rules.Recorded = AuditOff, false, 0 }},
			marks:  [4]string{ok, but, but, no}, chosen: SourceEBPF,
			says: map[string][]string{
				SourceMulticast: {"audit is off: `auditkill watch` turns it on while it runs", "its own log"},
				SourceUnicast:   {"audit is off: `auditkill watch` turns it on while it runs"},
				"warnings":      {"audit is off", "never on since boot", "audit=1"},
			},
		},
		"no daemon, audit off, and no right to turn it on": {
			change: []func(*Facts){noLog, func(f *Facts) {
				f.Audit.State, f.Capabilities = AuditOff, []string{capAuditRead, capBPF, capPerfmon}
			}},
			marks: [4]string{ok, no, no, no}, chosen: SourceEBPF,
			says: map[string][]string{SourceMulticast: {"audit is off, so nothing is recorded", "sudo auditctl -e 1"}},
		},
		"no daemon, but its log is still there": {
			change: []func(*Facts){func(f *Facts) { f.Audit.Daemon = nil }}, marks: [4]string{ok, but, ok, but}, chosen: SourceEBPF,
			says: map[string][]string{SourceFile: {"nothing is written", "sudo systemctl enable --now auditd"}},
		},
		"audit off beside a daemon": {
			change: []func(*Facts){func(f *Facts) { f.Audit.State = AuditOff }}, marks: [4]string{ok, but, no, but}, chosen: SourceEBPF,
			says: map[string][]string{SourceMulticast: {"turns it on"}, SourceFile: {"audit is off", "sudo auditctl -e 1"}},
		},
		"no rules": {
			change: []func(*Facts){func(f *Facts) { f.Rules.Recorded = 0 }}, marks: [4]string{ok, ok, no, but}, chosen: SourceEBPF,
			says: map[string][]string{SourceFile: {"4 of the 4 rules", "auditkill rules | sudo sh", "sudo tee /etc/audit/rules.d/"}},
		},
		"no rules and locked": {
			change: []func(*Facts){noBPF(BPFAbsent), func(f *Facts) { f.Rules.Recorded, f.Audit.State = 0, AuditLocked }},
			marks:  [4]string{no, no, no, but}, chosen: SourceMulticast,
			says: map[string][]string{
				SourceEBPF:      {"CONFIG_BPF_SYSCALL"},
				SourceMulticast: {"locked until the next boot", "sudo reboot"}, SourceFile: {"locked until the next boot"},
			},
		},
		"locked with rules for some signals": {
			change: []func(*Facts){func(f *Facts) { f.Rules.Recorded, f.Rules.Partly, f.Audit.State = 0, 4, AuditLocked }},
			marks:  [4]string{ok, but, no, but}, chosen: SourceEBPF,
			says: map[string][]string{SourceMulticast: {"4 of these in part", "locked until the next boot"}},
		},
		"locked with the rules": {
			change: []func(*Facts){func(f *Facts) { f.Audit.State = AuditLocked }}, marks: [4]string{ok, ok, no, ok}, chosen: SourceEBPF,
		},
		"locked without a daemon": {
			change: []func(*Facts){noLog, noBPF(BPFOther), func(f *Facts) { f.Audit.State = AuditLocked }},
			marks:  [4]string{no, but, but, no}, chosen: SourceMulticast,
			says: map[string][]string{SourceUnicast: {"--backlog_wait_time 0"}, SourceEBPF: {"loading a program has failed: the kernel's answer"}},
		},
		"locked without a daemon, and nobody would wait": {
			change: []func(*Facts){noLog, noBPF(BPFOther), func(f *Facts) { f.Audit.State, f.Audit.BacklogWaitTime = AuditLocked, 0 }},
			marks:  [4]string{no, but, ok, no}, chosen: SourceUnicast,
		},
		"task,never": {
			change: []func(*Facts){taskNever}, marks: [4]string{ok, no, no, but}, chosen: SourceEBPF,
			says: map[string][]string{SourceMulticast: {"-a task,never", "sudo auditctl -d task,never"}, SourceFile: {"-a task,never"}},
		},
		"a rule that hides some": {
			change: []func(*Facts){taskNever, func(f *Facts) { f.Rules.TaskNever = false }}, marks: [4]string{ok, but, no, but},
			chosen: SourceEBPF,
		},
		"no audit in the kernel": {
			change: []func(*Facts){noAudit}, marks: [4]string{ok, no, no, no}, chosen: SourceEBPF,
			says: map[string][]string{SourceMulticast: {"CONFIG_AUDIT", "audit=0"}},
		},
		"audit=0": {
			change: []func(*Facts){noAudit, func(f *Facts) { f.Audit.OffAtBoot = true }}, marks: [4]string{ok, no, no, no},
			chosen: SourceEBPF, says: map[string][]string{SourceMulticast: {"turned off at boot, which only a reboot can change", "audit=0"}},
		},
		"no audit, but a log of another host": {
			change: []func(*Facts){noAudit, func(f *Facts) { f.Log = ready().Log }}, marks: [4]string{ok, no, no, but}, chosen: SourceEBPF,
			says: map[string][]string{SourceFile: {"CONFIG_AUDIT"}},
		},
		"no capabilities": {
			change: []func(*Facts){noCapabilities}, marks: [4]string{no, no, no, no}, chosen: "",
			says: map[string][]string{
				SourceEBPF:      {"user 1000 lacks CAP_BPF and CAP_PERFMON", "sudo auditkill watch --source ebpf", "[BPF, PERFMON]"},
				SourceMulticast: {"AmbientCapabilities=CAP_AUDIT_READ"}, SourceUnicast: {"CAP_AUDIT_CONTROL", "auditd[812]"},
				SourceFile: {"/var/log/audit belongs to root:adm (drwxr-x---)", `sudo usermod -aG adm "$USER"`},
			},
		},
		"no capabilities, and a log for root only": {
			change: []func(*Facts){noCapabilities, func(f *Facts) { f.Log.Rights.Group, f.Log.Rights.GroupReads = "root", false }},
			marks:  [4]string{no, no, no, no}, chosen: "",
			says: map[string][]string{SourceFile: {"CAP_DAC_READ_SEARCH", "log_group"}},
		},
		"a member of the group": {
			change: []func(*Facts){noCapabilities, func(f *Facts) { f.Log = ready().Log }},
			marks:  [4]string{no, no, no, but}, chosen: SourceFile,
			says: map[string][]string{SourceFile: {"checking needs CAP_AUDIT_CONTROL", "sudo auditkill rules --check"}},
		},
		"only the right to read": {
			change: []func(*Facts){noCapabilities, func(f *Facts) { f.Capabilities = []string{capAuditRead} }},
			marks:  [4]string{no, but, no, no}, chosen: SourceMulticast,
			says: map[string][]string{SourceMulticast: {"checking needs CAP_AUDIT_CONTROL", "auditkill rules | sudo sh"}},
		},
		"a container": {
			change: []func(*Facts){inContainer}, marks: [4]string{no, no, no, no}, chosen: SourceFile,
			says: map[string][]string{
				SourceEBPF:      {"from root", "docker run --cap-add BPF --cap-add PERFMON"},
				SourceMulticast: {"--network=host", "hostNetwork: true", "--cap-add AUDIT_READ"},
				SourceUnicast:   {"--pid=host", "hostPID: true", "--cap-add AUDIT_CONTROL"},
				SourceFile:      {"in this container", "--root-path"},
			},
		},
		"a container with the right to read": {
			change: []func(*Facts){inContainer, func(f *Facts) {
				f.Capabilities, f.Namespaces.Network = []string{capAuditRead, capAuditControl}, NamespaceInitial
			}},
			marks: [4]string{no, but, no, no}, chosen: SourceMulticast,
			says: map[string][]string{SourceMulticast: {"only in the initial pid namespace", "hostPID: true"}},
		},
		"a user namespace": {
			change: []func(*Facts){inContainer, func(f *Facts) {
				f.Namespaces.User, f.Capabilities = NamespaceOther, []string{capAuditControl, capAuditRead, capBPF, capPerfmon, capSysAdmin}
				f.Audit.Error = "connection refused"
			}},
			marks: [4]string{no, no, no, no}, chosen: SourceFile,
			says: map[string][]string{
				SourceEBPF: {"initial user namespace", "PrivateUsers=no"}, SourceMulticast: {"initial user namespace"},
				SourceUnicast: {"hostUsers: true"},
			},
		},
		"lockdown": {
			change: []func(*Facts){noBPF(BPFTooOld), func(f *Facts) { f.Lockdown = "confidentiality" }},
			marks:  [4]string{no, ok, no, ok}, chosen: SourceMulticast,
			says: map[string][]string{SourceEBPF: {"lockdown=integrity"}},
		},
		"lockdown for integrity": {
			change: []func(*Facts){func(f *Facts) { f.Lockdown = "integrity" }}, marks: [4]string{ok, ok, no, ok}, chosen: SourceEBPF,
		},
		"no BTF": {
			change: []func(*Facts){noBPF(BPFTooOld), func(f *Facts) { f.BTF = false }}, marks: [4]string{no, ok, no, ok},
			chosen: SourceMulticast,
			says:   map[string][]string{SourceEBPF: {"CONFIG_DEBUG_INFO_BTF=y"}},
		},
		"seccomp": {
			change: []func(*Facts){noBPF(BPFRefused)}, marks: [4]string{no, ok, no, ok}, chosen: SourceMulticast,
			says: map[string][]string{SourceEBPF: {"seccomp", "LimitMEMLOCK=infinity"}},
		},
		"another machine": {
			change: []func(*Facts){noBPF(BPFUnsupported), func(f *Facts) { f.Machine, f.BTF = "riscv64", false }},
			marks:  [4]string{no, ok, no, ok}, chosen: SourceMulticast,
			says: map[string][]string{SourceEBPF: {"x86-64 and arm64"}},
		},
		"an old kernel": {
			change: []func(*Facts){noBPF(BPFAbsent), func(f *Facts) { f.Kernel, f.BTF = "3.10.0-1160.el7.x86_64", false }},
			marks:  [4]string{no, no, no, ok}, chosen: SourceFile,
			says: map[string][]string{SourceMulticast: {"Linux 3.16"}},
		},
		"the kernel does not answer": {
			change: []func(*Facts){func(f *Facts) {
				f.Audit = Audit{State: AuditUnknown, Error: "no reply received"}
				f.Rules = Rules{Error: "no reply received", Obstacles: []Obstacle{}}
			}},
			marks: [4]string{ok, but, no, but}, chosen: SourceEBPF,
			says: map[string][]string{SourceUnicast: {"no reply received"}, SourceMulticast: {"whether signals are recorded: no reply received"}},
		},
		"an empty log": {
			change: []func(*Facts){func(f *Facts) { f.Log.Size = 0 }}, marks: [4]string{ok, ok, no, but}, chosen: SourceEBPF,
			says: map[string][]string{SourceFile: {"is empty"}},
		},
		"another log": {
			change: []func(*Facts){func(f *Facts) { f.Log.Problem, f.Log.Configured = LogMissing, "/srv/my audit.log" }},
			marks:  [4]string{ok, ok, no, no}, chosen: SourceEBPF,
			says: map[string][]string{SourceFile: {"auditd.conf says log_file", "auditkill doctor --file '/srv/my audit.log'"}},
		},
		"a daemon that writes no log": {
			change: []func(*Facts){func(f *Facts) { f.Log.Problem = LogMissing }}, marks: [4]string{ok, ok, no, no}, chosen: SourceEBPF,
			says: map[string][]string{SourceFile: {"although auditd[812] is the audit daemon", "write_logs"}},
		},
		"a folder": {
			change: []func(*Facts){func(f *Facts) { f.Log.Problem = LogIrregular }}, marks: [4]string{ok, ok, no, no}, chosen: SourceEBPF,
			says: map[string][]string{SourceFile: {"is not a file"}},
		},
		"a disk that fails": {
			change: []func(*Facts){func(f *Facts) { f.Log.Problem, f.Log.Error = LogOther, "input/output error" }},
			marks:  [4]string{ok, ok, no, no}, chosen: SourceEBPF,
			says: map[string][]string{SourceFile: {"input/output error"}},
		},
		"a log with a date": {
			change: []func(*Facts){func(f *Facts) { f.Log.Unread = []string{"/var/log/audit/audit.log-20151215.gz"} }},
			marks:  [4]string{ok, ok, no, ok}, chosen: SourceEBPF,
			says: map[string][]string{"warnings": {
				"older logs are not read, because of their names or how they are compressed: /var/log/audit/audit.log-20151215.gz", "sudo auditkill report /var/log/audit/audit.log /var/log/audit/audit.log-20151215.gz",
			}},
		},
		"logs with dates": {
			change: []func(*Facts){func(f *Facts) {
				f.Log.Unread = []string{"audit.log-20151213", "audit.log-20151214", "audit.log-20151215", "audit.log-20151216"}
			}},
			marks: [4]string{ok, ok, no, ok}, chosen: SourceEBPF,
			says: map[string][]string{"warnings": {
				"audit.log-20151216 and 3 more",
				"sudo auditkill report /var/log/audit/audit.log audit.log-20151216 audit.log-20151215 audit.log-20151214\n",
			}},
		},
		"logs that others have packed": {
			change: []func(*Facts){func(f *Facts) { f.Log.Unread = []string{"audit.log-20151215.lz4", "audit log.4.bz2"} }},
			marks:  [4]string{ok, ok, no, ok}, chosen: SourceEBPF,
			says: map[string][]string{"warnings": {
				"audit log.4.bz2 and 1 more", "sudo bzcat 'audit log.4.bz2' | auditkill report -\n",
			}},
		},
		"a full disk": {
			change: []func(*Facts){func(f *Facts) { f.Log.Free = 3 << 20 }}, marks: [4]string{ok, ok, no, ok}, chosen: SourceEBPF,
			says: map[string][]string{"warnings": {"only 3.0 MiB left", "disk_full_action"}},
		},
		"a backlog near its limit": {
			change: []func(*Facts){func(f *Facts) { f.Audit.Backlog, f.Audit.Lost = 7000, 3 }}, marks: [4]string{ok, ok, no, ok},
			chosen: SourceEBPF, says: map[string][]string{"warnings": {"7000 records wait", "8192", "sudo auditctl -b 16384"}},
		},
		"records lost with a short backlog": {
			change: []func(*Facts){func(f *Facts) { f.Audit.BacklogLimit, f.Audit.Lost = 64, 3 }}, marks: [4]string{ok, ok, no, ok},
			chosen: SourceEBPF, says: map[string][]string{"warnings": {"lost 3 audit records", "sudo auditctl -b 16384"}},
		},
		"records lost": {
			change: []func(*Facts){func(f *Facts) { f.Audit.Lost = 3 }}, marks: [4]string{ok, ok, no, ok}, chosen: SourceEBPF,
			says: map[string][]string{"warnings": {"lost 3 audit records"}},
		},
		"no limit to the backlog": {
			change: []func(*Facts){func(f *Facts) { f.Audit.Backlog, f.Audit.BacklogLimit = 70000, 0 }},
			marks:  [4]string{ok, ok, no, ok}, chosen: SourceEBPF,
		},
		"not Linux": {
			change: []func(*Facts){noAudit, noBPF(BPFUnsupported), func(f *Facts) { f.OS = "darwin" }},
			marks:  [4]string{no, no, no, no}, chosen: SourceFile,
			says: map[string][]string{SourceUnicast: {"only Linux"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := ready()
			for _, change := range test.change {
				change(f)
			}
			r := Judge(f)
			var marks [4]string
			said := make(map[string]string)
			for i, s := range r.Sources {
				marks[i] = mark(s)
				said[s.Name] = strings.Join(slices.Concat(s.Reasons, s.Mend), "\n")
				assert.NotNil(t, s.Mend, "a list in JSON")
				if !s.Usable {
					assert.NotEmpty(t, s.Reasons, s.Name)
				}
			}
			assert.Equal(t, test.marks, marks)
			assert.Equal(t, slices.ContainsFunc(marks[:], func(m string) bool { return m != no }), r.Usable)
			assert.Equal(t, test.chosen, r.Chosen)
			for _, w := range r.Warnings {
				said["warnings"] += strings.Join(append(w.Mend, w.What), "\n")
			}
			assert.Equal(t, len(test.says["warnings"]) > 0, len(r.Warnings) > 0, r.Warnings)
			for source, texts := range test.says {
				for _, says := range texts {
					require.Contains(t, said[source], says)
				}
			}
		})
	}
}

func TestJudgeBehind(t *testing.T) {
	t.Parallel()
	all := []string{BehindConnects, BehindLimits, BehindNames, BehindJobs, BehindCalls, BehindLogins, BehindOthers}
	with := func(user int, capabilities ...string) func(*Facts) {
		return func(f *Facts) { f.UserID, f.Capabilities = user, capabilities }
	}
	pod := func(f *Facts) { f.Namespaces.PID = NamespaceOther }
	for name, test := range map[string]struct {
		change []func(*Facts)
		// has are the facts that are judged, if not all, known those that can be known.
		has, known []string
		// says is by fact: what must be in the reason or what fixes it.
		says map[string][]string
	}{
		"root": {known: all},
		"the service": {change: []func(*Facts){with(990, capBPF, capPerfmon, capPtrace)}, known: []string{BehindConnects, BehindLimits, BehindNames, BehindJobs, BehindLogins}, says: map[string][]string{
			BehindCalls:  {"shows only root", "sudo auditkill watch", "/zz-behind.conf"},
			BehindOthers: {"systemds of users", "CAP_DAC_OVERRIDE", "/zz-behind.conf"},
		}},
		"the service's user": {change: []func(*Facts){noCapabilities}, known: []string{BehindNames, BehindJobs, BehindLogins}, says: map[string][]string{
			BehindConnects: {"only ebpf sees"}, BehindOthers: {"CAP_SYS_PTRACE"},
			BehindLimits: {"is not known", "/dev/kmsg: operation not permitted", "/zz-kmsg.conf"},
		}},
		"the service, and the kernel's log is hidden": {
			change: []func(*Facts){noKernelLog, func(f *Facts) { f.UserID = 990 }},
			known:  []string{BehindConnects, BehindNames, BehindJobs, BehindLogins}, says: map[string][]string{
				BehindLimits: {"is only inferred", "says it for certain", "/dev/kmsg: operation not permitted", "/zz-kmsg.conf"},
			},
		},
		"a pod that does not see the kernel's log": {
			change: []func(*Facts){noKernelLog, with(0, capBPF, capPtrace), pod},
			known:  []string{BehindConnects, BehindNames, BehindJobs, BehindCalls, BehindLogins},
			says:   map[string][]string{BehindLimits: {"--device /dev/kmsg:/dev/kmsg:r --cap-add SYSLOG"}},
		},
		"a kernel that says it without its log": {change: []func(*Facts){noKernelLog, func(f *Facts) { f.BPF.TracesMemory = true }}, known: all},
		"root without the capability":           {change: []func(*Facts){with(0, capBPF, capPtrace)}, known: all[:6]},
		"a pod": {change: []func(*Facts){with(0, capBPF, capPtrace), pod, noBus}, known: []string{BehindConnects, BehindLimits, BehindNames}, says: map[string][]string{
			BehindJobs:  {"no such file or directory", "docker run -v /run/dbus:/host/run/dbus:ro", "--patch-file deploy/kubernetes/behind.yaml"},
			BehindCalls: {"behind.yaml"}, BehindLogins: {"behind.yaml"}, BehindOthers: {"initial pid namespace"},
		}},
		"a pod with the patch": {change: []func(*Facts){with(0, capBPF, capPtrace), pod}, known: all[:6]},
		"a pod with the logins only": {
			change: []func(*Facts){with(0, capBPF, capPtrace), pod, noBus, func(f *Facts) { f.Systemd.Sessions = true }},
			known:  []string{BehindConnects, BehindLimits, BehindNames, BehindLogins},
		},
		"a user namespace": {
			change: []func(*Facts){func(f *Facts) { f.Namespaces.User = NamespaceOther }}, known: []string{BehindConnects, BehindLimits, BehindNames, BehindJobs, BehindLogins},
		},
		"no bus":        {change: []func(*Facts){noBus}, known: []string{BehindConnects, BehindLimits, BehindNames, BehindOthers}},
		"no containers": {change: []func(*Facts){noSystemd, func(f *Facts) { f.Containers = Containers{} }}, has: all[:2], known: all[:2]},
		"containers of root": {
			change: []func(*Facts){noSystemd, with(990, capBPF), func(f *Facts) { f.Containers.Error = "permission denied" }},
			has:    all[:3], known: all[:2], says: map[string][]string{BehindNames: {": permission denied", "sudo auditkill watch", "/zz-names.conf"}},
		},
		"a pod that sees none": {
			change: []func(*Facts){noSystemd, pod, func(f *Facts) { f.Containers = Containers{} }},
			has:    all[:3], known: all[:2], says: map[string][]string{BehindNames: {"names.yaml", "docker run -v"}},
		},
		"no systemd":          {change: []func(*Facts){noSystemd}, has: all[:3], known: all[:3]},
		"no systemd, no eBPF": {change: []func(*Facts){noSystemd, noBPF(BPFTooOld)}, has: all[:3], known: all[1:3]},
		"not Linux":           {change: []func(*Facts){func(f *Facts) { f.OS = "darwin" }}, has: []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := ready()
			for _, change := range test.change {
				change(f)
			}
			has := []string{}
			var known []string
			for _, b := range Judge(f).Behind {
				has = append(has, b.Name)
				assert.NotNil(t, b.Mend, "a list in JSON")
				assert.Equal(t, b.Known, b.What == "", b.Name)
				if b.Known {
					known = append(known, b.Name)
				}
				for _, says := range test.says[b.Name] {
					assert.Contains(t, b.What+"\n"+strings.Join(b.Mend, "\n"), says)
				}
			}
			if test.has == nil {
				test.has = all
			}
			assert.Equal(t, test.has, has)
			assert.Equal(t, test.known, known)
		})
	}
}

func TestOlderThan(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]bool{
		"3.10.0-1160.el7.x86_64": true, "2.6.32": true, "3.15": true,
		"3.16.0": false, "4.4.0-generic": false, "6.18.44-fc-v657": false, "": false, "strange": false,
	} {
		assert.Equal(t, want, olderThan(release, 3, 16), release)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 4321098: "4.1 MiB", 12 << 30: "12.0 GiB", 1 << 62: "4.0 EiB",
	} {
		assert.Equal(t, want, size(bytes))
	}
	for path, want := range map[string]string{
		"/var/log/audit.log": "/var/log/audit.log", "/a b": "'/a b'", "it's": `'it'\''s'`, "": "''",
	} {
		assert.Equal(t, want, quote(path))
	}
}
