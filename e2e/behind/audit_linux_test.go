// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/host"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// TestAuditRecords lets alice restart a service, and learns who she is from audit records: beside what systemd says,
// and alone.
func TestAuditRecords(t *testing.T) {
	for name, receiver := range map[string]func(t *testing.T) string{
		"netlink": func(*testing.T) string { return "netlink: {mode: unicast}" },
		"file": func(t *testing.T) string {
			t.Helper()
			d := audit.NewDaemon(t, "log_format = ENRICHED")
			d.Run()
			return fmt.Sprintf("file: {path: %s}, rules: {manage: true}", d.Log)
		},
	} {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			settings := receiver(t)
			w := &watching{Host: host.Boot(t), t: t, sink: otlp.NewSink(t, "grpc")}
			c := collector.Start(t, collector.Config{Receiver: "{" + settings + "}", Exporter: w.sink.Exporter})
			c.Ready()
			defer c.Stop()
			pid := w.start("mysql", host.Mysqld)
			time.Sleep(5 * time.Second) // until the process is known, which may take so long on a slow host, and systemd is listened to
			w.SSH("alice", "10.0.0.5", "sudo systemctl restart mysql")
			r := w.signal(pid, "SIGTERM")
			otlp.AssertAttributes(t, r, byAlice(map[string]any{
				"kill.cause": "service_restart", "kill.evidence": "inferred", "kill.requester.name": "systemctl",
				"kill.requester.title": "systemctl restart mysql", "kill.requester.pid": nil,
			}))
			assert.Contains(t, r.Body, "restart of mysql.service, probably asked for by systemctl (systemctl restart mysql) of alice from 10.0.0.5")

			pid = w.MainPID("mysql")
			w.SSH("alice", "10.0.0.5", "sudo pkill -x mysqld")
			otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), map[string]any{
				"process.command": "pkill", "user.id": "1000", "client.address": "10.0.0.5", "kill.session.user.name": "alice",
			})
		})
	}
}
