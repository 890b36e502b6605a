// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// The collector as a part of what it watches.

// Who ends the collector is among the last that it delivers.
func TestReportsItsOwnEnd(t *testing.T) {
	for name, receiver := range map[string]string{
		"unicast": `{netlink: {}}`, "multicast": `{netlink: {}}`, "ebpf": `{ebpf: {}}`,
	} {
		t.Run(name, func(t *testing.T) {
			useAudit(t)
			if name == "multicast" {
				newAuditd(t, "log_format = RAW").run()
			}
			sink := newSink(t, "grpc")
			c := startLive(t, receiver, sink)
			s := newSender(t, nativeSender(t))
			pid := c.command.Process.Pid
			s.send(orders.Order{Call: "kill", PID: pid, Signal: int(unix.SIGTERM)}, pid)
			assert.Equal(t, 0, c.wait(), "exit code")
			assertSent(t, sink.records(), []*sender{s})
		})
	}
}

// Somebody's rule that records the collector does not make it read what it does
// by itself, which would make it do more.
func TestDoesNotFeedItself(t *testing.T) {
	program, err := filepath.Abs(distribution)
	require.NoError(t, err)
	tests := map[string]struct{ before, later func(c *collector) string }{
		"by program": {before: func(*collector) string { return "-F exe=" + program }},
		"by parent":  {before: func(*collector) string { return fmt.Sprintf("-F ppid=%d", os.Getpid()) }},
		"by process": {later: func(c *collector) string { return fmt.Sprintf("-F pid=%d", c.command.Process.Pid) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			useAudit(t)
			newAuditd(t, "log_format = RAW\nnum_logs = 99").run() // which itself is never recorded
			auditctl(t, "-e", "1")
			record := func(rule func(*collector) string, c *collector) {
				if rule != nil {
					addRule(t, "always,exit -S all -k broad "+rule(c))
				}
			}
			record(test.before, nil)
			c := startLive(t, `{netlink: {mode: multicast}}`, newSink(t, "grpc"))
			record(test.later, c)
			eventually(t, func() bool {
				before := c.metric("audit_kill_records_read")
				time.Sleep(time.Second) // long enough for thousands
				return c.metric("audit_kill_records_read") < before+100
			}, "what the collector does is not recorded")
			c.stop()
		})
	}
}

// A rule that records everybody does not record the collector.
func TestIsSparedByABroadRule(t *testing.T) {
	useAudit(t)
	daemon := newAuditd(t, "log_format = RAW\nnum_logs = 99")
	daemon.run()
	auditctl(t, "-e", "1")
	const broad = "always,exit -S all -k broad"
	auditctl(t, append([]string{"-a"}, strings.Fields(broad)...)...)
	c := startLive(t, `{netlink: {mode: multicast}}`, newSink(t, "grpc"))
	ready := time.Now()
	time.Sleep(2 * time.Second) // long enough for thousands
	auditctl(t, append([]string{"-d"}, strings.Fields(broad)...)...)

	keeper := newKeeper(t, daemon.log)
	keeper.awaitQuiet()
	own, others := 0, 0
	for line := range keeper.lines() {
		match := syscallPattern.FindStringSubmatch(line)
		switch {
		case match == nil || stampOf(match) < ready.UnixMilli():
		case number(match[4]) == c.command.Process.Pid:
			own++
		default:
			others++
		}
	}
	t.Logf("%d calls of others are recorded, and %d of the collector", others, own)
	assert.Less(t, own, 100, "calls of the collector that were recorded")
	assert.Greater(t, others, own)
	c.stop()
}
