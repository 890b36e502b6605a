// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
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
		EventName string `json:"event_name"`
		TraceID   string `json:"trace_id"`
		SpanID    string `json:"span_id"`
		Body      struct {
			Text string `json:"text"`
		} `json:"body"`
		Attributes map[string]any `json:"attributes"`
		Resource   struct {
			Attributes map[string]any `json:"attributes"`
		} `json:"resource"`
	}
}

// elasticsearch is a stand-in that, like Elasticsearch, keeps the first document of each id.
type elasticsearch struct {
	t       *testing.T
	address string

	mutex     sync.Mutex
	documents map[string]document
	// refused counts documents that were sent again.
	refused int
}

const elasticKey = "c2VjcmV0OnZlcnkgc2VjcmV0"

func newElasticsearch(t *testing.T) *elasticsearch {
	t.Helper()
	e := &elasticsearch{t: t, documents: make(map[string]document)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Elastic-Product", "Elasticsearch") // or its client refuses to talk
		_, _ = io.WriteString(w, `{"version": {"number": "8.16.0"}}`)
	})
	mux.HandleFunc("POST /_bulk", e.bulk)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	e.address = server.URL
	return e
}

func (e *elasticsearch) environment() map[string]string {
	return map[string]string{"ELASTICSEARCH_ENDPOINT": e.address, "ELASTICSEARCH_API_KEY": elasticKey}
}

// assertKey checks the Authorization header. Its scheme is case-insensitive (RFC 9110).
func assertKey(t *testing.T, r *http.Request) {
	t.Helper()
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	assert.Equal(t, "apikey", strings.ToLower(scheme))
	assert.Equal(t, elasticKey, key)
}

func (e *elasticsearch) bulk(w http.ResponseWriter, r *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	assertKey(e.t, r)
	documents, err := bulk.Read(r)
	if !assert.NoError(e.t, err) {
		return
	}
	items := make([]any, len(documents))
	failed := false
	for i, d := range documents {
		item, status := e.create(d)
		failed = failed || status != http.StatusCreated
		items[i] = item
	}
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": failed, "items": items})
}

// create keeps a document if its id is new.
func (e *elasticsearch) create(from bulk.Document) (item map[string]any, status int) {
	d := document{Index: from.Index, ID: from.ID}
	assert.NoError(e.t, json.Unmarshal(from.Source, &d.Source))
	answer := map[string]any{"_index": d.Index, "_id": d.ID, "status": http.StatusCreated}
	if _, there := e.documents[d.ID]; there {
		e.refused++
		answer["status"] = http.StatusConflict
		answer["error"] = map[string]any{
			"type": "version_conflict_engine_exception", "reason": "version conflict, document already exists",
		}
		return map[string]any{"create": answer}, http.StatusConflict
	}
	e.documents[d.ID] = d
	return map[string]any{"create": answer}, http.StatusCreated
}

// all returns the documents, and how many were refused.
func (e *elasticsearch) all() (documents []document, refused int) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return slices.Collect(maps.Values(e.documents)), e.refused
}

// elasticRoutes are the configurations that send to Elasticsearch's bulk API.
var elasticRoutes = map[string]func(*testing.T, *elasticsearch){
	"agent": func(t *testing.T, e *elasticsearch) {
		t.Helper()
		shipped.Start(t, "configs/agent-elastic.yaml", e.environment())
	},
	"gateway": func(t *testing.T, e *elasticsearch) {
		t.Helper()
		g := shipped.StartGateway(t, "configs/gateway-elastic.yaml", e.environment())
		shipped.Start(t, "configs/agent.yaml", g.Agent)
	},
}

func TestElasticsearchDocuments(t *testing.T) {
	harness.NeedRoot(t)
	for name, start := range elasticRoutes {
		t.Run(name, func(t *testing.T) {
			e := newElasticsearch(t)
			start(t, e)
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
				documents, _ = e.all()
				documents = slices.DeleteFunc(documents, func(d document) bool {
					pid, _ := d.Source.Attributes["kill.target.pid"].(float64)
					return !pids[pid]
				})
				return len(documents) >= 3*len(crimes)-2
			}, "all events are documents")
			got := make(map[string]int)
			for _, d := range documents {
				got[d.Source.EventName]++
				d.check(t)
			}
			assert.Equal(t, want, got)
		})
	}
}

// check checks that the index and the id of a document match its content.
func (d *document) check(t *testing.T) {
	t.Helper()
	assert.Equal(t, "auditkill", d.Source.Resource.Attributes["service.name"])
	assert.NotContains(t, d.Source.Attributes, "elasticsearch.document_id")
	if d.Source.Attributes["error.type"] == nil {
		assert.NotEmpty(t, d.Source.TraceID)
	}
	if d.Source.EventName == "" {
		assert.Equal(t, "traces-auditkill.otel-default", d.Index)
		assert.Equal(t, d.Source.SpanID, d.ID)
		return
	}
	assert.Equal(t, "logs-auditkill.otel-default", d.Index)
	assert.Equal(t, d.Source.Attributes["log.record.uid"], d.ID)
	assert.NotEmpty(t, d.Source.Body.Text)
}

// A log record that is sent again has the same id, and its refusal is no error.
func TestElasticsearchKeepsTheFirst(t *testing.T) {
	t.Parallel()
	const events = 2000
	e, log := newElasticsearch(t), auditlog.New(t)
	kill := auditlog.SingleKill(t)
	for range events {
		log.Add(kill)
	}
	read := func() *collector.Collector {
		c := shipped.Start(t, "configs/agent-elastic.yaml", e.environment(), shipped.FromLog(t, log, "reading"), shipped.Overlay(t, `
service: {pipelines: {logs: {processors: [memory_limiter, transform, resource/host, resource]}}}`), shipped.Overlay(t, shipped.PatientElastic))
		harness.Eventually(t, func() bool { return c.Metric("accepted_log_records") == events }, "the agent has sent the log")
		assert.Zero(t, c.Metric("failed_log_records"))
		c.Stop()
		return c
	}
	read()
	c := read() // with a new storage, so that it reads everything again
	documents, refused := e.all()
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
