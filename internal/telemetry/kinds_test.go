// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Each kind of event that makes log records has a sentence and a severity.
func TestEachKind(t *testing.T) {
	t.Parallel()
	for _, kind := range append(kill.Kinds(), "kill.unheard_of") {
		l := NewLogs(testConfig())
		e := fullEvent()
		e.Kind = kind
		e.Tamper, e.Outcome = &kill.Tamper{Action: kill.TamperRuleRemoved}, &kill.Outcome{Verdict: kill.VerdictExited}
		l.Append(e, &e.Targets[0], time.Now())
		record := l.records.At(0)
		assert.Equal(t, string(kind), record.EventName())
		switch kind {
		case kill.KindCall, "kill.unheard_of": // only a span, and must not be treated as a signal
			assert.Equal(t, string(kind), record.Body().Str())
			assert.Equal(t, plog.SeverityNumberUnspecified, record.SeverityNumber())
		default:
			assert.Contains(t, record.Body().Str(), " ", kind)
			assert.NotEqual(t, plog.SeverityNumberUnspecified, record.SeverityNumber(), kind)
		}
	}
}
