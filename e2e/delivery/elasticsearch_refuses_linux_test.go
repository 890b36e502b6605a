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

const quickElastic = `exporters: {elasticsearch: {timeout: 1s, retry: {initial_interval: 100ms, max_interval: 300ms}}}`

// failsItems returns a behavior that rejects every document of a bulk request with this status.
func failsItems(status int, kind string) faulty.Behavior {
	return func(w http.ResponseWriter, _ *http.Request, arrived []faulty.Arrival) []faulty.Arrival {
		return faulty.AnswerBulk(w, arrived, func(int) *faulty.BulkItem { return &faulty.BulkItem{Status: status, Kind: kind} })
	}
}

// failsSomeItems returns a behavior that rejects the documents with an even serial.
func failsSomeItems(status int, kind string) faulty.Behavior {
	return func(w http.ResponseWriter, _ *http.Request, arrived []faulty.Arrival) []faulty.Arrival {
		return faulty.AnswerBulk(w, arrived, func(serial int) *faulty.BulkItem {
			if serial%2 == 0 {
				return &faulty.BulkItem{Status: status, Kind: kind}
			}
			return nil
		})
	}
}

// What happens to documents that Elasticsearch does not accept.
func TestBackendElasticsearch(t *testing.T) {
	t.Parallel()
	type outcome int
	const (
		retried outcome = iota
		dropped         // by the receiver, which counts it
		failed          // by the exporter, which counts it
	)
	backend := faulty.New(t)
	tests := []struct {
		name   string
		behave faulty.Behavior
		want   outcome
		says   string
	}{
		{"400", faulty.Answers(http.StatusBadRequest), dropped, "flush failed (400)"},
		{"401", faulty.Answers(http.StatusUnauthorized), retried, "bulk indexer flush error"},
		{"403", faulty.Answers(http.StatusForbidden), retried, "bulk indexer flush error"},
		{"404", faulty.Answers(http.StatusNotFound), dropped, "flush failed (404)"},
		{"413", faulty.Answers(http.StatusRequestEntityTooLarge), dropped, "flush failed (413)"},
		{"429", faulty.Answers(http.StatusTooManyRequests), retried, "bulk indexer flush error"},
		{"500", faulty.Answers(http.StatusInternalServerError), retried, "bulk indexer flush error"},
		{"502", faulty.Answers(http.StatusBadGateway), retried, "bulk indexer flush error"},
		{"503", faulty.Answers(http.StatusServiceUnavailable), retried, "bulk indexer flush error"},
		{"504", faulty.Answers(http.StatusGatewayTimeout), retried, "bulk indexer flush error"},
		{"hangs", backend.Hangs, retried, "context deadline exceeded"},
		{"closes", faulty.BreaksOff("HTTP/1.1 200 OK\r\nContent-Le"), retried, "bulk indexer flush error"},
		{"closes in the answer", faulty.BreaksOff("HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Type: application/json" +
			"\r\nContent-Length: 100\r\n\r\n{\"took\":1,\"it"), retried, "error decoding bulk response"},
		{"garbage", faulty.Says("application/json", "this is not JSON"), retried, "error decoding bulk response"},
		{"items 400", failsItems(http.StatusBadRequest, "document_parsing_exception"), failed, `"error.type": "document_parsing_exception"`},
		{"items 403", failsItems(http.StatusForbidden, "security_exception"), retried, ""},
		{"items 429", failsItems(http.StatusTooManyRequests, "es_rejected_execution_exception"), retried, ""},
		{"some items 429", failsSomeItems(http.StatusTooManyRequests, "cluster_block_exception"), retried, ""},
		{"items 503", failsItems(http.StatusServiceUnavailable, "unavailable_shards_exception"), retried, ""},
	}
	c := shipped.StartReading(t, "configs/agent-elastic.yaml", map[string]string{"ELASTICSEARCH_ENDPOINT": backend.Server.URL},
		shipped.Overlay(t, quickElastic))
	var promised []int
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			said := len(c.Output.String())
			counted, refused := c.Metric("audit_kill_dropped"), c.ExporterMetric("elasticsearch_docs_processed", "failed_client")
			backend.Behaves(test.behave)
			serials := c.Add(t, 4)
			switch test.want {
			case retried:
				harness.Eventually(t, func() bool { return backend.Requests() >= 5 }, "the exporter retries")
				promised = append(promised, serials...)
			case dropped:
				harness.Eventually(t, func() bool { return c.Metric("audit_kill_dropped") == counted+4 }, "the records are counted as dropped")
				c.Says("dropped log records: the next consumer refused them for good") // logged only now and then
				counted += 4
			case failed:
				harness.Eventually(t, func() bool {
					return c.ExporterMetric("elasticsearch_docs_processed", "failed_client") == refused+4
				}, "the documents are counted as failed")
				c.SaysSince(t, said, "failed to index document")
			}
			c.SaysSince(t, said, test.says)
			promised = recovers(t, backend, c, promised)
			if test.want != retried {
				assert.Zero(t, backend.Count(serials...), "what was refused permanently is not sent again")
			}
			assert.Equal(t, counted, c.Metric("audit_kill_dropped"), "dropped log records")
		})
	}
	c.Stop()
}
