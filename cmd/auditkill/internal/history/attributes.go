// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// setters read the attributes (docs/events.md, docs/outcomes.md). Those of other versions are left alone, and so are
// values of another type, which read as empty.
var setters = map[string]func(*reading, pcommon.Value){
	"log.record.uid": func(r *reading, v pcommon.Value) { r.uid = v.Str() },
	"log.file.path":  func(r *reading, v pcommon.Value) { r.event.File = name(v) },
	"kill.source":    func(r *reading, v pcommon.Value) { r.event.Source = word(v) },
	"kill.complete":  func(r *reading, v pcommon.Value) { r.event.Complete = v.Bool() },

	"kill.signal.number": func(r *reading, v pcommon.Value) {
		if n := v.Int(); n >= 0 && n <= maxSignal {
			r.event.Signal, r.event.SignalKnown = kill.Signal(n), true
		}
	},
	"kill.signal.code": func(r *reading, v pcommon.Value) { r.event.Code = word(v) },
	"kill.count":       func(r *reading, v pcommon.Value) { r.event.Count = number(v) },
	"kill.last_time":   func(r *reading, v pcommon.Value) { r.event.LastTime = instant(v) },
	"kill.syscall":     func(r *reading, v pcommon.Value) { r.event.Syscall = word(v) },
	"kill.origin":      func(r *reading, v pcommon.Value) { r.event.Origin = kill.Origin(word(v)) },
	"kill.cause":       func(r *reading, v pcommon.Value) { r.event.Cause = kill.Cause(word(v)) },
	"kill.scope":       func(r *reading, v pcommon.Value) { r.event.Scope = kill.Scope(word(v)) },
	"kill.result":      func(r *reading, v pcommon.Value) { r.result = word(v) },
	"error.type":       func(r *reading, v pcommon.Value) { r.errorName = word(v) },
	"kill.delivery":    func(r *reading, v pcommon.Value) { r.event.Delivery = kill.Delivery(word(v)) },

	"kill.tamper.action": func(r *reading, v pcommon.Value) { tamper(r).Action = kill.TamperAction(word(v)) },
	"kill.tamper.rule":   func(r *reading, v pcommon.Value) { tamper(r).Rule = name(v) },

	"kill.target.count":                func(r *reading, v pcommon.Value) { r.event.TargetCount = number(v) },
	"kill.target.pid":                  func(r *reading, v pcommon.Value) { r.pid = number(v) },
	"kill.target.thread.id":            func(r *reading, v pcommon.Value) { r.targetOf().ThreadID = number(v) },
	"kill.target.name":                 func(r *reading, v pcommon.Value) { r.targetOf().Command = name(v) },
	"kill.target.executable.path":      func(r *reading, v pcommon.Value) { r.targetOf().Executable = name(v) },
	"kill.target.user.id":              func(r *reading, v pcommon.Value) { r.targetOf().User.ID = id(v) },
	"kill.target.user.name":            func(r *reading, v pcommon.Value) { r.targetOf().User.Name = name(v) },
	"kill.target.container.user.name":  func(r *reading, v pcommon.Value) { r.targetOf().ContainerUser = name(v) },
	"kill.target.audit.user.id":        func(r *reading, v pcommon.Value) { r.targetOf().Login.ID = id(v) },
	"kill.target.audit.session.id":     func(r *reading, v pcommon.Value) { r.targetOf().Session = id(v) },
	"kill.target.selinux.label":        func(r *reading, v pcommon.Value) { r.targetOf().Label = name(v) },
	"kill.target.title":                func(r *reading, v pcommon.Value) { r.targetInstance().CommandLine = title(v) },
	"kill.target.start_time":           func(r *reading, v pcommon.Value) { r.targetInstance().Start = instant(v) },
	"kill.target.container.id":         func(r *reading, v pcommon.Value) { r.targetInstance().Container = name(v) },
	"kill.target.k8s.pod.uid":          func(r *reading, v pcommon.Value) { r.targetInstance().Pod = name(v) },
	"kill.target.systemd.unit":         func(r *reading, v pcommon.Value) { r.targetInstance().Unit = name(v) },
	"kill.target.cgroup":               func(r *reading, v pcommon.Value) { r.targetInstance().Cgroup = name(v) },
	"process.pid":                      func(r *reading, v pcommon.Value) { r.event.Sender.PID = number(v) },
	"thread.id":                        func(r *reading, v pcommon.Value) { r.event.Sender.ThreadID = number(v) },
	"process.parent_pid":               func(r *reading, v pcommon.Value) { r.event.Sender.ParentPID = number(v) },
	"process.command":                  func(r *reading, v pcommon.Value) { r.event.Sender.Command = name(v) },
	"process.executable.path":          func(r *reading, v pcommon.Value) { r.event.Sender.Executable = name(v) },
	"process.title":                    func(r *reading, v pcommon.Value) { r.event.Sender.Title = title(v) },
	"process.creation.time":            func(r *reading, v pcommon.Value) { r.senderInstance().Start = instant(v) },
	"process.user.id":                  func(r *reading, v pcommon.Value) { r.event.Sender.User.ID = id(v) },
	"process.user.name":                func(r *reading, v pcommon.Value) { r.event.Sender.User.Name = name(v) },
	"process.real_user.id":             func(r *reading, v pcommon.Value) { r.event.Sender.RealUser.ID = id(v) },
	"process.real_user.name":           func(r *reading, v pcommon.Value) { r.event.Sender.RealUser.Name = name(v) },
	"process.saved_user.id":            func(r *reading, v pcommon.Value) { r.event.Sender.SavedUser.ID = id(v) },
	"process.saved_user.name":          func(r *reading, v pcommon.Value) { r.event.Sender.SavedUser.Name = name(v) },
	"kill.sender.audit.user.id":        func(r *reading, v pcommon.Value) { r.event.Sender.Login.ID = id(v) },
	"kill.sender.container.user.name":  func(r *reading, v pcommon.Value) { r.event.Sender.ContainerUser = name(v) },
	"kill.sender.systemd.unit":         func(r *reading, v pcommon.Value) { r.senderInstance().Unit = name(v) },
	"kill.sender.mount_namespace":      func(r *reading, _ pcommon.Value) { r.event.Sender.Home.Program = kill.WhoseOther },
	"container.id":                     func(r *reading, v pcommon.Value) { r.senderInstance().Container = name(v) },
	"k8s.pod.uid":                      func(r *reading, v pcommon.Value) { r.senderInstance().Pod = name(v) },
	"process.linux.cgroup":             func(r *reading, v pcommon.Value) { r.senderInstance().Cgroup = name(v) },
	"user.id":                          func(r *reading, v pcommon.Value) { r.person.ID = id(v) },
	"user.name":                        func(r *reading, v pcommon.Value) { r.person.Name = name(v) },
	"kill.evidence":                    func(r *reading, v pcommon.Value) { r.evidence = kill.Evidence(word(v)) },
	"kill.requester.candidates":        func(r *reading, v pcommon.Value) { r.candidates = number(v) },
	"kill.requester.pid":               func(r *reading, v pcommon.Value) { r.requesterOf().PID = number(v) },
	"kill.requester.parent_pid":        func(r *reading, v pcommon.Value) { r.requesterOf().ParentPID = number(v) },
	"kill.requester.name":              func(r *reading, v pcommon.Value) { r.requesterOf().Command = name(v) },
	"kill.requester.executable.path":   func(r *reading, v pcommon.Value) { r.requesterOf().Executable = name(v) },
	"kill.requester.mount_namespace":   func(r *reading, _ pcommon.Value) { r.requesterOf().Home.Program = kill.WhoseOther },
	"kill.requester.title":             func(r *reading, v pcommon.Value) { r.requesterOf().Title = title(v) },
	"kill.requester.user.id":           func(r *reading, v pcommon.Value) { r.requesterOf().User.ID = id(v) },
	"kill.requester.user.name":         func(r *reading, v pcommon.Value) { r.requesterOf().User.Name = name(v) },
	"kill.requester.systemd.unit":      func(r *reading, v pcommon.Value) { r.requesterInstance().Unit = name(v) },
	"kill.requester.container.id":      func(r *reading, v pcommon.Value) { r.requesterInstance().Container = name(v) },
	"kill.initiator.pid":               func(r *reading, v pcommon.Value) { r.initiatorOf().PID = number(v) },
	"kill.initiator.name":              func(r *reading, v pcommon.Value) { r.initiatorOf().Command = name(v) },
	"kill.initiator.title":             func(r *reading, v pcommon.Value) { r.initiatorOf().Title = title(v) },
	"client.address":                   func(r *reading, v pcommon.Value) { r.sessionOf().Address = name(v) },
	"client.port":                      func(r *reading, v pcommon.Value) { r.sessionOf().Port = number(v) },
	"kill.session.id":                  func(r *reading, v pcommon.Value) { r.sessionOf().ID = name(v) },
	"kill.session.service":             func(r *reading, v pcommon.Value) { r.sessionOf().Service = name(v) },
	"kill.session.tty":                 func(r *reading, v pcommon.Value) { r.sessionOf().TTY = name(v) },
	"kill.session.user.name":           func(r *reading, v pcommon.Value) { r.sessionOf().UserName = name(v) },
	"kill.outcome":                     func(r *reading, v pcommon.Value) { r.outcome = kill.Verdict(word(v)) },
	"process.exit.code":                func(r *reading, v pcommon.Value) { r.exitCode = number(v) },
	"kill.exit.signal.name":            func(r *reading, v pcommon.Value) { r.exitSignal = signalNamed(v) },
	"kill.duration":                    func(r *reading, v pcommon.Value) { r.setDuration(v.Double()) },
	"kill.escalated":                   func(r *reading, v pcommon.Value) { r.escalated = v.Bool() },
	"kill.last_signal.name":            func(r *reading, v pcommon.Value) { r.lastSignal = signalNamed(v) },
	"kill.last_cause":                  func(r *reading, v pcommon.Value) { r.lastCause = kill.Cause(word(v)) },
	"kill.target.last_name":            func(r *reading, v pcommon.Value) { r.lastName = name(v) },
	"kill.last_sender.pid":             func(r *reading, v pcommon.Value) { r.lastSenderOf().PID = number(v) },
	"kill.last_sender.name":            func(r *reading, v pcommon.Value) { r.lastSenderOf().Command = name(v) },
	"kill.last_sender.executable.path": func(r *reading, v pcommon.Value) { r.lastSenderOf().Executable = name(v) },
	"kill.last_sender.user.id":         func(r *reading, v pcommon.Value) { r.lastSenderOf().User.ID = id(v) },
	"kill.last_sender.audit.user.id":   func(r *reading, v pcommon.Value) { r.lastSenderOf().Login.ID = id(v) },
	"kill.last_sender.user.name":       func(r *reading, v pcommon.Value) { r.lastSenderOf().User.Name = name(v) },
	"kill.last_sender.audit.user.name": func(r *reading, v pcommon.Value) { r.lastSenderOf().Login.Name = name(v) },
	"kill.audit.session.id":            func(r *reading, v pcommon.Value) { r.event.Sender.Session = id(v) },
	"kill.audit.tty":                   func(r *reading, v pcommon.Value) { r.event.Audit.TTY = name(v) },
	"kill.audit.node":                  func(r *reading, v pcommon.Value) { r.event.Audit.Node = name(v) },
	"kill.audit.serial": func(r *reading, v pcommon.Value) {
		r.event.Audit.Serial, r.event.Audit.Recorded = uint32(v.Int()), true
	},
	"kill.audit.key": func(r *reading, v pcommon.Value) {
		if v.Type() != pcommon.ValueTypeSlice {
			return
		}
		for _, key := range v.Slice().All() {
			r.event.Audit.Keys = append(r.event.Audit.Keys, name(key))
		}
	},
}

// maxSignal is the largest signal of Linux.
const maxSignal = 64

func tamper(r *reading) *kill.Tamper {
	if r.event.Tamper == nil {
		r.event.Tamper = &kill.Tamper{}
	}
	return r.event.Tamper
}

// setDuration reads seconds.
func (r *reading) setDuration(seconds float64) {
	const longest = 100 * 365 * 24 * time.Hour
	if math.IsNaN(seconds) || seconds < 0 || seconds > longest.Seconds() {
		return
	}
	r.duration, r.measured = time.Duration(math.Round(seconds*float64(time.Second))), true
}
