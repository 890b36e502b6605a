// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

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

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// Signals to the collector, and system calls of the collector itself.

// The signal that ends the collector is delivered before it ends.
func TestReportsItsOwnEnd(t *testing.T) {
	for name, receiver := range map[string]string{
		"unicast": `{netlink: {}}`, "multicast": `{netlink: {}}`, "ebpf": `{ebpf: {}}`,
	} {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			if name == "multicast" {
				audit.NewDaemon(t, "log_format = RAW").Run()
			}
			sink := otlp.NewSink(t, "grpc")
			c := startLive(t, receiver, sink)
			s := process.NewSender(t, process.NativeSender(t))
			pid := c.PID()
			s.Send(orders.Order{Call: "kill", PID: pid, Signal: int(unix.SIGTERM)}, pid)
			assert.Equal(t, 0, c.Wait(), "exit code")
			assertSent(t, sink.Records(), []*process.Sender{s})
		})
	}
}

// If an audit rule of other software records the collector's own system calls, the collector
// does not read them: reading leads to more system calls.
func TestDoesNotFeedItself(t *testing.T) {
	program, err := filepath.Abs(harness.Distribution())
	require.NoError(t, err)
	tests := map[string]struct {
		before, later func(c *collector.Collector) string
	}{
		"by program": {before: func(*collector.Collector) string { return "-F exe=" + program }},
		"by parent":  {before: func(*collector.Collector) string { return fmt.Sprintf("-F ppid=%d", os.Getpid()) }},
		"by process": {later: func(c *collector.Collector) string { return fmt.Sprintf("-F pid=%d", c.PID()) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			audit.NewDaemon(t, "log_format = RAW\nnum_logs = 99").Run() // the kernel never records auditd
			audit.Auditctl(t, "-e", "1")
			record := func(rule func(*collector.Collector) string, c *collector.Collector) {
				if rule != nil {
					audit.AddRule(t, "always,exit -S all -k broad "+rule(c))
				}
			}
			record(test.before, nil)
			c := startLive(t, `{netlink: {mode: multicast}}`, otlp.NewSink(t, "grpc"))
			record(test.later, c)
			harness.Eventually(t, func() bool {
				before := c.Metric("audit_kill_records_read")
				time.Sleep(time.Second) // long enough for thousands of records
				return c.Metric("audit_kill_records_read") < before+100
			}, "the collector's own system calls are not recorded")
			c.Stop()
		})
	}
}

// A rule that records all system calls does not record those of the collector.
func TestIsSparedByABroadRule(t *testing.T) {
	audit.Use(t)
	daemon := audit.NewDaemon(t, "log_format = RAW\nnum_logs = 99")
	daemon.Run()
	audit.Auditctl(t, "-e", "1")
	const broad = "always,exit -S all -k broad"
	audit.Auditctl(t, append([]string{"-a"}, strings.Fields(broad)...)...)
	c := startLive(t, `{netlink: {mode: multicast}}`, otlp.NewSink(t, "grpc"))
	ready := time.Now()
	time.Sleep(2 * time.Second) // long enough for thousands of calls
	audit.Auditctl(t, append([]string{"-d"}, strings.Fields(broad)...)...)

	keeper := newKeeper(t, daemon.Log)
	keeper.awaitQuiet()
	own, others := 0, 0
	for line := range keeper.lines() {
		match := syscallPattern.FindStringSubmatch(line)
		switch {
		case match == nil || stampOf(match) < ready.UnixMilli():
		case harness.Number(match[4]) == c.PID():
			own++
		default:
			others++
		}
	}
	t.Logf("%d calls of others were recorded, and %d of the collector", others, own)
	assert.Less(t, own, 100, "recorded calls of the collector")
	assert.Greater(t, others, own)
	c.Stop()
}
