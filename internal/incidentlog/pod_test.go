// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incidentlog

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/incident"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// TestReadPodEvent reads events in the shapes of the receivers k8s_events (k8s_event_to_logdata.go) and k8sobjects
// (unstructured_to_logdata.go) of opentelemetry-collector-contrib.
func TestReadPodEvent(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]*incident.PodEvent{
		"k8s_events.yaml": {
			{Namespace: "shop", UID: "uid of web", Time: noon, Cause: incident.PodLivenessProbe},
			nil, // a failed probe stops nothing yet
			{Namespace: "shop", UID: "uid of db", Time: noon.Add(time.Second), Cause: incident.PodEviction},
			nil, // of a node
		},
		"k8sobjects.yaml": {
			{Namespace: "shop", Proven: true, UID: "uid of web", Time: noon, Cause: incident.PodDrain, By: "cluster-autoscaler"},
			{Namespace: "shop", Proven: true, UID: "uid of db", Time: noon.Add(time.Second), Cause: incident.PodPreemption, By: "default-scheduler"},
			{Namespace: "shop", Proven: true, UID: "uid of log", Time: noon.Add(2 * time.Second), Cause: incident.PodEviction},
			nil, // an event that is deleted
			nil, // something else than an event
		},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			logs, err := golden.ReadLogs(filepath.Join("testdata", file))
			require.NoError(t, err)
			var got []*incident.PodEvent
			for _, resource := range logs.ResourceLogs().All() {
				for _, log := range resource.ScopeLogs().At(0).LogRecords().All() {
					e, ok := ReadPodEvent(resource.Resource(), log, noon.Add(time.Hour))
					assert.Equal(t, ok, e != nil)
					if ok {
						e.Time = e.Time.UTC()
					}
					got = append(got, e)
					var r incident.Record
					assert.False(t, Read(log, &Host{}, &r, noon), "it is no signal")
				}
			}
			assert.Equal(t, want, got)
		})
	}
}

// TestReadPodEventOfAnything has fields of all types.
func TestReadPodEventOfAnything(t *testing.T) {
	t.Parallel()
	for name, fill := range map[string]func(pcommon.Value){
		"empty": func(pcommon.Value) {}, "text": func(v pcommon.Value) { v.SetStr("x") }, "number": func(v pcommon.Value) { v.SetInt(1) },
		"list": func(v pcommon.Value) { v.SetEmptySlice().AppendEmpty().SetStr("x") }, "map": func(v pcommon.Value) { v.SetEmptyMap() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := plog.NewLogRecord()
			log.Attributes().PutStr("k8s.resource.name", "events")
			object := log.Body().SetEmptyMap().PutEmptyMap("object")
			for _, field := range []string{"involvedObject", "regarding", "reason", "message", "source", "lastTimestamp"} {
				fill(object.PutEmpty(field))
			}
			_, ok := ReadPodEvent(pcommon.NewResource(), log, noon)
			assert.False(t, ok)
			fill(log.Body())
			fill(log.Attributes().PutEmpty("k8s.event.reason"))
			_, ok = ReadPodEvent(pcommon.NewResource(), log, noon)
			assert.False(t, ok)
		})
	}
}

// TestReadEvictionThatIsCanceled has Kubernetes tell with one reason that it evicts a pod for a taint, and that it does not after all
// (tainteviction/taint_eviction.go of Kubernetes).
func TestReadEvictionThatIsCanceled(t *testing.T) {
	t.Parallel()
	const canceling = "Cancelling deletion of Pod " //nolint:misspell // as Kubernetes writes it
	for message, want := range map[string]bool{
		"Marking for deletion Pod shop/web-0": true, canceling + "shop/web-0": false, "": false, canceling + "Marking for deletion/web-0": false,
	} {
		log, resource := plog.NewLogRecord(), pcommon.NewResource()
		resource.Attributes().PutStr("k8s.object.kind", "Pod")
		resource.Attributes().PutStr("k8s.object.uid", "uid of web")
		log.Attributes().PutStr("k8s.event.reason", "TaintManagerEviction")
		log.Body().SetStr(message)
		_, ok := ReadPodEvent(resource, log, noon)
		assert.Equal(t, want, ok, message)
	}
}
