// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// Concealed returns the record of an entry, as far as it may be shown. The collector that made it has left out what
// its own configuration says; what it has not recorded cannot be shown.
func Concealed(e Entry, conceal redact.Policy) plog.LogRecord {
	if conceal == redact.Full || conceal == redact.Redacted {
		return *e.Record
	}
	shown := plog.NewLogRecord()
	e.Record.CopyTo(shown)
	shown.Attributes().RemoveIf(func(key string, value pcommon.Value) bool {
		switch {
		case key == "log.record.original", strings.HasSuffix(key, "ancestry_titles"):
			return true
		case !strings.HasSuffix(key, ".title"):
			return false
		}
		title := shownTitle(strings.ReplaceAll(visible.Original(value.Str()), " ", "\x00"), conceal)
		value.SetStr(title)
		return title == ""
	})
	shown.Body().SetStr(telemetry.Sentence(e.Event, e.Target, conceal))
	return shown
}
