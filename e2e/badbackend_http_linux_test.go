// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

// quickOTLP makes what takes long short; everything else is as shipped.
const quickOTLP = `exporters: {otlp_http: {timeout: 1s, sending_queue: {batch: {flush_timeout: 100ms}}, ` +
	`retry_on_failure: {initial_interval: 100ms, max_interval: 300ms}}}`

// What becomes of data that a backend does not take over OTLP/HTTP.
func TestBackendOverHTTP(t *testing.T) {
	t.Parallel()
	const protobuf = "application/x-protobuf"
	type outcome int
	const (
		retried outcome = iota
		dropped
		believed // the exporter takes it for delivered
	)
	backend := newBadBackend(t)
	tests := []struct {
		name   string
		behave behavior
		want   outcome
		says   string
	}{
		{"400", answers(http.StatusBadRequest), dropped, "responded with HTTP Status Code 400"},
		{"401", answers(http.StatusUnauthorized), dropped, "responded with HTTP Status Code 401"},
		{"403", answers(http.StatusForbidden), dropped, "responded with HTTP Status Code 403"},
		{"404", answers(http.StatusNotFound), dropped, "responded with HTTP Status Code 404"},
		{"413", answers(http.StatusRequestEntityTooLarge), dropped, "responded with HTTP Status Code 413"},
		{"429", answers(http.StatusTooManyRequests), retried, "responded with HTTP Status Code 429"},
		{"429 with Retry-After", answers(http.StatusTooManyRequests, "Retry-After", "1"), retried, `"interval": "1s"`},
		{"500", answers(http.StatusInternalServerError), dropped, "responded with HTTP Status Code 500"},
		{"502", answers(http.StatusBadGateway), retried, "responded with HTTP Status Code 502"},
		{"503", answers(http.StatusServiceUnavailable), retried, "responded with HTTP Status Code 503"},
		{"504", answers(http.StatusGatewayTimeout), retried, "responded with HTTP Status Code 504"},
		{"hangs", backend.hangs, retried, "context deadline exceeded"},
		{"closes at once", breaksOff(""), retried, "EOF"},
		{"closes in the header", breaksOff("HTTP/1.1 200 OK\r\nContent-Le"), retried, "transport connection broken"},
		{"closes in the answer", breaksOff("HTTP/1.1 200 OK\r\nContent-Type: " + protobuf +
			"\r\nContent-Length: 100\r\n\r\nabcdefghijk"), dropped, "error parsing protobuf response"},
		{"not HTTP", breaksOff("SSH-2.0-OpenSSH_9.6\r\n"), retried, "malformed HTTP"},
		{"garbage", says(protobuf, "this is not protobuf"), dropped, "error parsing protobuf response"},
		{"another page", says("text/html", "<p>please log in</p>"), believed, ""},
		{"rejects a part", says(protobuf, "\x0a\x0c\x08\x03\x12\x08too late"), believed, `"message": "too late", "dropped_log_records": 3`},
	}
	c := startReading(t, "configs/agent-loki.yaml", map[string]string{"LOKI_ENDPOINT": backend.server.URL}, overlay(t, quickOTLP))
	var promised []int
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			said := len(c.output.String())
			failed, sent := c.exporterMetric("exporter_send_failed_log_records"), c.exporterMetric("exporter_sent_log_records")
			backend.behaves(test.behave)
			serials := c.add(t, 3)
			switch test.want {
			case retried:
				eventually(t, func() bool { return backend.asked() >= 2 }, "it is tried again")
				c.saysSince(t, said, "Exporting failed. Will retry the request after interval.", test.says, backend.server.URL)
				promised = append(promised, serials...)
			case dropped:
				eventually(t, func() bool { return c.exporterMetric("exporter_send_failed_log_records") == failed+3 }, "it is counted")
				c.saysSince(t, said, "Exporting failed. Dropping data.", test.says, `"dropped_items"`)
			case believed:
				eventually(t, func() bool { return c.exporterMetric("exporter_sent_log_records") == sent+3 }, "it is taken for sent")
				c.saysSince(t, said, test.says)
			}
			backend.behaves(nil)
			promised = append(promised, c.add(t, 1)...)
			backend.arrive(t, promised)
			if test.want != retried {
				assert.Zero(t, backend.count(serials...), "what was refused for good is not sent again")
				failed += map[outcome]int{dropped: 3}[test.want]
			}
			assert.Equal(t, failed, c.exporterMetric("exporter_send_failed_log_records"), "what was given up")
		})
	}
	assert.Zero(t, c.metric("audit_kill_dropped"), "the receiver has handed on everything")
	c.stop()
}
