// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// Tampering with audit is reported and, where possible, undone.

// tampers returns the reported tampering of one kind.
func tampers(sink *otlp.Sink, action string) []otlp.Record {
	var found []otlp.Record
	for _, r := range sink.Records() {
		if r.Event == "kill.tamper" && r.Attributes["kill.tamper.action"] == action {
			found = append(found, r)
		}
	}
	return found
}

func awaitTampers(t *testing.T, sink *otlp.Sink, action string, count int) []otlp.Record {
	t.Helper()
	if !assert.Eventually(t, func() bool { return len(tampers(sink, action)) >= count }, harness.Patience, 20*time.Millisecond) {
		require.FailNow(t, fmt.Sprintf("%s was not reported %d times, but this: %+v", action, count, sink.Records()))
	}
	return tampers(sink, action)
}

// The collector restores deleted rules, but only a few times: whoever deletes them again and again
// means it.
func TestRestoresItsRules(t *testing.T) {
	const most = 3 // in a minute
	audit.Use(t)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{netlink: {}}`, sink)
	rules := ruleLines(t)
	require.NotEmpty(t, rules)
	restored := func() bool { return len(without(rules, ruleLines(t))) == 0 }
	for i := range most {
		audit.Auditctl(t, "-D")
		harness.Eventually(t, restored, "the rules are restored")
		// Each removed rule is an event of its own.
		for _, r := range awaitTampers(t, sink, "rule_removed", (i+1)*len(rules)) {
			assert.Equal(t, plog.SeverityNumberError, r.Severity)
			assert.Equal(t, "auditctl", r.Attributes["process.command"], "%+v", r)
		}
		awaitTampers(t, sink, "rule_restored", (i+1)*len(rules))
	}
	audit.Auditctl(t, "-D")
	c.Says("not put back: that was already done 3 times within 1m0s")
	assert.Empty(t, ruleLines(t))
	c.Stop()
	assert.Len(t, tampers(sink, "rule_removed"), (most+1)*len(rules))
	assert.Len(t, tampers(sink, "rule_restored"), most*len(rules))
}

// Without a single rule the collector misses some calls.
func TestRestoresOneRule(t *testing.T) {
	audit.Use(t)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{netlink: {}}`, sink)
	rules := ruleLines(t)
	audit.Auditctl(t, append([]string{"-d"}, strings.Fields(strings.TrimPrefix(rules[0], "-a "))...)...)
	awaitTampers(t, sink, "rule_removed", 1)
	awaitTampers(t, sink, "rule_restored", 1)
	assert.ElementsMatch(t, rules, ruleLines(t))
	c.Stop()
	assert.Len(t, tampers(sink, "rule_removed"), 1)
}

func TestTurnsAuditOnAgain(t *testing.T) {
	audit.Use(t)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{netlink: {}}`, sink)
	audit.Auditctl(t, "-e", "0")
	disabled := awaitTampers(t, sink, "audit_disabled", 1)[0]
	assert.Equal(t, plog.SeverityNumberError, disabled.Severity)
	assert.Equal(t, "auditctl", disabled.Attributes["process.command"], "%+v", disabled)
	harness.Eventually(t, func() bool { return audit.Status(t)["enabled"] == "1" }, "audit is turned on again")
	goesOn(t, c, sink)
}

func TestReportsThatAuditdStopped(t *testing.T) {
	audit.Use(t)
	sink := otlp.NewSink(t, "grpc")
	daemon := audit.NewDaemon(t, "log_format = RAW")
	daemon.Run()
	c := startLive(t, `{netlink: {}}`, sink)
	s := process.NewSender(t, process.NativeSender(t))
	pid := daemon.PID()
	s.Send(orders.Order{Call: "kill", PID: pid, Signal: int(unix.SIGTERM)}, pid)
	stopped := awaitTampers(t, sink, "daemon_stopped", 1)[0]
	assert.Equal(t, plog.SeverityNumberError, stopped.Severity)
	awaitSent(t, sink, []*process.Sender{s})
	c.Stop()
	assertSent(t, sink.Records(), []*process.Sender{s})
}
