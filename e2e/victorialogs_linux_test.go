// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// victoriaLogs is a running VictoriaLogs.
type victoriaLogs struct{ *server }

// startVictoriaLogs runs VictoriaLogs until the test ends.
func startVictoriaLogs(t *testing.T) *victoriaLogs {
	t.Helper()
	v := &victoriaLogs{&server{
		t: t, address: freeAddress(t), data: filepath.Join(t.TempDir(), "data"),
		path: buildTool(t, "victorialogs", "victoria-logs"), health: "/health",
	}}
	v.arguments = []string{
		"-storageDataPath=" + v.data, "-httpListenAddr=" + v.address,
		"-retentionPeriod=100y", "-futureRetention=100y", // recordings keep their time
		"-memory.allowedBytes=256MiB", "-inmemoryDataFlushInterval=1s",
	}
	v.serve()
	return v
}

// ask returns what tryAsk does, and fails the test if there is no answer.
func (v *victoriaLogs) ask(query string) []map[string]string {
	v.t.Helper()
	rows, err := v.tryAsk(query)
	require.NoError(v.t, err)
	return rows
}

// tryAsk returns the rows that answer a query in LogsQL. What has arrived is found about
// a second later.
func (v *victoriaLogs) tryAsk(query string) ([]map[string]string, error) {
	answer, err := v.get("/select/logsql/query", url.Values{"query": {query}})
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

// asker asks for what came by OTLP.
func (v *victoriaLogs) asker() asker {
	return func(event, target string) ([]map[string]string, error) {
		return v.tryAsk(fmt.Sprintf("event.name:=%q kill.target.name:=%q", event, target))
	}
}

// bulkOverlay tells VictoriaLogs by headers which fields of the documents are message
// and time, and what makes a stream. It cannot read the fractions of a millisecond in
// @timestamp.
const bulkOverlay = `
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

func (v *victoriaLogs) bulkEnvironment() map[string]string {
	return map[string]string{"ELASTICSEARCH_ENDPOINT": "http://" + v.address + "/insert/elasticsearch"}
}

// bulkAsker asks for what came as documents of Elasticsearch, and takes the attributes
// out of the objects in which its mapping mode otel has them.
func (v *victoriaLogs) bulkAsker() asker {
	return func(event, target string) ([]map[string]string, error) {
		rows, err := v.tryAsk(fmt.Sprintf("event_name:=%q attributes.kill.target.name:=%q", event, target))
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
