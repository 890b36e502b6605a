// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

var update = flag.Bool("update", false, "write the golden files anew")

// mapped is what a mapping makes of a record.
type mapped struct {
	Body string `json:"body"`
	// Added has the attributes that the mapping has added or changed.
	Added map[string]any `json:"added"`
}

// The mappings to other schemas, behind a shipped gateway, of the receiver's own golden records.
func TestMappings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		// ended is how the schema says that a process has ended.
		ended func(map[string]any) bool
	}{
		"ecs": {func(a map[string]any) bool { return fmt.Sprint(a["event.type"]) == "[end]" }},
		"ocsf": {func(a map[string]any) bool {
			return a["class_uid"] == int64(1007) && a["activity_id"] == int64(2) && a["type_uid"] == int64(100702)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain, got := gatewayOutput(t), gatewayOutput(t, collector.Arguments("--config", harness.Path("configs/mappings", name+".yaml")))
			require.Len(t, got, len(plain))
			ends, lines := 0, new(strings.Builder)
			for i, record := range got {
				require.Equal(t, plain[i].Body, record.Body)
				outcome := record.Text("kill.outcome")
				ended := record.Event == "kill.outcome" && outcome != "survived" && outcome != "unknown"
				assert.Equal(t, ended, test.ended(record.Attributes), "only outcomes are ends: %s", record.Body)
				if ended {
					ends++
				}
				line, err := json.Marshal(mapped{record.Body, added(plain[i].Attributes, record.Attributes)})
				require.NoError(t, err)
				fmt.Fprintln(lines, string(line))
			}
			assert.Greater(t, ends, 3)
			assert.Less(t, ends, len(got)-3)
			golden := filepath.Join("testdata", name+".ndjson")
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(golden, []byte(lines.String()), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), lines.String(), "`go test -run TestMappings -update` writes it anew: read the diff")
		})
	}
}

// gatewayOutput returns what a gateway makes of golden records, in their order.
func gatewayOutput(t *testing.T, options ...func(*exec.Cmd)) []otlp.Record {
	t.Helper()
	sink := otlp.NewSink(t, "http")
	files := certificates.New(t)
	environment := files.Environment()
	environment["LOGS_ENDPOINT"], environment["LISTEN_ENDPOINT"] = sink.URL, harness.FreeAddress(t)
	gateway := shipped.Start(t, "configs/gateway.yaml", environment, options...)
	client := plogotlp.NewGRPCClient(certificates.Connect(t, environment["LISTEN_ENDPOINT"], files))
	count := 0
	for _, name := range []string{"seed", "variants", "outcomes", "behind", "tamper"} {
		logs := otlp.ReadGolden(t, name)
		count += logs.LogRecordCount()
		_, err := client.Export(t.Context(), plogotlp.NewExportRequestFromLogs(logs))
		require.NoError(t, err)
	}
	harness.Eventually(t, func() bool { return sink.Count() >= count }, "%d records arrive", count)
	gateway.Stop()
	records := sink.Records()
	slices.SortFunc(records, func(a, b otlp.Record) int {
		return cmp.Or(strings.Compare(a.Text("log.record.uid"), b.Text("log.record.uid")), strings.Compare(a.Body, b.Body))
	})
	return records
}

// added returns the attributes that differ from those before.
func added(before, after map[string]any) map[string]any {
	differ := make(map[string]any)
	for name, value := range after {
		if fmt.Sprint(before[name]) != fmt.Sprint(value) {
			differ[name] = value
		}
	}
	return differ
}
