// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package otlp receives what the collector sends in a test: it has an OTLP server, and the log
// records and spans that the server accepted.
package otlp

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Answer is a sink's response to a request: an error, or a partial success that
// claims to have rejected some of the log records.
type Answer struct {
	Err      error
	Rejected int64
}

// Sink is an OTLP server.
type Sink struct {
	// Exporter is the configuration of an exporter that sends to the sink, and returns each
	// error to the receiver. Settings are those of the exporter, for one with another name.
	Exporter, Settings string
	// URL is the address of a sink that speaks HTTP.
	URL string

	mutex    sync.Mutex
	answer   func(request int, records []Record) Answer
	requests int
	taken    []Record
	spanned  []ptrace.Span
}

const settingsTemplate = `{endpoint: %q, compression: none, tls: {insecure: true}, ` +
	`sending_queue: {enabled: false}, retry_on_failure: {enabled: false}}`

// NewSink returns a sink that accepts everything, over "grpc" or "http".
func NewSink(t *testing.T, protocol string) *Sink {
	t.Helper()
	s := &Sink{answer: Always(Answer{})}
	if protocol == "http" {
		server := httptest.NewServer(s)
		t.Cleanup(server.Close)
		s.URL = server.URL
		s.exported("otlp_http", server.URL)
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
	s.exported("otlp_grpc", listener.Addr().String())
	return s
}

// exported sets the configuration of an exporter that sends to the sink.
func (s *Sink) exported(exporter, endpoint string) {
	s.Settings = fmt.Sprintf(settingsTemplate, endpoint)
	s.Exporter = fmt.Sprintf("{%s: %s}", exporter, s.Settings)
}

// Answers sets how the sink responds from now on. The first request is number 0.
func (s *Sink) Answers(answer func(request int, records []Record) Answer) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.answer, s.requests = answer, 0
}

// Always returns a function for Answers that always responds the same.
func Always(answer Answer) func(int, []Record) Answer {
	return func(int, []Record) Answer { return answer }
}

// Records returns the acknowledged log records, in the order in which they arrived.
func (s *Sink) Records() []Record {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.taken)
}

// Spans returns all spans, in the order in which they arrived.
func (s *Sink) Spans() []ptrace.Span {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.spanned)
}

// Count returns how many log records were acknowledged.
func (s *Sink) Count() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.taken)
}

// Requests returns how many requests have arrived since the last call of Answers.
func (s *Sink) Requests() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.requests
}

func (s *Sink) take(logs plog.Logs) (plogotlp.ExportResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	response := plogotlp.NewExportResponse()
	records := RecordsOf(logs)
	said := s.answer(s.requests, records)
	s.requests++
	if said.Err != nil {
		return response, said.Err
	}
	if said.Rejected > 0 {
		response.PartialSuccess().SetRejectedLogRecords(said.Rejected)
		response.PartialSuccess().SetErrorMessage("some log records were rejected")
	}
	s.taken = append(s.taken, records...)
	return response, nil
}

type grpcSink struct {
	plogotlp.UnimplementedGRPCServer
	sink *Sink
}

// Export implements plogotlp.GRPCServer.
func (s *grpcSink) Export(_ context.Context, request plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	return s.sink.take(request.Logs())
}

type grpcTraceSink struct {
	ptraceotlp.UnimplementedGRPCServer
	sink *Sink
}

// Export implements ptraceotlp.GRPCServer.
func (s *grpcTraceSink) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.sink.takeSpans(request.Traces())
	return ptraceotlp.NewExportResponse(), nil
}

func (s *Sink) takeSpans(traces ptrace.Traces) {
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

// ServeHTTP implements http.Handler, for OTLP over HTTP.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := harness.Body(r)
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
	data, _ := response.MarshalProto() // our own response is valid
	_, _ = w.Write(data)               // fails if the collector was killed
}

// httpStatus returns the HTTP status for a gRPC code (OTLP specification, "Failures").
func httpStatus(err error) int {
	switch status.Code(err) {
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.InvalidArgument:
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}
