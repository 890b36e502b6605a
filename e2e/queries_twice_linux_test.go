// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
)

// Loki rids itself of what is delivered twice, but not of a stream that it has divided by
// itself meanwhile, as it does with what is faster than a rate.
func TestLokiKeepsOneOfTwo(t *testing.T) {
	for name, test := range map[string]struct {
		settings []string
		once     bool
	}{
		"by itself":             {nil, true},
		"with a divided stream": {[]string{"-shard-streams.desired-rate=1KB"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := startLoki(t, test.settings...)
			host := fleetLogs(t, fleetNow())[0]
			host.ResourceLogs().At(0).Resource().Attributes().PutStr("service.name", "auditkill")
			l.push(host)
			eventually(t, func() bool { return l.highestRate() > 1<<10 }, "Loki knows the rates")
			l.push(host)
			count, kept := host.LogRecordCount(), l.ask(`{service_name="auditkill"}`)
			assert.Equal(t, test.once, len(kept) == count, "%d of %d", len(kept), count)
			uids := make(map[string]bool)
			for _, row := range kept {
				uids[row["log_record_uid"]] = true
			}
			assert.Len(t, uids, count)
		})
	}
}

// push sends records as an agent does.
func (l *loki) push(logs plog.Logs) {
	l.t.Helper()
	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	require.NoError(l.t, err)
	request, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, "http://"+l.address+"/otlp/v1/logs", bytes.NewReader(body))
	require.NoError(l.t, err)
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	require.NoError(l.t, err)
	require.NoError(l.t, response.Body.Close())
	require.Equal(l.t, http.StatusNoContent, response.StatusCode)
}

// highestRate is that of the fastest stream, in bytes a second, as the part of Loki
// knows it that divides streams.
func (l *loki) highestRate() float64 {
	metrics, err := l.get("/metrics", nil)
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
