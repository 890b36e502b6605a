// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/faulty"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// What happens to data that a backend does not accept over OTLP/HTTP.
func TestBackendOverHTTP(t *testing.T) {
	t.Parallel()
	const protobuf = "application/x-protobuf"
	type outcome int
	const (
		retried outcome = iota
		dropped
		believed // the exporter counts it as delivered
	)
	backend := faulty.New(t)
	tests := []struct {
		name   string
		behave faulty.Behavior
		want   outcome
		says   string
	}{
		{"400", faulty.Answers(http.StatusBadRequest), dropped, "responded with HTTP Status Code 400"},
		{"401", faulty.Answers(http.StatusUnauthorized), dropped, "responded with HTTP Status Code 401"},
		{"403", faulty.Answers(http.StatusForbidden), dropped, "responded with HTTP Status Code 403"},
		{"404", faulty.Answers(http.StatusNotFound), dropped, "responded with HTTP Status Code 404"},
		{"413", faulty.Answers(http.StatusRequestEntityTooLarge), dropped, "responded with HTTP Status Code 413"},
		{"429", faulty.Answers(http.StatusTooManyRequests), retried, "responded with HTTP Status Code 429"},
		{"429 with Retry-After", faulty.Answers(http.StatusTooManyRequests, "Retry-After", "1"), retried, `"interval": "1s"`},
		{"500", faulty.Answers(http.StatusInternalServerError), dropped, "responded with HTTP Status Code 500"},
		{"502", faulty.Answers(http.StatusBadGateway), retried, "responded with HTTP Status Code 502"},
		{"503", faulty.Answers(http.StatusServiceUnavailable), retried, "responded with HTTP Status Code 503"},
		{"504", faulty.Answers(http.StatusGatewayTimeout), retried, "responded with HTTP Status Code 504"},
		{"hangs", backend.Hangs, retried, "context deadline exceeded"},
		{"closes at once", faulty.BreaksOff(""), retried, "EOF"},
		{"closes in the header", faulty.BreaksOff("HTTP/1.1 200 OK\r\nContent-Le"), retried, "transport connection broken"},
		{"closes in the answer", faulty.BreaksOff("HTTP/1.1 200 OK\r\nContent-Type: " + protobuf +
			"\r\nContent-Length: 100\r\n\r\nabcdefghijk"), dropped, "error parsing protobuf response"},
		{"not HTTP", faulty.BreaksOff("SSH-2.0-OpenSSH_9.6\r\n"), retried, "malformed HTTP"},
		{"garbage", faulty.Says(protobuf, "this is not protobuf"), dropped, "error parsing protobuf response"},
		{"another page", faulty.Says("text/html", "<p>please log in</p>"), believed, ""},
		{"rejects a part", faulty.Says(protobuf, "\x0a\x0c\x08\x03\x12\x08too late"), believed, `"message": "too late", "dropped_log_records": 3`},
	}
	c := shipped.StartReading(t, "configs/agent-loki.yaml", map[string]string{"LOKI_ENDPOINT": backend.Server.URL},
		shipped.Overlay(t, shipped.QuickOTLP))
	sentTo := func() int { return c.ExporterMetric("exporter_sent_log_records", `exporter="otlp`) } // the history is sent to a file
	var promised []int
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			said := len(c.Output.String())
			failed, sent := c.ExporterMetric("exporter_send_failed_log_records"), sentTo()
			backend.Behaves(test.behave)
			serials := c.Add(t, 3)
			switch test.want {
			case retried:
				harness.Eventually(t, func() bool { return backend.Requests() >= 2 }, "the exporter retries")
				c.SaysSince(t, said, "Exporting failed. Will retry the request after interval.", test.says, backend.Server.URL)
				promised = append(promised, serials...)
			case dropped:
				harness.Eventually(t, func() bool { return c.ExporterMetric("exporter_send_failed_log_records") == failed+3 }, "the records are counted as dropped")
				c.SaysSince(t, said, "Exporting failed. Dropping data.", test.says, `"dropped_items"`)
			case believed:
				// The record before these may have been counted after it had arrived.
				harness.Eventually(t, func() bool { return sentTo() >= sent+3 }, "the records are counted as sent")
				c.SaysSince(t, said, test.says)
			}
			promised = recovers(t, backend, c, promised)
			if test.want != retried {
				assert.Zero(t, backend.Count(serials...), "what was refused permanently is not sent again")
				failed += map[outcome]int{dropped: 3}[test.want]
			}
			assert.Equal(t, failed, c.ExporterMetric("exporter_send_failed_log_records"), "dropped log records")
		})
	}
	assert.Zero(t, c.Metric("audit_kill_dropped"), "the receiver has handed on everything")
	c.Stop()
}

// recovers makes a backend healthy again. It adds one record, waits until all promised ones arrive, and returns them.
func recovers(t *testing.T, backend *faulty.Backend, c *shipped.Reader, promised []int) []int {
	t.Helper()
	backend.Behaves(nil)
	promised = append(promised, c.Add(t, 1)...)
	backend.Arrive(t, promised)
	return promised
}
