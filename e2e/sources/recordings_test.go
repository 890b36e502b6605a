// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"strings"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// The example that everybody finds first (testdata/seed.log), with everything that its two
// records hold.
func TestSeed(t *testing.T) {
	t.Parallel()
	records := collector.Replay(t, harness.Path("testdata/seed.log"), "")
	require.Len(t, records, 1)
	r := records[0]
	assert.Regexp(t, "^[0-9a-f]{32}$", r.Text("log.record.uid"))
	delete(r.Attributes, "log.record.uid")
	r.Resource = nil // it is this host's
	for _, name := range []string{
		// The names of users depend on the machine that runs the test.
		"process.user.name", "process.real_user.name", "process.saved_user.name", "kill.target.user.name", "user.name",
	} {
		delete(r.Attributes, name)
	}
	assert.Equal(t, otlp.Record{
		Event:    "kill.signal",
		Severity: plog.SeverityNumberWarn,
		// msg=audit(1450214919.813:148), which was 2015-12-16 08:28:39 in the time zone where it was recorded.
		Time: time.UnixMilli(1450214919813).UTC(),
		Body: "mykill[3997] (/opt/bin/mykill, uid 0, login 500) sent SIGKILL to mysqld[3936]",
		Attributes: map[string]any{
			"event.name":                   "kill.signal",
			"kill.signal.number":           int64(9),
			"kill.signal.name":             "SIGKILL",
			"kill.syscall":                 "kill",
			"kill.origin":                  "user",
			"kill.scope":                   "process",
			"kill.result":                  "success",
			"kill.target.pid":              int64(3936),
			"kill.target.name":             "mysqld",
			"kill.target.user.id":          int64(102),
			"kill.target.audit.user.id":    int64(500),
			"kill.target.audit.session.id": int64(1),
			"kill.target.selinux.label":    "user_u:system_r:mysqld_t:s0",
			"kill.target.count":            int64(1),
			"process.pid":                  int64(3997),
			"process.parent_pid":           int64(3649),
			"process.command":              "mykill",
			"process.executable.path":      "/opt/bin/mykill",
			"process.executable.name":      "mykill",
			"process.user.id":              int64(0),
			"process.real_user.id":         int64(0),
			"process.saved_user.id":        int64(0),
			"user.id":                      "500",
			"kill.sender.audit.user.id":    int64(500),
			"kill.audit.serial":            int64(148),
			"kill.audit.session.id":        int64(1),
			"kill.audit.key":               []any{"audit_kill"},
			"kill.audit.tty":               "pts3",
			"kill.audit.subject":           "user_u:system_r:unconfined_t:s0",
			"kill.audit.arch":              "x86_64",
			"kill.complete":                true,
			"kill.source":                  "audit_file",
			"log.file.path":                harness.Path("testdata/seed.log"),
		},
	}, r)
}

// One row for each kind of event in the recording, with its sentence and the attributes in which
// the rows differ.
func TestVariants(t *testing.T) {
	t.Parallel()
	records := collector.Replay(t, harness.Path("testdata/variants.log"),
		`signals: [HUP, INT, QUIT, ILL, TRAP, ABRT, BUS, FPE, KILL, SEGV, TERM, USR2]`)
	require.Len(t, otlp.KeysOf(records), 54)

	targets := make(map[any]bool)
	var others []otlp.Record
	for _, r := range records {
		if r.Attributes["kill.scope"] != "process_group" {
			others = append(others, r)
			continue
		}
		targets[r.Attributes["kill.target.pid"]] = true
		assert.Regexp(t, `^bash\[22453\] \(/usr/bin/bash, uid 0\) sent SIGTERM to (bash|sleep)\[\d+\]$`, r.Body)
		assert.EqualValues(t, 41, r.Attributes["kill.target.count"])
		assert.Equal(t, true, r.Attributes["kill.complete"])
	}
	assert.Len(t, targets, 41, "each target once")

	var got []variant
	for _, r := range others {
		assert.Equal(t, true, r.Attributes["kill.complete"], r.Body)
		got = append(got, variantOf(r))
	}
	const (
		python  = "python3[22519] (/usr/bin/python3.11, uid 0) sent "
		removed = "auditctl[22669] (/usr/sbin/auditctl, uid 0) removed an audit rule with the key audit_kill"
	)
	assert.Equal(t, []variant{
		{
			plog.SeverityNumberInfo, "bash[22453] (/usr/bin/bash, uid 0) sent SIGKILL to pid 999999: ESRCH",
			"kill process failure ESRCH x86_64",
		},
		{
			plog.SeverityNumberInfo, "bash[22516] (/usr/bin/bash, uid 65534) sent SIGTERM to systemd[1]: EPERM",
			"kill process failure EPERM x86_64",
		},
		{
			plog.SeverityNumberWarn, "i386kill[22518] (/opt/load/i386kill, uid 0) sent SIGKILL to sleep[22517]",
			"kill process success  i386",
		},
		{plog.SeverityNumberWarn, python + "SIGKILL to sleep[22560]", "pidfd_send_signal process success  x86_64"},
		{plog.SeverityNumberWarn, python + "SIGTERM to sleep[22561]", "tgkill thread success  x86_64"},
		{plog.SeverityNumberWarn, python + "SIGUSR2 to sleep[22562]", "rt_sigqueueinfo process success  x86_64"},
		{
			plog.SeverityNumberWarn, "bash[22563] (/usr/bin/bash, uid 0) sent SIGKILL to bash[22563]",
			"kill process success  x86_64",
		},
		{
			plog.SeverityNumberWarn, "python3[22564] (/usr/bin/python3.11, uid 0) sent SIGABRT to python3[22564]",
			"tgkill thread success  x86_64",
		},
		{plog.SeverityNumberError, "python3[22564] (/usr/bin/python3.11, uid 0) died of SIGABRT", "crash"},
		{plog.SeverityNumberError, "python3[22565] (/usr/bin/python3.11, uid 0) died of SIGSEGV", "crash"},
		{plog.SeverityNumberError, removed, "rule_removed"},
		{plog.SeverityNumberError, removed, "rule_removed"},
		{plog.SeverityNumberError, "?[22667] (uid 0) stopped the audit daemon", "daemon_stopped"},
	}, got)
}

// variant is what differs between the kinds of events.
type variant struct {
	severity plog.SeverityNumber
	body     string
	call     string
}

func variantOf(r otlp.Record) variant {
	text := r.Text
	switch r.Event {
	case "kill.abend":
		return variant{r.Severity, r.Body, text("kill.cause")}
	case "kill.tamper":
		return variant{r.Severity, r.Body, text("kill.tamper.action")}
	}
	return variant{r.Severity, r.Body, strings.Join([]string{
		text("kill.syscall"), text("kill.scope"), text("kill.result"), text("error.type"), text("kill.audit.arch"),
	}, " ")}
}
