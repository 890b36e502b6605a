// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lokiVariable names the program of Loki, which takes too long to build for every test.
const lokiVariable = "LOKI_BIN"

// loki is a running Loki.
type loki struct{ *server }

// A Loki of one process that is ready at once, as its parts need not find each other.
// What it takes is what it takes by itself; queries find more, and at once what is old.
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

// startLoki runs Loki until the test ends, with more settings as on its command line.
func startLoki(t *testing.T, settings ...string) *loki {
	t.Helper()
	path := os.Getenv(lokiVariable)
	if path == "" {
		skip(t, "%s names no Loki: `make loki` builds one", lokiVariable)
	}
	l := &loki{&server{t: t, address: freeAddress(t), data: t.TempDir(), path: path, health: "/ready"}}
	_, port, err := net.SplitHostPort(l.address)
	require.NoError(t, err)
	config := filepath.Join(t.TempDir(), "loki.yaml")
	text := fmt.Appendf(nil, lokiTemplate, port, freePort(t), l.data)
	require.NoError(t, os.WriteFile(config, text, 0o600))
	l.arguments = append([]string{"-config.file=" + config, "-target=all"}, settings...)
	l.serve()
	return l
}

// lokiStreams are those of an answer: their labels, and entries of time and line.
type lokiStreams struct {
	Data struct {
		Result []struct {
			Stream map[string]string `json:"stream"`
			Values [][2]string       `json:"values"`
		} `json:"result"`
	} `json:"data"`
}

// ask returns what tryAsk does, and fails the test if there is no answer.
func (l *loki) ask(query string) []map[string]string {
	l.t.Helper()
	rows, err := l.tryAsk(query)
	require.NoError(l.t, err)
	return rows
}

// tryAsk returns the entries of the last days that answer a query in LogQL, in the order
// in which Loki tells them: labels and structured metadata, _time in nanoseconds and
// the line as _msg.
func (l *loki) tryAsk(query string) ([]map[string]string, error) {
	now := time.Now()
	answer, err := l.get("/loki/api/v1/query_range", url.Values{
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

// asker asks by structured metadata, in whose names Loki has no dots.
func (l *loki) asker() asker {
	return func(event, target string) ([]map[string]string, error) {
		return l.tryAsk(fmt.Sprintf(`{service_name="auditkill"} | event_name=%q | kill_target_name=%q`, event, target))
	}
}
