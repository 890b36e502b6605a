// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/faulty"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// quickAgent shortens the timeouts and intervals of configs/agent.yaml.
const quickAgent = `exporters: {otlp_grpc: {timeout: 2s, sending_queue: {batch: {flush_timeout: 100ms}}, ` +
	`retry_on_failure: {initial_interval: 100ms, max_interval: 300ms}}}`

// noTLS makes an agent send without TLS and without compression.
const noTLS = `exporters: {otlp_grpc: {compression: none, tls: {insecure: true, ca_file: "", cert_file: "", key_file: ""}}}`

var addressPattern = regexp.MustCompile(`[\d.]+:\d+`)

// What happens to data that a gateway does not accept over OTLP/gRPC.
func TestGatewayRefuses(t *testing.T) {
	t.Parallel()
	sink := otlp.NewSink(t, "grpc")
	address := addressPattern.FindString(sink.Exporter)
	agent := shipped.StartReading(t, "configs/agent.yaml", map[string]string{"GATEWAY_ENDPOINT": address},
		shipped.Overlay(t, quickAgent), shipped.Overlay(t, noTLS))
	refuses := func(code codes.Code) func(int, []otlp.Record) otlp.Answer {
		return otlp.Always(otlp.Answer{Err: status.Error(code, "no")})
	}
	tests := []struct {
		name    string
		answer  func(int, []otlp.Record) otlp.Answer
		dropped bool
		says    string
	}{
		{"canceled", refuses(codes.Canceled), false, "Canceled"},
		{"invalid", refuses(codes.InvalidArgument), true, "InvalidArgument"},
		{"too late", refuses(codes.DeadlineExceeded), false, "DeadlineExceeded"},
		{"forbidden", refuses(codes.PermissionDenied), true, "PermissionDenied"},
		{"who are you", refuses(codes.Unauthenticated), true, "Unauthenticated"},
		{"exhausted", refuses(codes.ResourceExhausted), true, "ResourceExhausted"},
		{"aborted", refuses(codes.Aborted), false, "Aborted"},
		{"not OTLP", refuses(codes.Unimplemented), true, "Unimplemented"},
		{"internal", refuses(codes.Internal), true, "Internal"},
		{"unavailable", refuses(codes.Unavailable), false, "Unavailable"},
		{"unauthorized by a proxy", refuses(codes.Unknown), true, "Unknown"},
		{"hangs", func(int, []otlp.Record) otlp.Answer {
			time.Sleep(3 * time.Second) // longer than the agent waits
			return otlp.Answer{Err: errBusy}
		}, false, "DeadlineExceeded"},
	}
	arrived := func() map[int]string {
		uids := make(map[int]string)
		for _, a := range faulty.ArrivalsOf(sink.Records()) {
			uids[a.Serial] = a.UID
		}
		return uids
	}
	var promised []int
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			said, failed := len(agent.Output.String()), agent.ExporterMetric("exporter_send_failed_log_records")
			sink.Answers(test.answer)
			serials := agent.Add(t, 3)
			if test.dropped {
				failed += 3
				harness.Eventually(t, func() bool { return agent.ExporterMetric("exporter_send_failed_log_records") == failed }, "the records are counted as dropped")
				agent.SaysSince(t, said, "Exporting failed. Dropping data.", test.says)
			} else {
				agent.SaysSince(t, said, "Exporting failed. Will retry the request after interval.", test.says)
				promised = append(promised, serials...)
			}
			sink.Answers(otlp.Always(otlp.Answer{}))
			promised = append(promised, agent.Add(t, 1)...)
			harness.Eventually(t, func() bool { return len(arrived()) >= len(promised) }, "all promised records arrive")
			assert.Equal(t, failed, agent.ExporterMetric("exporter_send_failed_log_records"), "dropped log records")
		})
	}
	agent.Stop()
	for _, serial := range promised {
		assert.Contains(t, arrived(), serial)
	}
	assert.Len(t, arrived(), len(promised), "nothing else arrives")
}

// A gateway without a queue passes the errors of Elasticsearch on to its agents.
func TestGatewayBeforeBadElasticsearch(t *testing.T) {
	t.Parallel()
	backend := faulty.New(t)
	gateway := shipped.StartGateway(t, "configs/gateway-elastic.yaml", map[string]string{"ELASTICSEARCH_ENDPOINT": backend.Server.URL},
		shipped.Overlay(t, `exporters: {elasticsearch: {timeout: 1s, sending_queue: {batch: {flush_timeout: 100ms}}, `+
			`retry: {initial_interval: 100ms, max_interval: 300ms}}}`))
	agent := shipped.StartReading(t, "configs/agent.yaml", gateway.Agent, shipped.Overlay(t, quickAgent))
	tests := []struct {
		name    string
		behave  faulty.Behavior
		dropped bool
		says    string // by the agent
	}{
		{"400", faulty.Answers(http.StatusBadRequest), true, "flush failed (400)"},
		{"401", faulty.Answers(http.StatusUnauthorized), false, "code = Unavailable"},
		{"429", faulty.Answers(http.StatusTooManyRequests), false, "code = Unavailable"},
		{"503", faulty.Answers(http.StatusServiceUnavailable), false, "code = Unavailable"},
		{"hangs", backend.Hangs, false, "code = Unavailable"},
		{"items 429", failsItems(http.StatusTooManyRequests, "cluster_block_exception"), false, "code = DeadlineExceeded"},
	}
	var promised []int
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			said, failed := len(agent.Output.String()), agent.ExporterMetric("exporter_send_failed_log_records")
			backend.Behaves(test.behave)
			serials := agent.Add(t, 3)
			if test.dropped {
				failed += 3
				harness.Eventually(t, func() bool { return agent.ExporterMetric("exporter_send_failed_log_records") == failed }, "the records are counted as dropped")
			} else {
				promised = append(promised, serials...)
			}
			agent.SaysSince(t, said, "Exporting failed.", test.says)
			promised = recovers(t, backend, agent, promised)
			assert.Equal(t, failed, agent.ExporterMetric("exporter_send_failed_log_records"), "dropped log records")
		})
	}
	t.Run("is killed while documents are refused", func(t *testing.T) {
		backend.Behaves(failsItems(http.StatusTooManyRequests, "cluster_block_exception"))
		promised = append(promised, agent.Add(t, 3)...)
		harness.Eventually(t, func() bool { return backend.Requests() > 5 }, "the gateway retries")
		gateway.Kill()
		backend.Behaves(nil)
		gateway.Restart()
		backend.Arrive(t, promised)
	})
}

// With too little memory, an agent or a gateway refuses data, and nothing is lost.
func TestTooLittleMemory(t *testing.T) {
	t.Parallel()
	const enough, little = "MEMORY_LIMIT_MIB=256", "MEMORY_LIMIT_MIB=1"
	for _, who := range []string{"agent", "gateway"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			backend := faulty.New(t)
			limits := map[string]string{"agent": enough, "gateway": enough}
			limits[who] = little
			limit := func(name string) string { return strings.TrimPrefix(limits[name], "MEMORY_LIMIT_MIB=") }
			gateway := shipped.StartGateway(t, "configs/gateway.yaml", map[string]string{
				"LOGS_ENDPOINT": backend.Server.URL, "TRACES_ENDPOINT": shipped.NoTraces(t), "MEMORY_LIMIT_MIB": limit("gateway"),
			})
			gateway.Agent["MEMORY_LIMIT_MIB"] = limit("agent")
			agent := shipped.StartReading(t, "configs/agent.yaml", gateway.Agent, shipped.Overlay(t, quickAgent))
			var promised []int
			// The memory limiter checks the memory only once a second.
			harness.Until(t, func() bool { return agent.Output.Contains("data refused due to high memory usage") }, func() {
				promised = append(promised, agent.Add(t, 10)...)
			}, "data is refused")
			if who == "agent" {
				agent.SaysSince(t, 0, "the next consumer did not take log records, trying again")
				agent.Stop()
				agent.Command.Env = append(agent.Command.Env, enough)
				agent.Restart()
			} else {
				agent.SaysSince(t, 0, "Exporting failed. Will retry the request after interval.")
				gateway.Stop()
				gateway.Command.Env = append(gateway.Command.Env, enough)
				gateway.Collector = gateway.Restart()
			}
			backend.Arrive(t, promised)
			assert.Zero(t, agent.ExporterMetric("exporter_send_failed_log_records"))
			assert.Zero(t, agent.Metric("audit_kill_dropped"))
		})
	}
}
