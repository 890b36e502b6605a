// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"net/url"
	"path/filepath"
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
		"-memory.allowedBytes=256MiB",
	}
	v.serve()
	return v
}

// ask returns the rows that answer a query in LogsQL. What has arrived is found about a
// second later.
func (v *victoriaLogs) ask(query string) []map[string]string {
	v.t.Helper()
	answer, err := v.get("/select/logsql/query", url.Values{"query": {query}})
	require.NoError(v.t, err, "%s", query)
	var rows []map[string]string
	for line := range bytes.Lines(answer) {
		var row map[string]string
		require.NoError(v.t, json.Unmarshal(line, &row), "%s", line)
		rows = append(rows, row)
	}
	return rows
}
