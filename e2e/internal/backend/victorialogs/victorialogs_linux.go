// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package victorialogs runs and queries VictoriaLogs.
package victorialogs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// VictoriaLogs is a running VictoriaLogs.
type VictoriaLogs struct{ *backend.Server }

// Start runs VictoriaLogs until the test ends.
func Start(t *testing.T) *VictoriaLogs {
	t.Helper()
	return StartAt(t, harness.FreeAddress(t))
}

// StartAt is the same with an address of one's choice.
func StartAt(t *testing.T, address string) *VictoriaLogs {
	t.Helper()
	v := &VictoriaLogs{&backend.Server{
		T: t, Address: address, Data: filepath.Join(t.TempDir(), "data"),
		Path: backend.BuildTool(t, "victorialogs", "victoria-logs"), Health: "/health",
	}}
	v.Arguments = []string{
		"-storageDataPath=" + v.Data, "-httpListenAddr=" + v.Address,
		"-retentionPeriod=100y", "-futureRetention=100y", // recordings keep their own timestamps
		"-memory.allowedBytes=256MiB", "-inmemoryDataFlushInterval=1s",
	}
	v.Serve()
	return v
}

// Ask is like TryAsk, but fails the test on an error.
func (v *VictoriaLogs) Ask(query string) []map[string]string {
	v.T.Helper()
	rows, err := v.TryAsk(query)
	require.NoError(v.T, err)
	return rows
}

// TryAsk returns the rows that answer a LogsQL query. A query finds records about a second after
// they arrive.
func (v *VictoriaLogs) TryAsk(query string) ([]map[string]string, error) {
	answer, err := v.Get("/select/logsql/query", url.Values{"query": {query}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	var rows []map[string]string
	for line := range bytes.Lines(answer) {
		var row map[string]string
		if err := json.Unmarshal(line, &row); err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Asker returns an Asker for records that arrived over OTLP.
func (v *VictoriaLogs) Asker() backend.Asker {
	return func(event, target string) ([]map[string]string, error) {
		return v.TryAsk(fmt.Sprintf("event.name:=%q kill.target.name:=%q", event, target))
	}
}

// BulkOverlay adds the headers that VictoriaLogs needs to know which fields of a document are its
// message, its time and its stream. The time is a field of its own because VictoriaLogs cannot read
// the fractions of a millisecond in @timestamp.
const BulkOverlay = `
processors:
  transform/time:
    log_statements:
      - set(log.attributes["time"], FormatTime(log.time, "%%Y-%%m-%%dT%%H:%%M:%%S.%%sZ"))
exporters:
  elasticsearch:
    headers:
      VL-Msg-Field: body.text
      VL-Time-Field: attributes.time
      VL-Stream-Fields: resource.attributes.host.name
service:
  pipelines: {logs: {processors: [memory_limiter, transform, transform/time, resource]}}
`

// BulkEnvironment has a configuration for Elasticsearch send to VictoriaLogs.
func (v *VictoriaLogs) BulkEnvironment() map[string]string {
	return map[string]string{"ELASTICSEARCH_ENDPOINT": "http://" + v.Address + "/insert/elasticsearch"}
}

// BulkAsker returns an Asker for records that arrived over the bulk API of Elasticsearch. It takes
// the attributes out of the objects that the exporter's mapping mode otel puts them into.
func (v *VictoriaLogs) BulkAsker() backend.Asker {
	return func(event, target string) ([]map[string]string, error) {
		rows, err := v.TryAsk(fmt.Sprintf("event_name:=%q attributes.kill.target.name:=%q", event, target))
		for _, row := range rows {
			for name, value := range row {
				for _, object := range []string{"attributes.", "resource.attributes."} {
					if attribute, ok := strings.CutPrefix(name, object); ok {
						row[attribute] = value
					}
				}
			}
			row["event.name"] = row["event_name"]
		}
		return rows, err
	}
}
