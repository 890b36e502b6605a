// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/bulk"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// What the collector sends to Elasticsearch: documents over the bulk API, or OTLP.

// document is a document that Elasticsearch was asked to create.
type document struct {
	Index, ID string
	// Source is the document itself.
	Source struct {
		EventName    string `json:"event_name"`
		SeverityText string `json:"severity_text"`
		TraceID      string `json:"trace_id"`
		SpanID       string `json:"span_id"`
		Body         struct {
			Text string `json:"text"`
		} `json:"body"`
		Attributes map[string]any `json:"attributes"`
		Resource   struct {
			Attributes map[string]any `json:"attributes"`
		} `json:"resource"`
	}
}

const elasticKey = "c2VjcmV0OnZlcnkgc2VjcmV0"

func newElasticsearch(t *testing.T) *bulk.Store {
	t.Helper()
	return bulk.NewStore(t, func(r *http.Request) { assertKey(t, r) })
}

func elasticEnvironment(store *bulk.Store) map[string]string {
	return map[string]string{"ELASTICSEARCH_ENDPOINT": store.URL, "ELASTICSEARCH_API_KEY": elasticKey}
}

// assertKey checks the Authorization header. Its scheme is case-insensitive (RFC 9110).
func assertKey(t *testing.T, r *http.Request) {
	t.Helper()
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	assert.Equal(t, "apikey", strings.ToLower(scheme))
	assert.Equal(t, elasticKey, key)
}

// documentsOf decodes the documents in a store.
func documentsOf(t *testing.T, store *bulk.Store) []document {
	t.Helper()
	stored, _ := store.Documents()
	documents := make([]document, len(stored))
	for i, d := range stored {
		documents[i].Index, documents[i].ID = d.Index, d.ID
		assert.NoError(t, json.Unmarshal(d.Source, &documents[i].Source))
	}
	return documents
}

// elasticRoutes are the configurations that send to Elasticsearch's bulk API.
var elasticRoutes = map[string]func(*testing.T, *bulk.Store){
	"agent": func(t *testing.T, store *bulk.Store) {
		t.Helper()
		shipped.Start(t, "configs/agent-elastic.yaml", elasticEnvironment(store))
	},
	"gateway": func(t *testing.T, store *bulk.Store) {
		t.Helper()
		g := shipped.StartGateway(t, "configs/gateway-elastic.yaml", elasticEnvironment(store))
		shipped.Start(t, "configs/agent.yaml", g.Agent)
	},
	nothingBefore: func(t *testing.T, store *bulk.Store) { // as docs/byo.md has it
		t.Helper()
		collector.Start(t, collector.Config{Receiver: "{ebpf: {}}", Pipelines: []string{"logs", "traces"}, Exporter: fmt.Sprintf(
			"{elasticsearch: {endpoint: %q, logs_index: logs-auditkill.otel-default, traces_index: traces-auditkill.otel-default, api_key: %q}}", store.URL, elasticKey,
		)}).Ready()
	},
}

// nothingBefore is the route without processors: only they give a document an id.
const nothingBefore = "nothing before Elasticsearch"

func TestElasticsearchDocuments(t *testing.T) {
	harness.NeedRoot(t)
	for name, start := range elasticRoutes {
		t.Run(name, func(t *testing.T) {
			store := newElasticsearch(t)
			start(t, store)
			crimes := commit(t)
			pids := make(map[float64]bool)
			for _, crime := range crimes {
				pids[float64(crime.target.PID)] = true
			}
			// Each crime leads to kill.signal. All but one succeed, and also lead to an outcome and a span.
			want := map[string]int{
				"kill.signal": len(crimes), "kill.outcome": len(crimes) - 1, "": len(crimes) - 1,
			}
			var documents []document
			harness.Eventually(t, func() bool {
				documents = slices.DeleteFunc(documentsOf(t, store), func(d document) bool {
					pid, _ := d.Source.Attributes["kill.target.pid"].(float64)
					return !pids[pid]
				})
				return len(documents) >= 3*len(crimes)-2
			}, "all events are documents")
			got := make(map[string]int)
			for _, d := range documents {
				got[d.Source.EventName]++
				d.check(t, name != nothingBefore)
			}
			assert.Equal(t, want, got)
		})
	}
}

// check checks that the index and the id of a document match its content, and that what queries ask for is there.
func (d *document) check(t *testing.T, hasID bool) {
	t.Helper()
	assert.Equal(t, "auditkill", d.Source.Resource.Attributes["service.name"])
	assert.NotContains(t, d.Source.Attributes, "elasticsearch.document_id")
	if d.Source.Attributes["error.type"] == nil {
		assert.NotEmpty(t, d.Source.TraceID)
	}
	if d.Source.EventName == "" {
		assert.Equal(t, "traces-auditkill.otel-default", d.Index)
		if hasID {
			assert.Equal(t, d.Source.SpanID, d.ID)
		}
		return
	}
	assert.Equal(t, "logs-auditkill.otel-default", d.Index)
	if hasID {
		assert.Equal(t, d.Source.Attributes["log.record.uid"], d.ID)
	}
	assert.NotEmpty(t, d.Source.SeverityText)
	assert.NotEmpty(t, d.Source.Resource.Attributes["host.name"])
	assert.NotEmpty(t, d.Source.Body.Text)
}

// A log record that is sent again has the same id, and its refusal is no error.
func TestElasticsearchKeepsTheFirst(t *testing.T) {
	t.Parallel()
	const events = 2000
	store, log := newElasticsearch(t), auditlog.New(t)
	kill := auditlog.SingleKill(t)
	for range events {
		log.Add(kill)
	}
	read := func() *collector.Collector {
		c := shipped.Start(t, "configs/agent-elastic.yaml", elasticEnvironment(store), shipped.FromLog(t, log, "reading"), shipped.Overlay(t, `
service: {pipelines: {logs: {processors: [memory_limiter, transform, resource/host, resource]}}}`), shipped.Overlay(t, shipped.PatientElastic))
		harness.Eventually(t, func() bool { return c.Metric("accepted_log_records") == events }, "the agent has sent the log")
		assert.Zero(t, c.Metric("failed_log_records"))
		c.Stop()
		return c
	}
	read()
	c := read() // with a new storage, so that it reads everything again
	documents, refused := store.Documents()
	assert.Len(t, documents, events)
	assert.Equal(t, events, refused)
	assert.NotContains(t, c.Output.String(), "\terror\t")
}

// Elasticsearch's own OTLP endpoint needs the same header.
func TestElasticsearchTakesOTLP(t *testing.T) {
	harness.NeedRoot(t)
	sink := otlp.NewSink(t, "http")
	take := func(w http.ResponseWriter, r *http.Request) {
		assertKey(t, r)
		sink.ServeHTTP(w, r)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_otlp/v1/logs", take)
	mux.HandleFunc("POST /_otlp/v1/traces", take)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	shipped.Start(t, "configs/agent-elastic-otlp.yaml", map[string]string{
		"ELASTICSEARCH_OTLP_ENDPOINT": server.URL + "/_otlp", "ELASTICSEARCH_API_KEY": elasticKey,
	})
	crimes := commit(t)
	want := make(map[string]bool)
	for _, crime := range crimes {
		want[fmt.Sprintf("%d by %d", crime.target.PID, crime.sender.PID)] = true
	}
	harness.Eventually(t, func() bool {
		reported := make(map[string]bool)
		for _, r := range sink.Records() {
			if name := fmt.Sprintf("%d by %d", r.Attributes["kill.target.pid"], r.Attributes["process.pid"]); want[name] {
				reported[name] = true
			}
		}
		return len(reported) == len(want) && len(sink.Spans()) >= len(crimes)-1
	}, "everything has arrived")
	require.Len(t, want, len(crimes))
}
