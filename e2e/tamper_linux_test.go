// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// What blinds the collector is reported and, as far as possible, undone.

// tampers returns what was done to the collector's sight, of one kind.
func tampers(sink *sink, action string) []record {
	var found []record
	for _, r := range sink.records() {
		if r.Event == "kill.tamper" && r.Attributes["kill.tamper.action"] == action {
			found = append(found, r)
		}
	}
	return found
}

func awaitTampers(t *testing.T, sink *sink, action string, count int) []record {
	t.Helper()
	if !assert.Eventually(t, func() bool { return len(tampers(sink, action)) >= count }, patience, 20*time.Millisecond) {
		require.FailNow(t, fmt.Sprintf("never %d times %s, but %+v", count, action, sink.records()))
	}
	return tampers(sink, action)
}

// Rules that somebody deletes come back, but not without end, as somebody may
// mean it.
func TestRestoresItsRules(t *testing.T) {
	const most = 3 // in a minute
	useAudit(t)
	sink := newSink(t, "grpc")
	c := startLive(t, `{netlink: {}}`, sink)
	rules := ruleLines(t)
	require.NotEmpty(t, rules)
	restored := func() bool { return len(without(rules, ruleLines(t))) == 0 }
	for i := range most {
		auditctl(t, "-D")
		eventually(t, restored, "the rules are put back")
		// Each rule is an event of its own.
		for _, r := range awaitTampers(t, sink, "rule_removed", (i+1)*len(rules)) {
			assert.Equal(t, plog.SeverityNumberError, r.Severity)
			assert.Equal(t, "auditctl", r.Attributes["process.command"], "%+v", r)
		}
		awaitTampers(t, sink, "rule_restored", (i+1)*len(rules))
	}
	auditctl(t, "-D")
	c.says("not put back, as that was done 3 times within 1m0s")
	assert.Empty(t, ruleLines(t))
	c.stop()
	assert.Len(t, tampers(sink, "rule_removed"), (most+1)*len(rules))
	assert.Len(t, tampers(sink, "rule_restored"), most*len(rules))
}

// One of the rules is enough to be blind for some calls.
func TestRestoresOneRule(t *testing.T) {
	useAudit(t)
	sink := newSink(t, "grpc")
	c := startLive(t, `{netlink: {}}`, sink)
	rules := ruleLines(t)
	auditctl(t, append([]string{"-d"}, strings.Fields(strings.TrimPrefix(rules[0], "-a "))...)...)
	awaitTampers(t, sink, "rule_removed", 1)
	awaitTampers(t, sink, "rule_restored", 1)
	assert.ElementsMatch(t, rules, ruleLines(t))
	c.stop()
	assert.Len(t, tampers(sink, "rule_removed"), 1)
}

func TestTurnsAuditOnAgain(t *testing.T) {
	useAudit(t)
	sink := newSink(t, "grpc")
	c := startLive(t, `{netlink: {}}`, sink)
	auditctl(t, "-e", "0")
	disabled := awaitTampers(t, sink, "audit_disabled", 1)[0]
	assert.Equal(t, plog.SeverityNumberError, disabled.Severity)
	assert.Equal(t, "auditctl", disabled.Attributes["process.command"], "%+v", disabled)
	eventually(t, func() bool { return auditStatus(t)["enabled"] == "1" }, "audit is turned on again")
	goesOn(t, c, sink)
}

func TestTellsThatAuditdIsStopped(t *testing.T) {
	useAudit(t)
	sink := newSink(t, "grpc")
	daemon := newAuditd(t, "log_format = RAW")
	daemon.run()
	c := startLive(t, `{netlink: {}}`, sink)
	s := newSender(t, nativeSender(t))
	pid := daemon.command.Process.Pid
	s.send(orders.Order{Call: "kill", PID: pid, Signal: int(unix.SIGTERM)}, pid)
	stopped := awaitTampers(t, sink, "daemon_stopped", 1)[0]
	assert.Equal(t, plog.SeverityNumberError, stopped.Severity)
	awaitSent(t, sink, []*sender{s})
	c.stop()
	assertSent(t, sink.records(), []*sender{s})
}
