// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/incidentlog"
)

// withoutSignals returns a copy of what comes without signals and outcomes, of which incidents take the place: what tells that somebody has
// blinded the monitor, and records of other receivers. Who sends it may send it again, so that the original stays as it is.
func withoutSignals(logs plog.Logs) plog.Logs {
	rest := plog.NewLogs()
	logs.CopyTo(rest)
	var host incidentlog.Host
	var record incident.Record
	rest.ResourceLogs().RemoveIf(func(resource plog.ResourceLogs) bool {
		resource.ScopeLogs().RemoveIf(func(scope plog.ScopeLogs) bool {
			scope.LogRecords().RemoveIf(func(log plog.LogRecord) bool { return incidentlog.Read(log, &host, &record, time.Time{}) })
			return scope.LogRecords().Len() == 0
		})
		return resource.ScopeLogs().Len() == 0
	})
	return rest
}
