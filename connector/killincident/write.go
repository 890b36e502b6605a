// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/auditkill/auditkillreceiver/connector/killincident/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/incidentlog"
)

// write turns incidents into log records.
func write(reports []*incident.Report, version string, now time.Time) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.SetSchemaUrl(semconv.SchemaURL)
	resource.Resource().Attributes().PutStr("service.name", "auditkill")
	scope := resource.ScopeLogs().AppendEmpty()
	scope.SetSchemaUrl(semconv.SchemaURL)
	scope.Scope().SetName(metadata.ScopeName)
	scope.Scope().SetVersion(version)
	for _, r := range reports {
		incidentlog.Write(scope.LogRecords().AppendEmpty(), r, now)
	}
	return logs
}
