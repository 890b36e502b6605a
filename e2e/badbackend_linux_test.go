// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
)

// Backends that answer badly, and the shipped configurations in front of them.
// Every record has a serial number of the audit system, by which it is known
// again: what was promised arrives, and what comes twice is the same.

// arrival is a record in a request.
type arrival struct {
	serial int
	uid    string
}

// behavior answers a request that is not to be taken. What it returns was taken.
type behavior func(w http.ResponseWriter, r *http.Request, arrived []arrival) (taken []arrival)

// badBackend speaks OTLP over HTTP, and Elasticsearch's bulk requests.
type badBackend struct {
	server *httptest.Server
	// released is closed for those that hang, at the end.
	released chan struct{}

	mutex    sync.Mutex
	behave   behavior // nil if it is well
	requests int
	taken    map[int]string
	changed  []int // serials that came with another uid than before
}

func newBadBackend(t *testing.T) *badBackend {
	t.Helper()
	b := &badBackend{released: make(chan struct{}), taken: make(map[int]string)}
	b.server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(func() {
		close(b.released)
		b.server.Close()
	})
	return b
}

func (b *badBackend) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	bulk := strings.HasSuffix(r.URL.Path, "_bulk")
	arrived, err := arrivals(r, bulk)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	b.mutex.Lock()
	b.requests++
	behave := b.behave
	b.mutex.Unlock()
	if behave != nil {
		b.take(behave(w, r, arrived))
		return
	}
	b.take(arrived)
	if bulk {
		answerBulk(w, arrived, func(int) *bulkItem { return nil })
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// arrivals returns the serial and the uid of each record in a request.
func arrivals(r *http.Request, bulk bool) ([]arrival, error) {
	reader := r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		reader = unzipped
	}
	body, err := io.ReadAll(reader)
	if err != nil {
		return nil, err
	}
	if bulk {
		return bulkArrivals(body)
	}
	request := plogotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		return nil, err
	}
	return arrivalsOf(recordsOf(request.Logs())), nil
}

func arrivalsOf(records []record) []arrival {
	arrived := make([]arrival, len(records))
	for i := range records {
		uid, _ := records[i].Attributes["log.record.uid"].(string)
		arrived[i] = arrival{records[i].key().serial, uid}
	}
	return arrived
}

// bulkArrivals reads pairs of an action and a document. The uid is the id of the document.
func bulkArrivals(body []byte) ([]arrival, error) {
	var arrived []arrival
	decoder := json.NewDecoder(bytes.NewReader(body))
	for decoder.More() {
		var action struct {
			Create struct {
				ID string `json:"_id"`
			} `json:"create"`
		}
		var document struct {
			Attributes map[string]any `json:"attributes"`
		}
		if err := decoder.Decode(&action); err != nil {
			return nil, err
		}
		if err := decoder.Decode(&document); err != nil {
			return nil, err
		}
		serial, ok := document.Attributes["kill.audit.serial"].(float64)
		if !ok {
			return nil, fmt.Errorf("a document without a serial: %v", document)
		}
		arrived = append(arrived, arrival{int(serial), action.Create.ID})
	}
	return arrived, nil
}

// bulkItem is what Elasticsearch says to one document.
type bulkItem struct {
	status int
	kind   string
}

// answerBulk takes the documents of a bulk request, but for those that failed tells of.
func answerBulk(w http.ResponseWriter, arrived []arrival, failed func(serial int) *bulkItem) (taken []arrival) {
	var items []string
	for _, a := range arrived {
		if failure := failed(a.serial); failure != nil {
			items = append(items, fmt.Sprintf(`{"create":{"_index":"i","status":%d,"error":{"type":%q,"reason":"because"}}}`,
				failure.status, failure.kind))
			continue
		}
		taken = append(taken, a)
		items = append(items, `{"create":{"_index":"i","status":201}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"took":1,"errors":%t,"items":[%s]}`, len(taken) < len(arrived), strings.Join(items, ","))
	return taken
}

func (b *badBackend) take(taken []arrival) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, a := range taken {
		if before, ok := b.taken[a.serial]; ok && before != a.uid {
			b.changed = append(b.changed, a.serial)
		}
		b.taken[a.serial] = a.uid
	}
}

// behaves sets how the backend answers from now on; well, if behave is nil.
func (b *badBackend) behaves(behave behavior) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.behave, b.requests = behave, 0
}

// asked is how many requests there were since behaves was called.
func (b *badBackend) asked() int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.requests
}

// has reports whether all of these have been taken.
func (b *badBackend) has(serials ...int) bool { return b.count(serials...) == len(serials) }

// count is how many of these have been taken.
func (b *badBackend) count(serials ...int) int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	count := 0
	for _, serial := range serials {
		if _, ok := b.taken[serial]; ok {
			count++
		}
	}
	return count
}

// arrive waits until all of these have been taken.
func (b *badBackend) arrive(t *testing.T, serials []int) {
	t.Helper()
	eventually(t, func() bool { return b.has(serials...) }, "all %d records arrive", len(serials))
	b.mutex.Lock()
	defer b.mutex.Unlock()
	assert.Empty(t, b.changed, "what comes twice has the same uid")
}

// answers is a plain answer.
func answers(status int, headers ...string) behavior {
	return func(w http.ResponseWriter, _ *http.Request, _ []arrival) []arrival {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		return nil
	}
}

// says is an answer with a body.
func says(contentType, body string) behavior {
	return func(w http.ResponseWriter, _ *http.Request, _ []arrival) []arrival {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
		return nil
	}
}

// hangs never answers.
func (b *badBackend) hangs(_ http.ResponseWriter, r *http.Request, _ []arrival) []arrival {
	select {
	case <-r.Context().Done():
	case <-b.released:
	}
	return nil
}

// breaksOff closes the connection after a part of an answer.
func breaksOff(part string) behavior {
	return func(w http.ResponseWriter, _ *http.Request, _ []arrival) []arrival {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return nil
		}
		_, _ = io.WriteString(connection, part)
		_ = connection.Close()
		return nil
	}
}

// configured is a collector with a shipped configuration that reads a log.
type configured struct {
	*collector

	log *auditLog
}

// startReading runs an agent of configs/ that reads a log instead of asking the kernel.
func startReading(t *testing.T, path string, environment map[string]string, options ...func(*exec.Cmd)) *configured {
	t.Helper()
	log := newAuditLog(t)
	source := overlay(t, `
receivers: {audit_kill: {file: {path: %q, start_at: beginning}, retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}}}
service: {telemetry: {logs: {sampling: {enabled: false}}}} # tests wait for what is said again and again
`, log.path)
	return &configured{startConfigured(t, path, environment, append(options, source)...), log}
}

// restart runs it once more after it has ended.
func (c *configured) restart() { c.collector = c.collector.restart() }

// add appends so many events and returns their serials.
func (c *configured) add(t *testing.T, events int) []int {
	t.Helper()
	kill := singleKill(t)
	var text strings.Builder
	serials := make([]int, events)
	for i := range serials {
		text.WriteString(strings.Join(c.log.stamp(kill), ""))
		serials[i] = c.log.serial
	}
	c.log.write(text.String())
	return serials
}

// saysSince waits for a text in what the collector says after the first bytes of it.
func (c *collector) saysSince(t *testing.T, begin int, texts ...string) {
	t.Helper()
	for _, text := range texts {
		eventually(t, func() bool { return strings.Contains(c.output.String()[begin:], text) }, "the collector says %q", text)
	}
}

// exporterMetric returns the sum of the series of one of the collector's own metrics that have all labels.
func (c *collector) exporterMetric(name string, labels ...string) int {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", c.metricsPort)) //nolint:noctx // of a local process
	if err != nil {
		return -1
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return -1
	}
	sum := 0.
	for line := range strings.Lines(string(body)) {
		wanted := strings.HasPrefix(line, "otelcol_"+name)
		for _, label := range labels {
			wanted = wanted && strings.Contains(line, label)
		}
		var value float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &value); wanted && err == nil {
			sum += value
		}
	}
	return int(sum)
}

// stopTakes ends the collector as systemd would, and tells how long that took.
func (c *collector) stopTakes(t *testing.T) {
	t.Helper()
	begin := time.Now()
	c.stop()
	t.Logf("stopped within %v", time.Since(begin).Round(100*time.Millisecond))
}
