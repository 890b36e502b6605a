// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// record is a log record as the collector emitted it.
type record struct {
	Event      string
	Severity   plog.SeverityNumber
	Time       time.Time
	Body       string
	Attributes map[string]any
	TraceID    pcommon.TraceID
	SpanID     pcommon.SpanID
}

// recordsOf returns the log records in logs, in their order.
func recordsOf(logs plog.Logs) []record {
	var records []record
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, r := range scope.LogRecords().All() {
				records = append(records, record{
					Event:      r.EventName(),
					Severity:   r.SeverityNumber(),
					Time:       r.Timestamp().AsTime(),
					Body:       r.Body().Str(),
					Attributes: r.Attributes().AsRaw(),
					TraceID:    r.TraceID(),
					SpanID:     r.SpanID(),
				})
			}
		}
	}
	return records
}

// readFile returns what the file exporter has written so far.
func readFile(t *testing.T, path string) []record {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Errorf("the file exporter's output: %v", err)
	}
	var records []record
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		if err != nil {
			t.Errorf("the file exporter's output: %v", err)
			break
		}
		records = append(records, recordsOf(logs)...)
	}
	return records
}

// key is what makes a log record another one than all others.
type key struct {
	milliseconds int64
	serial       int
	pid          int
}

func (r *record) key() key {
	pid, _ := r.Attributes["kill.target.pid"].(int64)
	serial, _ := r.Attributes["kill.audit.serial"].(int64)
	return key{r.Time.UnixMilli(), int(serial), int(pid)}
}

func keysOf(records []record) []key {
	keys := make([]key, len(records))
	for i := range records {
		keys[i] = records[i].key()
	}
	return keys
}

// answer is what a sink says to a request: an error, or how many of the log
// records it says to have rejected of those that it took.
type answer struct {
	err      error
	rejected int64
}

// sink is a server that takes OTLP.
type sink struct {
	// exporter sends to it, and says each error to the receiver.
	exporter string
	// url is where one over HTTP is.
	url string

	mutex    sync.Mutex
	answer   func(request int, records []record) answer
	requests int
	taken    []record
	spanned  []ptrace.Span
}

const exporterTemplate = `{%s: {endpoint: %q, compression: none, tls: {insecure: true}, ` +
	`sending_queue: {enabled: false}, retry_on_failure: {enabled: false}}}`

// newSink returns a sink that takes everything, over "grpc" or "http".
func newSink(t *testing.T, protocol string) *sink {
	t.Helper()
	s := &sink{answer: func(int, []record) answer { return answer{} }}
	if protocol == "http" {
		server := httptest.NewServer(http.HandlerFunc(s.serveHTTP))
		t.Cleanup(server.Close)
		s.url = server.URL
		s.exporter = fmt.Sprintf(exporterTemplate, "otlp_http", server.URL)
		return s
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	plogotlp.RegisterGRPCServer(server, &grpcSink{sink: s})
	ptraceotlp.RegisterGRPCServer(server, &grpcTraceSink{sink: s})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with Stop
	}()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	s.exporter = fmt.Sprintf(exporterTemplate, "otlp_grpc", listener.Addr())
	return s
}

// answers sets what the sink says from now on. request counts from 0.
func (s *sink) answers(answer func(request int, records []record) answer) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.answer, s.requests = answer, 0
}

// records returns what was acknowledged, in the order of its arrival.
func (s *sink) records() []record {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.taken)
}

// spans returns all spans, in the order of their arrival.
func (s *sink) spans() []ptrace.Span {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.spanned)
}

// count is how many log records were acknowledged.
func (s *sink) count() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.taken)
}

// asked is how many requests there were since answers was called.
func (s *sink) asked() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.requests
}

func (s *sink) take(logs plog.Logs) (plogotlp.ExportResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	response := plogotlp.NewExportResponse()
	records := recordsOf(logs)
	said := s.answer(s.requests, records)
	s.requests++
	if said.err != nil {
		return response, said.err
	}
	if said.rejected > 0 {
		response.PartialSuccess().SetRejectedLogRecords(said.rejected)
		response.PartialSuccess().SetErrorMessage("some are not to my taste")
	}
	s.taken = append(s.taken, records...)
	return response, nil
}

type grpcSink struct {
	plogotlp.UnimplementedGRPCServer
	sink *sink
}

// Export implements plogotlp.GRPCServer.
func (s *grpcSink) Export(_ context.Context, request plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	return s.sink.take(request.Logs())
}

type grpcTraceSink struct {
	ptraceotlp.UnimplementedGRPCServer
	sink *sink
}

// Export implements ptraceotlp.GRPCServer.
func (s *grpcTraceSink) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.sink.takeSpans(request.Traces())
	return ptraceotlp.NewExportResponse(), nil
}

func (s *sink) takeSpans(traces ptrace.Traces) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				s.spanned = append(s.spanned, span)
			}
		}
	}
}

func (s *sink) serveHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	if r.Header.Get("Content-Encoding") == "gzip" {
		r.Body, err = gzip.NewReader(r.Body)
	}
	var body []byte
	if err == nil {
		body, err = io.ReadAll(r.Body)
	}
	request, spans := plogotlp.NewExportRequest(), ptraceotlp.NewExportRequest()
	switch {
	case err != nil:
	case strings.HasSuffix(r.URL.Path, "/v1/traces"):
		err = spans.UnmarshalProto(body)
	default:
		err = request.UnmarshalProto(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/v1/traces") {
		s.takeSpans(spans.Traces())
		w.Header().Set("Content-Type", "application/x-protobuf")
		return
	}
	response, err := s.take(request.Logs())
	if err != nil {
		http.Error(w, err.Error(), httpStatus(err))
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	data, _ := response.MarshalProto() // of a response of our own
	_, _ = w.Write(data)               // a collector that was killed does not read it
}

// httpStatus is the counterpart of a gRPC code (OTLP specification, "Failures").
func httpStatus(err error) int {
	switch status.Code(err) {
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.InvalidArgument:
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}
