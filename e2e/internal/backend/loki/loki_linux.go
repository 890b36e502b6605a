// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package loki runs and queries Loki.
package loki

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// lokiVariable is the environment variable with the path of Loki, which takes too long to build in a test.
const lokiVariable = "LOKI_BIN"

// Loki is a running Loki.
type Loki struct{ *backend.Server }

// lokiTemplate configures a Loki in one process that is ready at once, because its parts need not
// discover each other. The limits of what it ingests are its defaults. Queries may return more
// entries than by default, and old entries at once.
const lokiTemplate = `
auth_enabled: false
analytics: {reporting_enabled: false}
server:
  http_listen_address: 127.0.0.1
  http_listen_port: %[1]s
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: %[2]d
  log_level: warn
common:
  path_prefix: %[3]q
  replication_factor: 1
  instance_addr: 127.0.0.1
  ring: {instance_addr: 127.0.0.1, kvstore: {store: inmemory}}
  storage: {filesystem: {chunks_directory: "%[3]s/chunks", rules_directory: "%[3]s/rules"}}
ingester: {flush_check_period: 1s, lifecycler: {min_ready_duration: 0s, final_sleep: 0s}}
querier: {query_ingesters_within: 0s}
limits_config: {max_entries_limit_per_query: 20000}
query_scheduler: {use_scheduler_ring: false}
frontend: {address: 127.0.0.1, scheduler_address: "127.0.0.1:%[2]d"}
frontend_worker: {scheduler_address: "127.0.0.1:%[2]d"}
schema_config:
  configs:
    - {from: "2024-01-01", store: tsdb, object_store: filesystem, schema: v13, index: {prefix: index_, period: 24h}}
`

// Need returns the path of Loki, and skips the test if there is none.
func Need(t *testing.T) string {
	t.Helper()
	path := os.Getenv(lokiVariable)
	if path == "" {
		harness.Skip(t, "%s names no Loki: `make loki` builds one", lokiVariable)
	}
	return path
}

// Start runs Loki until the test ends, with additional flags.
func Start(t *testing.T, settings ...string) *Loki {
	t.Helper()
	path := Need(t)
	l := &Loki{&backend.Server{T: t, Address: harness.FreeAddress(t), Data: t.TempDir(), Path: path, Health: "/ready"}}
	_, port, err := net.SplitHostPort(l.Address)
	require.NoError(t, err)
	config := filepath.Join(t.TempDir(), "loki.yaml")
	text := fmt.Appendf(nil, lokiTemplate, port, harness.FreePort(t), l.Data)
	require.NoError(t, os.WriteFile(config, text, 0o600))
	l.Arguments = append([]string{"-config.file=" + config, "-target=all"}, settings...)
	l.Serve()
	return l
}

// lokiStreams are the streams in an answer: their labels, and their entries of time and line.
type lokiStreams struct {
	Data struct {
		Result []struct {
			Stream map[string]string `json:"stream"`
			Values [][2]string       `json:"values"`
		} `json:"result"`
	} `json:"data"`
}

// Ask is like TryAsk, but fails the test on an error.
func (l *Loki) Ask(query string) []map[string]string {
	l.T.Helper()
	rows, err := l.TryAsk(query)
	require.NoError(l.T, err)
	return rows
}

// TryAsk returns the entries of the last six days that answer a LogQL query, in the order of Loki's
// answer. An entry has its labels and structured metadata, its time in nanoseconds as _time, and
// its line as _msg.
func (l *Loki) TryAsk(query string) ([]map[string]string, error) {
	now := time.Now()
	answer, err := l.Get("/loki/api/v1/query_range", url.Values{
		"query": {query}, "limit": {"20000"}, "direction": {"forward"},
		"start": {strconv.FormatInt(now.AddDate(0, 0, -6).UnixNano(), 10)},
		"end":   {strconv.FormatInt(now.Add(time.Hour).UnixNano(), 10)},
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	var streams lokiStreams
	if err := json.Unmarshal(answer, &streams); err != nil {
		return nil, fmt.Errorf("%s: %w", answer, err)
	}
	var rows []map[string]string
	for _, stream := range streams.Data.Result {
		for _, value := range stream.Values {
			row := maps.Clone(stream.Stream)
			row["_time"], row["_msg"] = value[0], value[1]
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// Asker returns an Asker that queries structured metadata. Loki replaces the dots in its names.
func (l *Loki) Asker() backend.Asker {
	return func(event, target string) ([]map[string]string, error) {
		return l.TryAsk(fmt.Sprintf(`{service_name="auditkill"} | event_name=%q | kill_target_name=%q`, event, target))
	}
}

// Health returns how many rules are in each state of health.
func (l *Loki) Health() map[string]int {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct {
					Health string `json:"health"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	body, err := l.Get("/prometheus/api/v1/rules", nil)
	if err != nil || json.Unmarshal(body, &answer) != nil {
		return nil
	}
	health := make(map[string]int)
	for _, group := range answer.Data.Groups {
		for _, rule := range group.Rules {
			health[rule.Health]++
		}
	}
	return health
}

// Push sends records over OTLP, as an agent does.
func (l *Loki) Push(logs plog.Logs) {
	l.T.Helper()
	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	require.NoError(l.T, err)
	request, err := http.NewRequestWithContext(l.T.Context(), http.MethodPost, "http://"+l.Address+"/otlp/v1/logs", bytes.NewReader(body))
	require.NoError(l.T, err)
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	require.NoError(l.T, err)
	require.NoError(l.T, response.Body.Close())
	require.Equal(l.T, http.StatusNoContent, response.StatusCode)
}

// HighestRate returns the rate of the fastest stream in bytes per second, as known to the
// part of Loki that shards streams.
func (l *Loki) HighestRate() float64 {
	metrics, err := l.Get("/metrics", nil)
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(metrics)); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "loki_rate_store_max_stream_rate_bytes "); found {
			rate, _ := strconv.ParseFloat(value, 64)
			return rate
		}
	}
	return 0
}
