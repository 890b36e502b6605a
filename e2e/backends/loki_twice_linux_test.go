// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/loki"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Loki drops duplicates, but not if it has started to shard the stream in between, as it does with
// streams above a certain rate.
func TestLokiKeepsOneOfTwo(t *testing.T) {
	for name, test := range map[string]struct {
		settings []string
		once     bool
	}{
		"by default":            {nil, true},
		"with a sharded stream": {[]string{"-shard-streams.desired-rate=1KB"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := loki.Start(t, test.settings...)
			host := fleetLogs(t, fleetEvents(), fleetNow())[0]
			host.ResourceLogs().At(0).Resource().Attributes().PutStr("service.name", "auditkill")
			l.Push(host)
			harness.Eventually(t, func() bool { return l.HighestRate() > 1<<10 }, "Loki knows the rate of the stream")
			l.Push(host)
			count, kept := host.LogRecordCount(), l.Ask(`{service_name="auditkill"}`)
			assert.Equal(t, test.once, len(kept) == count, "%d of %d", len(kept), count)
			uids := make(map[string]bool)
			for _, row := range kept {
				uids[row["log_record_uid"]] = true
			}
			assert.Len(t, uids, count)
		})
	}
}
