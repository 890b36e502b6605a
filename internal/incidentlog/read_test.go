// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incidentlog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/incident"
)

// Virtual machines are often copies of one, with its /etc/machine-id.
func TestHostOf(t *testing.T) {
	t.Parallel()
	of := func(attributes map[string]any) Host {
		resource := pcommon.NewResource()
		require.NoError(t, resource.Attributes().FromRaw(attributes))
		return HostOf(resource)
	}
	web1 := of(map[string]any{"host.id": "5f0c", "host.name": "web1"})
	assert.Equal(t, "web1", web1.Name)
	assert.NotEqual(t, web1.ID, of(map[string]any{"host.id": "5f0c", "host.name": "web2"}).ID, "a clone")
	assert.NotEqual(t, web1.ID, of(map[string]any{"host.id": "beef", "host.name": "web1"}).ID, "a namesake")
	assert.Equal(t, web1.ID, of(map[string]any{"host.id": "5f0c", "host.name": "WEB1.example.com"}).ID, "the same host")
	assert.Equal(t, Host{ID: "5f0c"}, of(map[string]any{"host.id": "5f0c", "host.name": 7}))
	assert.Equal(t, Host{Name: "web1"}, of(map[string]any{"host.name": "web1"}))
}

// What the kernel has sent, nobody else has.
func TestReadOrigin(t *testing.T) {
	t.Parallel()
	for origin, kernel := range map[any]bool{"kernel": true, "user": false, 7: false} {
		log := plog.NewLogRecord()
		log.SetEventName("kill.signal")
		require.NoError(t, log.Attributes().FromRaw(map[string]any{"kill.origin": origin}))
		var r incident.Record
		require.True(t, Read(log, &Host{}, &r, time.Time{}))
		assert.Equal(t, kernel, r.Kernel, origin)
	}
}

// Whose a target is matters if nobody has sent the signal.
func TestReadUserOfTarget(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		event  string
		more   map[string]any
		target incident.Target
	}{
		{"kill.abend", nil, incident.Target{UserID: "1000", AuditUser: "1001"}},
		{"kill.signal", map[string]any{"kill.origin": "kernel", "process.pid": 7}, incident.Target{UserID: "1000", AuditUser: "1001"}},
		{"kill.outcome", nil, incident.Target{UserID: "1000", AuditUser: "1001"}},
		{"kill.signal", map[string]any{"process.pid": 7}, incident.Target{}},
	} {
		log := plog.NewLogRecord()
		require.NoError(t, log.Attributes().FromRaw(map[string]any{"kill.target.user.id": 1000, "kill.target.audit.user.id": 1001}))
		for name, value := range tt.more {
			require.NoError(t, log.Attributes().PutEmpty(name).FromRaw(value))
		}
		log.SetEventName(tt.event)
		var r incident.Record
		require.True(t, Read(log, &Host{}, &r, time.Time{}))
		assert.Equal(t, tt.target, r.Target, tt.event)
	}
}
