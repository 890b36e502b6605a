// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incidentlog

import (
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
)

// Host is what a resource says about the host.
type Host struct {
	// ID tells it from all others.
	ID, Name  string
	Addresses []string
}

// HostOf returns what a resource says about the host.
func HostOf(resource pcommon.Resource) Host {
	h := Host{}
	attributes := resource.Attributes()
	if id, ok := attributes.Get("host.id"); ok {
		h.ID = text(id)
	}
	if name, ok := attributes.Get("host.name"); ok {
		h.Name = text(name)
	}
	if h.ID != "" && h.Name != "" { // hosts that were cloned together with /etc/machine-id differ by their names only
		short, _, _ := strings.Cut(h.Name, ".")
		h.ID += "\x00" + strings.ToLower(short)
	}
	if all, ok := attributes.Get("host.ip"); ok && all.Type() == pcommon.ValueTypeSlice {
		const most = 64
		for n := range min(all.Slice().Len(), most) {
			h.Addresses = append(h.Addresses, text(all.Slice().At(n)))
		}
	} else if ok {
		h.Addresses = []string{text(all)}
	}
	return h
}

// text returns a string, or nothing for any other type: foreign records may have anything.
func text(v pcommon.Value) string {
	if v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return ""
}

// id returns the id of a user, which is a string in some attributes and a number in others.
func id(v pcommon.Value) string {
	if v.Type() == pcommon.ValueTypeInt {
		return strconv.FormatInt(v.Int(), 10)
	}
	return text(v)
}

func integer(v pcommon.Value) int64 {
	if v.Type() == pcommon.ValueTypeInt {
		return v.Int()
	}
	return 0
}

// Read reads a log record, and reports whether it is one of a signal or an end. It copies no text.
func Read(log plog.LogRecord, h *Host, r *incident.Record, now time.Time) bool {
	kind := kill.Kind(log.EventName())
	if kind == "" { // OTLP has had the name of an event in an attribute before
		if name, ok := log.Attributes().Get("event.name"); ok {
			kind = kill.Kind(text(name))
		}
	}
	if kind != kill.KindSignal && kind != kill.KindAbend && kind != kill.KindOutcome {
		return false
	}
	*r = incident.Record{
		Kind: kind, HostID: h.ID, HostName: h.Name, Addresses: h.Addresses, Time: timeOf(log, now), SignalNumber: -1,
	}
	node := ""
	for name, value := range log.Attributes().All() {
		switch name {
		case "log.record.uid":
			r.UID = text(value)
		case "kill.source":
			r.Source = text(value)
		case "kill.audit.node":
			node = text(value)
		case "kill.count":
			r.Count = integer(value)
		case "kill.last_time":
			if last, err := time.Parse(time.RFC3339Nano, text(value)); err == nil {
				r.Last = last
			}
		case "kill.signal.number":
			r.SignalNumber = integer(value)
		case "kill.signal.name":
			r.SignalName = text(value)
		case "kill.result":
			r.Failed, r.Doubtful = text(value) == "failure", text(value) == "unknown"
		case "kill.origin":
			r.Kernel = text(value) == string(kill.OriginKernel)
		case "kill.delivery":
			r.Ignored = text(value) == string(kill.DeliveryIgnored)
		case "kill.cause":
			r.Cause = text(value)
		case "kill.evidence":
			r.Evidence = text(value)
		case "kill.outcome":
			r.Outcome = text(value)
		case "kill.escalated":
			r.Escalated = value.Type() == pcommon.ValueTypeBool && value.Bool()
		case "kill.oom.cgroup":
			r.OOMCgroup = text(value)
		default:
			if !readTarget(name, value, &r.Target) {
				readActors(name, value, r)
			}
		}
	}
	if r.Unsent() {
		readUsers(log.Attributes(), &r.Target)
	}
	if node != "" && !machine.Same(node, h.Name) { // a host's log that another host keeps
		r.HostID, r.HostName, r.Addresses = h.ID+"\x00"+node, node, nil
	}
	return true
}

// latest bounds times: those after the year 2116 are taken for none, so that no sum of them overflows.
const latest = pcommon.Timestamp(1 << 62)

// timeOf returns when something happened, or else when it was seen.
func timeOf(log plog.LogRecord, now time.Time) time.Time {
	for _, at := range []pcommon.Timestamp{log.Timestamp(), log.ObservedTimestamp()} {
		if at != 0 && at < latest {
			return at.AsTime()
		}
	}
	return now
}

// readUsers reads whose the target is, which others need not know: numbers are made texts.
func readUsers(attributes pcommon.Map, p *incident.Target) {
	if user, ok := attributes.Get("kill.target.user.id"); ok {
		p.UserID = id(user)
	}
	if login, ok := attributes.Get("kill.target.audit.user.id"); ok {
		p.AuditUser = id(login)
	}
}

func readTarget(name string, value pcommon.Value, p *incident.Target) bool {
	switch name {
	case "kill.target.pid":
		p.PID = integer(value)
	case "kill.target.start_time":
		p.Start = text(value)
	case "kill.target.name":
		p.Name = text(value)
	case "kill.target.executable.path":
		p.Executable = text(value)
	case "kill.target.systemd.unit":
		p.Unit = text(value)
	case "kill.target.cgroup":
		p.Cgroup = text(value)
	case "kill.target.container.id":
		p.Container = text(value)
	case "kill.target.container.name":
		p.ContainerName = text(value)
	case "kill.target.k8s.pod.uid":
		p.PodUID = text(value)
	case "kill.target.k8s.pod.name":
		p.PodName = text(value)
	case "kill.target.k8s.namespace.name":
		p.PodNamespace = text(value)
	default:
		return false
	}
	return true
}

// readActors reads who and what is behind it.
func readActors(name string, value pcommon.Value, r *incident.Record) {
	switch name {
	case "user.id":
		r.UserID = id(value)
	case "user.name":
		r.UserName = text(value)
	case "client.address":
		r.Client = text(value)
	case "kill.session.id":
		r.Session = id(value)
	case "kill.audit.session.id":
		if r.Session == "" {
			r.Session = id(value)
		}
	case "process.pid":
		r.Sender.PID = integer(value)
	case "process.creation.time":
		r.Sender.Start = text(value)
	case "process.command":
		r.Sender.Name = text(value)
	case "process.executable.path":
		r.Sender.Path = text(value)
	case "process.user.id":
		r.Sender.UserID = id(value)
	case "process.user.name":
		r.Sender.UserName = text(value)
	case "kill.sender.audit.user.id":
		r.Sender.AuditUser = id(value)
	case "kill.sender.systemd.unit":
		r.Sender.Unit = text(value)
	case "kill.sender.mount_namespace":
		r.Sender.Foreign = true
	case "kill.requester.pid":
		r.Requester.PID = integer(value)
	case "kill.requester.name":
		r.Requester.Name = text(value)
	case "kill.requester.executable.path":
		r.Requester.Path = text(value)
	case "kill.requester.title":
		r.Requester.Title = text(value)
	case "kill.requester.systemd.unit":
		r.Requester.Unit = text(value)
	case "kill.requester.user.id":
		r.Requester.UserID = id(value)
	case "kill.requester.user.name":
		r.Requester.UserName = text(value)
	case "kill.initiator.pid":
		r.Initiator.PID = integer(value)
	case "kill.initiator.name":
		r.Initiator.Name = text(value)
	case "kill.initiator.title":
		r.Initiator.Title = text(value)
	}
}
