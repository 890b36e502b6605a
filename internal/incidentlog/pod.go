// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incidentlog

import (
	"cmp"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/incident"
)

// podEvent is what is read of an event of Kubernetes, whichever receiver has sent it.
type podEvent struct {
	kind, namespace, uid, reason, message, component string
	// proven is true if the namespace is that of the event itself.
	proven bool
	at     time.Time
}

// ReadPodEvent reads a log record of contrib's receivers k8s_events and k8sobjects, and reports whether it is an event of Kubernetes
// that says why the processes of a pod are stopped.
func ReadPodEvent(resource pcommon.Resource, log plog.LogRecord, now time.Time) (*incident.PodEvent, bool) {
	e, ok := ofEvents(resource, log, now)
	if !ok {
		if e, ok = ofObjects(log, now); !ok {
			return nil, false
		}
	}
	cause := e.cause()
	if e.kind != "Pod" || e.uid == "" || cause == "" {
		return nil, false
	}
	by := e.component
	if by == "kubelet" { // it is on each node, and says nothing
		by = ""
	}
	return &incident.PodEvent{Namespace: e.namespace, Proven: e.proven, UID: e.uid, Time: e.at, Cause: cause, By: by}, true
}

// cause returns what has happened to the pod; empty for what does not stop it. A probe that has failed does not: it does so several
// times before the kubelet gives up.
func (e *podEvent) cause() string {
	switch e.reason {
	case "Killing":
		switch {
		case strings.Contains(e.message, "failed liveness probe"):
			return incident.PodLivenessProbe
		case strings.Contains(e.message, "failed startup probe"):
			return incident.PodStartupProbe
		}
	case "Evicted":
		if strings.HasPrefix(e.component, "karpenter") {
			return incident.PodDrain
		}
		return incident.PodEviction
	case "Preempted", "Preempting":
		return incident.PodPreemption
	case "TaintManagerEviction":
		if strings.HasPrefix(e.message, "Marking for deletion") { // it tells with the same reason that it does not evict the pod after all
			return incident.PodDrain
		}
	case "ScaleDown":
		return incident.PodDrain
	}
	return ""
}

// ofEvents reads a record of the receiver k8s_events.
func ofEvents(resource pcommon.Resource, log plog.LogRecord, now time.Time) (e podEvent, ok bool) {
	reason, ok := log.Attributes().Get("k8s.event.reason")
	if !ok {
		return e, false
	}
	of := func(name string) string { return textOf(resource.Attributes(), name) }
	return podEvent{
		kind: of("k8s.object.kind"), namespace: textOf(log.Attributes(), "k8s.namespace.name"), uid: of("k8s.object.uid"), reason: text(reason), message: text(log.Body()),
		at: timeOf(log, now),
	}, true
}

// ofObjects reads a record of the receiver k8sobjects: an event of the API v1 or events.k8s.io/v1, alone or in a change. Who may
// write events in one namespace may write there that they are about a pod of another one.
func ofObjects(log plog.LogRecord, now time.Time) (e podEvent, ok bool) {
	if textOf(log.Attributes(), "k8s.resource.name") != "events" || log.Body().Type() != pcommon.ValueTypeMap {
		return e, false
	}
	object := log.Body().Map()
	if textOf(object, "type") == "DELETED" { // the event is old
		return e, false
	}
	if inner, ok := object.Get("object"); ok && inner.Type() == pcommon.ValueTypeMap {
		object = inner.Map()
	}
	about := mapOf(object, "involvedObject", "regarding")
	if textOf(about, "namespace") != textOf(mapOf(object, "metadata"), "namespace") {
		return e, false
	}
	return podEvent{
		proven: true,
		kind:   textOf(about, "kind"), namespace: textOf(about, "namespace"), uid: textOf(about, "uid"), reason: textOf(object, "reason"),
		message: cmp.Or(textOf(object, "message"), textOf(object, "note")),
		component: cmp.Or(textOf(object, "reportingComponent"), textOf(object, "reportingController"),
			textOf(mapOf(object, "source", "deprecatedSource"), "component")),
		at: timeOfObject(object, timeOf(log, now)),
	}, true
}

// timeOfObject returns when an event has happened last.
func timeOfObject(object pcommon.Map, otherwise time.Time) time.Time {
	for _, name := range []string{"lastTimestamp", "deprecatedLastTimestamp", "eventTime", "firstTimestamp"} {
		if at, err := time.Parse(time.RFC3339Nano, textOf(object, name)); err == nil && at.Year() < latest.AsTime().Year() && at.Unix() > 0 {
			return at
		}
	}
	return otherwise
}

func textOf(m pcommon.Map, name string) string {
	if v, ok := m.Get(name); ok {
		return text(v)
	}
	return ""
}

// mapOf returns the first of the maps that is there; an empty one if none is.
func mapOf(m pcommon.Map, names ...string) pcommon.Map {
	for _, name := range names {
		if v, ok := m.Get(name); ok && v.Type() == pcommon.ValueTypeMap {
			return v.Map()
		}
	}
	return pcommon.NewMap()
}
