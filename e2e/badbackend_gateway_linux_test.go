// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// quickAgent makes short what takes long in configs/agent.yaml.
const quickAgent = `exporters: {otlp_grpc: {timeout: 2s, sending_queue: {batch: {flush_timeout: 100ms}}, ` +
	`retry_on_failure: {initial_interval: 100ms, max_interval: 300ms}}}`

// noTLS makes it speak to something without certificates, and without compression.
const noTLS = `exporters: {otlp_grpc: {compression: none, tls: {insecure: true, ca_file: "", cert_file: "", key_file: ""}}}`

var addressPattern = regexp.MustCompile(`[\d.]+:\d+`)

// What becomes of data that a gateway does not take over OTLP/gRPC.
func TestGatewayRefuses(t *testing.T) {
	t.Parallel()
	sink := newSink(t, "grpc")
	address := addressPattern.FindString(sink.exporter)
	agent := startReading(t, "configs/agent.yaml", map[string]string{"GATEWAY_ENDPOINT": address},
		overlay(t, quickAgent), overlay(t, noTLS))
	answers := func(said answer) func(int, []record) answer {
		return func(int, []record) answer { return said }
	}
	tests := []struct {
		name    string
		answer  func(int, []record) answer
		dropped bool
		says    string
	}{
		{"canceled", answers(answer{err: status.Error(codes.Canceled, "no")}), false, "Canceled"},
		{"invalid", answers(answer{err: status.Error(codes.InvalidArgument, "no")}), true, "InvalidArgument"},
		{"too late", answers(answer{err: status.Error(codes.DeadlineExceeded, "no")}), false, "DeadlineExceeded"},
		{"forbidden", answers(answer{err: status.Error(codes.PermissionDenied, "no")}), true, "PermissionDenied"},
		{"who are you", answers(answer{err: status.Error(codes.Unauthenticated, "no")}), true, "Unauthenticated"},
		{"exhausted", answers(answer{err: status.Error(codes.ResourceExhausted, "no")}), true, "ResourceExhausted"},
		{"aborted", answers(answer{err: status.Error(codes.Aborted, "no")}), false, "Aborted"},
		{"not OTLP", answers(answer{err: status.Error(codes.Unimplemented, "no")}), true, "Unimplemented"},
		{"internal", answers(answer{err: status.Error(codes.Internal, "no")}), true, "Internal"},
		{"unavailable", answers(answer{err: status.Error(codes.Unavailable, "no")}), false, "Unavailable"},
		{"unauthorized by a proxy", answers(answer{err: status.Error(codes.Unknown, "no")}), true, "Unknown"},
		{"hangs", func(int, []record) answer {
			time.Sleep(3 * time.Second) // longer than the agent waits
			return answer{err: errBusy}
		}, false, "DeadlineExceeded"},
	}
	arrived := func() map[int]string {
		uids := make(map[int]string)
		for _, a := range arrivalsOf(sink.records()) {
			uids[a.serial] = a.uid
		}
		return uids
	}
	var promised []int
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			said, failed := len(agent.output.String()), agent.exporterMetric("exporter_send_failed_log_records")
			sink.answers(test.answer)
			serials := agent.add(t, 3)
			if test.dropped {
				failed += 3
				eventually(t, func() bool { return agent.exporterMetric("exporter_send_failed_log_records") == failed }, "it is counted")
				agent.saysSince(t, said, "Exporting failed. Dropping data.", test.says)
			} else {
				agent.saysSince(t, said, "Exporting failed. Will retry the request after interval.", test.says)
				promised = append(promised, serials...)
			}
			sink.answers(answers(answer{}))
			promised = append(promised, agent.add(t, 1)...)
			eventually(t, func() bool { return len(arrived()) >= len(promised) }, "what is promised arrives")
			assert.Equal(t, failed, agent.exporterMetric("exporter_send_failed_log_records"), "what was given up")
		})
	}
	agent.stop()
	for _, serial := range promised {
		assert.Contains(t, arrived(), serial)
	}
	assert.Len(t, arrived(), len(promised), "nothing else arrives")
}

// A gateway that holds nothing itself tells its agents how Elasticsearch is.
func TestGatewayBeforeBadElasticsearch(t *testing.T) {
	t.Parallel()
	backend := newBadBackend(t)
	gateway := startGateway(t, "configs/gateway-elastic.yaml", map[string]string{"ELASTICSEARCH_ENDPOINT": backend.server.URL},
		overlay(t, `exporters: {elasticsearch: {timeout: 1s, sending_queue: {batch: {flush_timeout: 100ms}}, `+
			`retry: {initial_interval: 100ms, max_interval: 300ms}}}`))
	agent := startReading(t, "configs/agent.yaml", gateway.agent, overlay(t, quickAgent))
	tests := []struct {
		name    string
		behave  behavior
		dropped bool
		says    string // by the agent
	}{
		{"400", answers(http.StatusBadRequest), true, "flush failed (400)"},
		{"401", answers(http.StatusUnauthorized), false, "code = Unavailable"},
		{"429", answers(http.StatusTooManyRequests), false, "code = Unavailable"},
		{"503", answers(http.StatusServiceUnavailable), false, "code = Unavailable"},
		{"hangs", backend.hangs, false, "code = Unavailable"},
		{"items 429", failsItems(http.StatusTooManyRequests, "cluster_block_exception"), false, "code = DeadlineExceeded"},
	}
	var promised []int
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			said, failed := len(agent.output.String()), agent.exporterMetric("exporter_send_failed_log_records")
			backend.behaves(test.behave)
			serials := agent.add(t, 3)
			if test.dropped {
				failed += 3
				eventually(t, func() bool { return agent.exporterMetric("exporter_send_failed_log_records") == failed }, "it is counted")
			} else {
				promised = append(promised, serials...)
			}
			agent.saysSince(t, said, "Exporting failed.", test.says)
			backend.behaves(nil)
			promised = append(promised, agent.add(t, 1)...)
			backend.arrive(t, promised)
			assert.Equal(t, failed, agent.exporterMetric("exporter_send_failed_log_records"), "what was given up")
		})
	}
	t.Run("is killed while documents are refused", func(t *testing.T) {
		backend.behaves(failsItems(http.StatusTooManyRequests, "cluster_block_exception"))
		promised = append(promised, agent.add(t, 3)...)
		eventually(t, func() bool { return backend.asked() > 5 }, "it is tried")
		gateway.kill()
		backend.behaves(nil)
		gateway.restart()
		backend.arrive(t, promised)
	})
}

// Who has too little memory refuses, and nothing is lost.
func TestTooLittleMemory(t *testing.T) {
	t.Parallel()
	const enough, little = "MEMORY_LIMIT_MIB=256", "MEMORY_LIMIT_MIB=1"
	for _, who := range []string{"agent", "gateway"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			backend := newBadBackend(t)
			limits := map[string]string{"agent": enough, "gateway": enough}
			limits[who] = little
			limit := func(name string) string { return strings.TrimPrefix(limits[name], "MEMORY_LIMIT_MIB=") }
			gateway := startGateway(t, "configs/gateway.yaml", map[string]string{
				"LOGS_ENDPOINT": backend.server.URL, "TRACES_ENDPOINT": noTraces(t), "MEMORY_LIMIT_MIB": limit("gateway"),
			})
			gateway.agent["MEMORY_LIMIT_MIB"] = limit("agent")
			agent := startReading(t, "configs/agent.yaml", gateway.agent, overlay(t, quickAgent))
			var promised []int
			// The first look at the memory is after a second.
			until(t, func() bool { return agent.output.contains("data refused due to high memory usage") }, func() {
				promised = append(promised, agent.add(t, 10)...)
			}, "data is refused")
			if who == "agent" {
				agent.saysSince(t, 0, "the next consumer did not take log records, trying again")
				agent.stop()
				agent.command.Env = append(agent.command.Env, enough)
				agent.restart()
			} else {
				agent.saysSince(t, 0, "Exporting failed. Will retry the request after interval.")
				gateway.stop()
				gateway.command.Env = append(gateway.command.Env, enough)
				gateway.collector = gateway.restart()
			}
			backend.arrive(t, promised)
			assert.Zero(t, agent.exporterMetric("exporter_send_failed_log_records"))
			assert.Zero(t, agent.metric("audit_kill_dropped"))
		})
	}
}
