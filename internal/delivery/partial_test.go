// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/auditkill/auditkillreceiver/internal/stub"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// TestPartial refuses some of three log records.
func TestPartial(t *testing.T) {
	t.Parallel()

	// refusing returns an error that names the records of some targets.
	refusing := func(logs plog.Logs, change func(plog.LogRecord), pids ...int) error {
		left := plog.NewLogs()
		logs.CopyTo(left)
		records := left.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		records.RemoveIf(func(record plog.LogRecord) bool {
			return !slices.Contains(pids, stub.Targets([]plog.LogRecord{record})[0])
		})
		for _, record := range records.All() {
			change(record)
		}
		return consumererror.NewLogs(errNotNow, left)
	}
	unchanged := func(plog.LogRecord) {}
	tests := map[string]struct {
		answer func(logs plog.Logs) error
		want   []int
	}{
		"some": {
			func(logs plog.Logs) error { return refusing(logs, unchanged, 1, 3) }, []int{1, 3},
		},
		"all": {
			func(logs plog.Logs) error { return refusing(logs, unchanged, 1, 2, 3) }, []int{1, 2, 3},
		},
		"named by another component": {
			func(logs plog.Logs) error { return consumererror.NewDownstream(refusing(logs, unchanged, 2)) }, []int{2},
		},
		"changed by a processor": {
			func(logs plog.Logs) error {
				return refusing(logs, func(record plog.LogRecord) { record.Body().SetStr("changed") }, 2)
			}, []int{2},
		},
		"read-only, as they are shared by several exporters": {
			func(logs plog.Logs) error {
				logs.MarkReadOnly()
				return refusing(logs, unchanged, 3)
			}, []int{3},
		},
		"named beyond recognition": {
			func(logs plog.Logs) error {
				return refusing(logs, func(record plog.LogRecord) { record.Attributes().Clear() }, 1, 2)
			}, []int{1, 2, 3},
		},
		"none": {
			func(logs plog.Logs) error { return refusing(logs, unchanged) }, []int{1, 2, 3},
		},
		"some by one consumer, all by another": {
			func(logs plog.Logs) error { return errors.Join(refusing(logs, unchanged, 1), errNotNow) }, []int{1, 2, 3},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next := &stub.Logs{Answer: func(_ context.Context, attempt int, logs plog.Logs) error {
					if attempt == 0 {
						return test.answer(logs)
					}
					return errNever
				}}
				f := newFixture(t, next, asItIs)
				require.NoError(t, f.deliver([]*kill.Event{signal(1, 2, 3)}))
				assert.Equal(t, [][]int{{1, 2, 3}, test.want}, next.Targets())
				for _, record := range stub.Records(next.Attempts()[1]) {
					assert.Contains(t, record.Body().Str(), " sent SIGKILL to ")
				}
				assert.EqualValues(t, len(test.want), f.metric(t, "otelcol_receiver_audit_kill_dropped"))
			})
		})
	}
}
