// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incidentlog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/incident"
)

// TestEvidence has a record say that something was inferred whenever its sentence says "probably", also if nobody is known to have
// asked for it.
func TestEvidence(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		report incident.Report
		want   any
	}{
		"a manager's cause":          {incident.Report{Shared: map[incident.Field]string{incident.Cause: "service_stop"}}, "observed"},
		"a requester":                {incident.Report{Shared: map[incident.Field]string{incident.RequesterName: "systemctl"}, Inferred: true}, "inferred"},
		"a person":                   {incident.Report{Shared: map[incident.Field]string{incident.UserName: "alice"}, Inferred: true, Act: true}, "inferred"},
		"whose session it was":       {incident.Report{Shared: map[incident.Field]string{incident.UserName: "alice"}, Inferred: true}, nil},
		"Kubernetes":                 {incident.Report{Shared: map[incident.Field]string{incident.Cause: "eviction"}, Inferred: true}, "inferred"},
		"a lack of memory":           {incident.Report{Shared: map[incident.Field]string{incident.Cause: "oom"}, Inferred: true}, "inferred"},
		"nothing that was inferred":  {incident.Report{Shared: map[incident.Field]string{incident.Cause: "crash"}}, nil},
		"what not all members share": {incident.Report{Shared: map[incident.Field]string{incident.TargetUnit: "x.service"}, Inferred: true}, nil},
	} {
		record := plog.NewLogRecord()
		tt.report.HostCount = 2
		Write(record, &tt.report, time.Time{})
		assert.Equal(t, tt.want, record.Attributes().AsRaw()["kill.evidence"], "%s: %s", name, record.Body().Str())
	}
}
