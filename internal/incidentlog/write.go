// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incidentlog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// EventName is the name of an incident's records.
const EventName = "kill.incident"

// Write makes a record that of an incident. Two records of the same state of one have the same log.record.uid.
func Write(record plog.LogRecord, r *incident.Report, now time.Time) {
	record.SetEventName(EventName)
	record.SetTimestamp(pcommon.Timestamp(r.End.UnixNano()))
	record.SetObservedTimestamp(pcommon.NewTimestampFromTime(now))
	severity := severityOf(r)
	record.SetSeverityNumber(severity)
	record.SetSeverityText(strings.ToUpper(severity.String()))
	record.Body().SetStr(r.Sentence())

	a := record.Attributes()
	a.PutStr("event.name", EventName)
	a.PutStr("kill.incident.id", r.ID)
	a.PutStr("kill.incident.state", string(r.State))
	if r.MergedInto != "" {
		a.PutStr("kill.incident.merged_into", r.MergedInto)
	}
	putList(a, "kill.incident.joined_by", r.JoinedBy)
	a.PutStr("kill.incident.start_time", r.Start.UTC().Format(time.RFC3339Nano))
	a.PutDouble("kill.incident.duration", float64(r.End.Sub(r.Start))/float64(time.Second))
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"host_count", int64(r.HostCount)},
		{"target_count", int64(r.TargetCount)},
		{"signal_count", r.SignalCount},
		{"exited", int64(r.Exited)},
		{"killed", int64(r.Killed)},
		{"core_dumped", int64(r.CoreDumped)},
		{"survived", int64(r.Survived)},
		{"escalated", int64(r.Escalated)},
		{"failed", r.Failed},
	} {
		a.PutInt("kill.incident."+n.name, n.value)
	}
	putList(a, "kill.incident.hosts", r.Hosts)
	putList(a, "kill.incident.targets", r.Targets)
	putList(a, "kill.incident.path", r.Path)
	putShared(a, r)
	a.PutBool("kill.complete", r.Complete)
	a.PutStr("log.record.uid", uid(r))
}

// putShared adds what all members have in common, under its usual name.
func putShared(a pcommon.Map, r *incident.Report) {
	behind := false
	for f := range incident.Fields {
		value, shared := r.Shared[f]
		if !shared {
			continue
		}
		name, number := f.Attribute()
		if !number {
			a.PutStr(name, value)
		} else if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			a.PutInt(name, n)
		}
		behind = behind || f == incident.RequesterName || f == incident.Cause && kill.Cause(value).Managed()
	}
	switch {
	case r.Probable(), behind && r.Inferred:
		a.PutStr("kill.evidence", string(kill.EvidenceInferred))
	case behind:
		a.PutStr("kill.evidence", string(kill.EvidenceObserved))
	}
}

func putList(a pcommon.Map, name string, values []string) {
	if len(values) == 0 {
		return
	}
	list := a.PutEmptySlice(name)
	list.EnsureCapacity(len(values))
	for _, value := range values {
		list.AppendEmpty().SetStr(value)
	}
}

// severityOf is that of the worst that has happened.
func severityOf(r *incident.Report) plog.SeverityNumber {
	cause := kill.Cause(r.Shared[incident.Cause])
	switch {
	case r.CoreDumped > 0, cause == kill.CauseOOM, cause == kill.CauseCrash, cause == kill.CauseSeccomp:
		return plog.SeverityNumberError
	case r.OnlyTried(), cause == kill.CauseServiceReload:
		return plog.SeverityNumberInfo
	}
	return plog.SeverityNumberWarn
}

// uid is the same for the same state of an incident, so that a record that comes twice can be told.
func uid(r *incident.Report) string {
	// Formatting sorts the keys of a map.
	text := fmt.Appendf(nil, "%s %s %s %d %q %v %v %q %t", r.ID, r.State, r.MergedInto, r.End.UnixNano(), r.Sentence(), r.JoinedBy,
		r.Shared, r.Path, r.Complete)
	text = fmt.Appendf(text, " %d %d %d %d %d %d %d %d %d", r.HostCount, r.TargetCount, r.SignalCount, r.Failed, r.Exited, r.Killed,
		r.CoreDumped, r.Survived, r.Escalated)
	sum := sha256.Sum256(text)
	const length = 16
	return hex.EncodeToString(sum[:length])
}
