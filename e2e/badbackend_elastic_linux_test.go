// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

const quickElastic = `exporters: {elasticsearch: {timeout: 1s, retry: {initial_interval: 100ms, max_interval: 300ms}}}`

// failsItems answers so to every document of a bulk request.
func failsItems(status int, kind string) behavior {
	return func(w http.ResponseWriter, _ *http.Request, arrived []arrival) []arrival {
		return answerBulk(w, arrived, func(int) *bulkItem { return &bulkItem{status: status, kind: kind} })
	}
}

// failsSomeItems answers so to the documents with an even serial.
func failsSomeItems(status int, kind string) behavior {
	return func(w http.ResponseWriter, _ *http.Request, arrived []arrival) []arrival {
		return answerBulk(w, arrived, func(serial int) *bulkItem {
			if serial%2 == 0 {
				return &bulkItem{status: status, kind: kind}
			}
			return nil
		})
	}
}

// What becomes of documents that Elasticsearch does not take.
func TestBackendElasticsearch(t *testing.T) {
	t.Parallel()
	type outcome int
	const (
		retried outcome = iota
		dropped         // by the receiver, which counts it
		failed          // by the exporter, which counts it
	)
	backend := newBadBackend(t)
	tests := []struct {
		name   string
		behave behavior
		want   outcome
		says   string
	}{
		{"400", answers(http.StatusBadRequest), dropped, "flush failed (400)"},
		{"401", answers(http.StatusUnauthorized), retried, "bulk indexer flush error"},
		{"403", answers(http.StatusForbidden), retried, "bulk indexer flush error"},
		{"404", answers(http.StatusNotFound), dropped, "flush failed (404)"},
		{"413", answers(http.StatusRequestEntityTooLarge), dropped, "flush failed (413)"},
		{"429", answers(http.StatusTooManyRequests), retried, "bulk indexer flush error"},
		{"500", answers(http.StatusInternalServerError), retried, "bulk indexer flush error"},
		{"502", answers(http.StatusBadGateway), retried, "bulk indexer flush error"},
		{"503", answers(http.StatusServiceUnavailable), retried, "bulk indexer flush error"},
		{"504", answers(http.StatusGatewayTimeout), retried, "bulk indexer flush error"},
		{"hangs", backend.hangs, retried, "context deadline exceeded"},
		{"closes", breaksOff("HTTP/1.1 200 OK\r\nContent-Le"), retried, "bulk indexer flush error"},
		{"closes in the answer", breaksOff("HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Type: application/json" +
			"\r\nContent-Length: 100\r\n\r\n{\"took\":1,\"it"), retried, "error decoding bulk response"},
		{"garbage", says("application/json", "this is not JSON"), retried, "error decoding bulk response"},
		{"items 400", failsItems(http.StatusBadRequest, "document_parsing_exception"), failed, `"error.type": "document_parsing_exception"`},
		{"items 403", failsItems(http.StatusForbidden, "security_exception"), retried, ""},
		{"items 429", failsItems(http.StatusTooManyRequests, "es_rejected_execution_exception"), retried, ""},
		{"some items 429", failsSomeItems(http.StatusTooManyRequests, "cluster_block_exception"), retried, ""},
		{"items 503", failsItems(http.StatusServiceUnavailable, "unavailable_shards_exception"), retried, ""},
	}
	c := startReading(t, "configs/agent-elastic.yaml", map[string]string{"ELASTICSEARCH_ENDPOINT": backend.server.URL}, overlay(t, quickElastic))
	var promised []int
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			said := len(c.output.String())
			counted, refused := c.metric("audit_kill_dropped"), c.exporterMetric("elasticsearch_docs_processed", "failed_client")
			backend.behaves(test.behave)
			serials := c.add(t, 4)
			switch test.want {
			case retried:
				eventually(t, func() bool { return backend.asked() >= 5 }, "it is tried again and again")
				promised = append(promised, serials...)
			case dropped:
				eventually(t, func() bool { return c.metric("audit_kill_dropped") == counted+4 }, "it is counted")
				c.says("dropped log records: the next consumer refused them for good") // which it says now and then
				counted += 4
			case failed:
				eventually(t, func() bool {
					return c.exporterMetric("elasticsearch_docs_processed", "failed_client") == refused+4
				}, "it is counted")
				c.saysSince(t, said, "failed to index document")
			}
			c.saysSince(t, said, test.says)
			backend.behaves(nil)
			promised = append(promised, c.add(t, 1)...)
			backend.arrive(t, promised)
			if test.want != retried {
				assert.Zero(t, backend.count(serials...), "what was refused for good is not sent again")
			}
			assert.Equal(t, counted, c.metric("audit_kill_dropped"), "what was given up")
		})
	}
	c.stop()
}
