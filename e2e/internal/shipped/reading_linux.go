// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
)

// QuickOTLP shortens timeouts and intervals; everything else is as shipped.
const QuickOTLP = `exporters: {otlp_http: {timeout: 1s, sending_queue: {batch: {flush_timeout: 100ms}}, ` +
	`retry_on_failure: {initial_interval: 100ms, max_interval: 300ms}}}`

// Reader is a collector with a shipped configuration that reads a log.
type Reader struct {
	*collector.Collector

	log *auditlog.Log
}

// StartReading runs an agent with a file in configs/ that reads a new log instead of the kernel.
func StartReading(t *testing.T, path string, environment map[string]string, options ...func(*exec.Cmd)) *Reader {
	t.Helper()
	log := auditlog.New(t)
	source := Overlay(t, `
receivers: {audit_kill: {file: {path: %q, start_at: beginning}, retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}}}
service: {telemetry: {logs: {sampling: {enabled: false}}}} # tests wait for messages that are repeated
`, log.Path)
	return &Reader{Start(t, path, environment, append(options, source)...), log}
}

// Restart starts it again after it has ended.
func (c *Reader) Restart() { c.Collector = c.Collector.Restart() }

// Add appends events to the log, and returns their serials.
func (c *Reader) Add(t *testing.T, events int) []int {
	t.Helper()
	kill := auditlog.SingleKill(t)
	var text strings.Builder
	serials := make([]int, events)
	for i := range serials {
		text.WriteString(strings.Join(c.log.Stamp(kill), ""))
		serials[i] = c.log.Serial
	}
	c.log.Write(text.String())
	return serials
}

// FromLog returns an option that makes an agent read a log from its beginning, with a host name of its own.
func FromLog(t *testing.T, log *auditlog.Log, host string) func(*exec.Cmd) {
	t.Helper()
	return Overlay(t, `
receivers: {audit_kill: {file: {path: %q, start_at: beginning}}}
processors: {resource/host: {attributes: [{key: host.name, value: %q, action: upsert}, {key: service.instance.id, value: %[2]q, action: upsert}]}}
service: {pipelines: {logs: {processors: [memory_limiter, resource/host]}}}
`, log.Path, host)
}
