// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// expectation is what a log says of one signal and one target, a line of NAME.expect.
type expectation struct {
	Signal int64  `json:"signal"`
	Sender *int64 `json:"sender_pid"`
	Target *int64 `json:"target_pid"`
	// Result has one value or a list of those that are right: success, failure, unknown or, for
	// the kernel's report of a death, died.
	Result any    `json:"result"`
	Time   string `json:"time"`
}

// TestCases reads the logs in testdata/cases, in shapes that people have them in.
func TestCases(t *testing.T) {
	t.Parallel()
	logs, err := filepath.Glob(filepath.Join("testdata", "cases", "*.log"))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	for _, path := range logs {
		name := strings.TrimSuffix(filepath.Base(path), ".log")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, path)
			f.config.Signals = nil
			for _, signal := range kill.AllSignals() {
				f.config.Signals = append(f.config.Signals, SignalName(signal.Name()))
			}
			f.read(t)
			got := f.sink.records()
			slices.SortStableFunc(got, func(a, b plog.LogRecord) int { return cmp.Compare(serialOf(a), serialOf(b)) })
			want := expectations(t, strings.TrimSuffix(path, ".log")+".expect")
			require.Len(t, got, len(want), "records")
			for i, e := range want {
				e.check(t, got[i])
			}
		})
	}
}

func serialOf(r plog.LogRecord) int64 {
	serial, _ := r.Attributes().Get("kill.audit.serial")
	return serial.Int()
}

func expectations(t *testing.T, path string) []expectation {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var all []expectation
	for line := range bytes.Lines(text) {
		var e expectation
		require.NoError(t, json.Unmarshal(line, &e), "%s: %s", path, line)
		all = append(all, e)
	}
	return all
}

func (e *expectation) check(t *testing.T, r plog.LogRecord) {
	t.Helper()
	a := r.Attributes().AsRaw()
	assert.Equal(t, e.Signal, a["kill.signal.number"], "signal")
	number := func(pid *int64) any {
		if pid == nil {
			return nil
		}
		return *pid
	}
	assert.Equal(t, number(e.Sender), a["process.pid"], "sender")
	assert.Equal(t, number(e.Target), a["kill.target.pid"], "target")
	results, several := e.Result.([]any)
	if !several {
		results = []any{e.Result}
	}
	got := a["kill.result"]
	if results[0] == "died" {
		assert.Equal(t, "kill.abend", r.EventName())
	} else {
		assert.Contains(t, results, got, "result of %s", r.Body().Str())
	}
	if got == "unknown" {
		assert.Less(t, r.SeverityNumber(), plog.SeverityNumberError)
		assert.Contains(t, r.Body().Str(), "not recorded")
	}
	if e.Time != "" {
		at := uint64(r.Timestamp()) // AsTime takes it for a signed number, which ends in 2262
		assert.Equal(t, e.Time, time.Unix(int64(at/1e9), int64(at%1e9)).UTC().Format(time.RFC3339Nano))
	}
}
