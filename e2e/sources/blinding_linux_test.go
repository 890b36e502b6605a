// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// What keeps the rules from recording, and the collector from running, is reported.

// hindrances are what an administrator can do with auditctl, how he undoes it, and what is reported.
var hindrances = map[string]struct {
	do, undo     string
	action, rule string
}{
	"a rule before ours": {
		"-A never,exit -F arch=b64 -S kill -F uid=54321", "-d never,exit -F arch=b64 -S kill -F uid=54321",
		"rule_shadowed", "-a never,exit -F arch=b64 -S kill -F uid=54321",
	},
	"a rule for tasks": {"-a task,never -F uid=54321", "-d task,never -F uid=54321", "rule_shadowed", "-a task,never -F uid=54321"},
	"an excluded type": {
		"-a always,exclude -F msgtype=PROCTITLE", "-d always,exclude -F msgtype=PROCTITLE",
		"record_type_excluded", "-a always,exclude -F msgtype=PROCTITLE",
	},
	"a rate limit":    {"-r 1000", "-r 0", "rate_limited", "-r 1000"},
	"a small backlog": {"-b 60", "-b 8192", "backlog_limited", "-b 60"},
}

func auditctl(t *testing.T, line string) {
	t.Helper()
	audit.Auditctl(t, strings.Fields(line)...)
}

// Each hindrance is reported with who causes it, once, and again when it is undone and done again.
// The collector leaves it alone.
func TestReportsWhatHindersItsRules(t *testing.T) {
	for name, receiver := range map[string]string{
		"unicast": `{netlink: {}}`, "multicast": `{netlink: {}}`, "not managed": `{netlink: {}, rules: {manage: false}}`,
	} {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			if name == "multicast" {
				audit.NewDaemon(t, "log_format = RAW").Run()
			}
			if name == "not managed" {
				audit.AddRule(t, "always,exit -F arch=b64 -S kill -F a1=15 -k other")
				auditctl(t, "-e 1")
			}
			sink := otlp.NewSink(t, "grpc")
			c := startLive(t, receiver, sink)
			told := make(map[string]int)
			for name, h := range hindrances {
				for range 2 {
					told[h.action]++
					auditctl(t, h.do)
					found := awaitTampers(t, sink, h.action, told[h.action])
					r := found[len(found)-1]
					assert.Equal(t, plog.SeverityNumberError, r.Severity, name)
					assert.Equal(t, h.rule, r.Attributes["kill.tamper.rule"], name)
					assert.Equal(t, "auditctl", r.Attributes["process.command"], "%s: %+v", name, r)
					auditctl(t, h.undo)
					time.Sleep(2 * time.Second) // until that is seen, which nothing reports
				}
			}
			goesOn(t, c, sink)
			for action, count := range told {
				assert.Len(t, tampers(sink, action), count, action)
			}
		})
	}
}

// What is so from the start is reported, too, but nobody is accused.
func TestReportsWhatHinderedItsRulesBefore(t *testing.T) {
	audit.Use(t)
	auditctl(t, "-e 0")
	auditctl(t, "-r 1000")
	audit.AddRule(t, "never,exit -F arch=b64 -S kill -F uid=54321")
	audit.AddRule(t, "always,exit -F arch=b64 -S kill -F a1=15 -k other")
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{netlink: {}, rules: {manage: false}}`, sink)
	for _, action := range []string{"audit_disabled", "rate_limited", "rule_shadowed"} {
		r := awaitTampers(t, sink, action, 1)[0]
		assert.NotContains(t, r.Attributes, "process.pid", "%+v", r)
		assert.NotContains(t, r.Attributes, "user.id", "%+v", r)
	}
	c.Stop()
}

// A collector that was stopped says so once it runs again, and who has stopped it.
func TestReportsThatItWasStopped(t *testing.T) {
	for name, receiver := range map[string]string{
		"ebpf":                       `{ebpf: {}}`,
		"ebpf, of other targets":     `{ebpf: {}, targets: [nobody], senders: [noone]}`,
		"ebpf, of other signals":     `{ebpf: {}, signals: [HUP]}`,
		"unicast":                    `{netlink: {}}`,
		"unicast, of other targets":  `{netlink: {}, targets: [nobody]}`,
		"multicast, beside a daemon": `{netlink: {}}`,
	} {
		t.Run(name, func(t *testing.T) {
			const stopped = 7 * time.Second // which is longer than what a busy machine is pardoned
			audit.Use(t)
			if name == "multicast, beside a daemon" {
				audit.NewDaemon(t, "log_format = RAW").Run()
			}
			sink := otlp.NewSink(t, "grpc")
			c := startLive(t, receiver, sink)
			s := process.NewSender(t, process.NativeSender(t))
			began := time.Now()
			s.Send(orders.Order{Call: "kill", PID: c.PID(), Signal: int(unix.SIGSTOP)}, c.PID())
			time.Sleep(stopped)
			require.NoError(t, c.Command.Process.Signal(syscall.SIGCONT))

			r := awaitTampers(t, sink, "collector_stopped", 1)[0]
			assert.Equal(t, plog.SeverityNumberError, r.Severity)
			assert.InDelta(t, stopped.Seconds(), r.Attributes["kill.duration"], 3)
			assert.WithinDuration(t, began, r.Time, 3*time.Second)
			assert.NotContains(t, r.Attributes, "process.pid")
			awaitSent(t, sink, []*process.Sender{s})
			assertSent(t, sink.Records(), []*process.Sender{s})
			c.Stop()
			assert.Len(t, tampers(sink, "collector_stopped"), 1)
		})
	}
}
