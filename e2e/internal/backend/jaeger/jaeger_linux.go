// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package jaeger runs and queries Jaeger.
package jaeger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Jaeger is a running Jaeger that keeps traces in memory.
type Jaeger struct {
	t *testing.T
	// OTLP and query are the addresses of its servers.
	OTLP, query string
}

// Start runs Jaeger until the test ends. Building it takes minutes if it is not in Go's cache.
func Start(t *testing.T) *Jaeger {
	t.Helper()
	address := func() string { return harness.FreeAddress(t) }
	admin, otlp, query := address(), address(), address()
	command := exec.Command(backend.BuildTool(t, "jaeger", "all-in-one"), //nolint:gosec // was just built
		"--admin.http.host-port="+admin,
		"--collector.otlp.http.host-port="+otlp,
		"--query.http-server.host-port="+query,
		// The test does not use these servers, but they cannot be turned off.
		"--collector.otlp.grpc.host-port="+address(),
		"--collector.grpc-server.host-port="+address(),
		"--collector.http-server.host-port="+address(),
		"--query.grpc-server.host-port="+address(),
	)
	command.Env = append(os.Environ(), "OTEL_TRACES_SAMPLER=always_off", "SPAN_STORAGE_TYPE=memory")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is interrupted
	process := harness.StartProcess(t, command, new(harness.Output))
	t.Cleanup(func() {
		process.Kill() // it has nothing to save, and would be slow to stop
		if t.Failed() {
			t.Logf("output of Jaeger:\n%s", process.Output.Tail())
		}
	})
	j := &Jaeger{t: t, OTLP: "http://" + otlp, query: "http://" + query}
	harness.Eventually(t, func() bool { return j.get("http://"+admin, nil) == nil }, "Jaeger is ready")
	return j
}

// get decodes a JSON response into answer, unless that is nil.
func (j *Jaeger) get(address string, answer any) error {
	request, err := http.NewRequestWithContext(j.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	body, err := harness.Do(request)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(body, answer)
}

// Span is a span in Jaeger's answers.
type Span struct {
	TraceID       string `json:"traceID"`
	SpanID        string `json:"spanID"`
	OperationName string `json:"operationName"`
	// References are the references to a parent.
	References []struct {
		RefType string `json:"refType"`
		SpanID  string `json:"spanID"`
	} `json:"references"`
	Tags Tags `json:"tags"`
	// Logs are the span events. The field event has the name of each.
	Logs []struct {
		Fields Tags `json:"fields"`
	} `json:"logs"`
}

// Tags are attributes with their values as text, as in queries.
type Tags map[string]string

// UnmarshalJSON implements json.Unmarshaler.
func (t *Tags) UnmarshalJSON(data []byte) error {
	var list []struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // a float64 would be printed with an exponent
	if err := decoder.Decode(&list); err != nil {
		return err
	}
	*t = make(Tags, len(list))
	for _, tag := range list {
		(*t)[tag.Key] = fmt.Sprint(tag.Value)
	}
	return nil
}

// Find is like tryFind, but fails the test on an error.
func (j *Jaeger) Find(service, operation string, tags Tags) []Span {
	j.t.Helper()
	spans, err := j.tryFind(service, operation, tags)
	require.NoError(j.t, err)
	return spans
}

// tryFind returns the spans of all traces of the last hour in which a span of this service and
// operation has all the tags.
func (j *Jaeger) tryFind(service, operation string, tags Tags) ([]Span, error) {
	asked, err := json.Marshal(tags)
	if err != nil {
		return nil, err
	}
	question := url.Values{
		"service": {service}, "operation": {operation}, "tags": {string(asked)}, "lookback": {"1h"},
	}
	var answer struct {
		Data []struct {
			Spans []Span `json:"spans"`
		} `json:"data"`
	}
	if err := j.get(j.query+"/api/traces?"+question.Encode(), &answer); err != nil {
		return nil, err
	}
	var spans []Span
	for _, trace := range answer.Data {
		spans = append(spans, trace.Spans...)
	}
	return spans, nil
}

// Await waits until a query finds count spans, and returns them.
func (j *Jaeger) Await(count int, service, operation string, tags Tags) []Span {
	j.t.Helper()
	var spans []Span
	harness.Eventually(j.t, func() bool {
		var err error
		spans, err = j.tryFind(service, operation, tags)
		return err == nil && len(spans) >= count // an error means no answer yet
	}, "%d spans %q of %s in Jaeger", count, operation, service)
	require.Len(j.t, spans, count, "spans %q of %s", operation, service)
	return spans
}
