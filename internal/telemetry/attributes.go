// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"path"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// attributes writes the attributes of a record. It leaves out what is not known, so that every
// attribute is true.
//
// The keys of a record are all different, so it does not check for each whether it exists
// already, as pcommon.Map would.
type attributes struct{ m *xpdata.MapBuilder }

// known adds a string that is never empty and always valid.
func (a attributes) known(key, value string) { a.m.AppendEmpty(key).SetStr(value) }

// text adds a string unless it is empty. A file name or a command may have any bytes, but OTLP's
// strings are UTF-8, and exporters print them as they are.
func (a attributes) text(key, value string) {
	if value != "" {
		a.known(key, visible.Text(value))
	}
}

// written adds a string of ours, which needs no escapes, unless it is empty.
func (a attributes) written(key, value string) {
	if value != "" {
		a.known(key, value)
	}
}

// list adds strings of ours.
func (a attributes) list(key string, values []string) {
	list := a.m.AppendEmpty(key).SetEmptySlice()
	list.EnsureCapacity(len(values))
	for _, value := range values {
		list.AppendEmpty().SetStr(value)
	}
}

// lines is text for what has one record per line.
func (a attributes) lines(key, value string) {
	if value != "" {
		a.known(key, visible.Lines(value))
	}
}

func (a attributes) integer(key string, value int64) { a.m.AppendEmpty(key).SetInt(value) }

// number adds a process id; there is no process 0.
func (a attributes) number(key string, value int) {
	if value != 0 {
		a.integer(key, int64(value))
	}
}

func (a attributes) id(key string, id kill.ID) {
	if id.Known {
		a.integer(key, int64(id.Value))
	}
}

func (a attributes) user(idKey, nameKey string, user kill.User) {
	a.id(idKey, user.ID)
	a.text(nameKey, user.Name)
}

// actor adds the user behind an event. In OpenTelemetry's conventions, its id is a string,
// unlike those of a process.
func (a attributes) actor(user kill.User) {
	if user.ID.Known {
		a.known("user.id", strconv.FormatUint(uint64(user.ID.Value), 10))
	}
	a.text("user.name", user.Name)
}

func (a attributes) signal(e *kill.Event, target *kill.Process) {
	if e.SignalKnown {
		a.integer("kill.signal.number", int64(e.Signal))
		a.known("kill.signal.name", e.Signal.Name())
	}
	a.text("kill.signal.code", e.Code)
	if fault := triggerOf(e).Fault; fault.Known {
		a.known("kill.fault.address", string(appendAddressOf(nil, fault)))
	}
	a.text("kill.syscall", e.Syscall)
	a.text("kill.origin", string(e.Origin))
	a.text("kill.cause", string(e.Cause))
	a.text("kill.scope", string(e.Scope))
	if e.Tamper != nil {
		a.known("kill.tamper.action", string(e.Tamper.Action))
		a.text("kill.tamper.rule", e.Tamper.Rule)
		if e.Tamper.Duration > 0 {
			a.m.AppendEmpty("kill.duration").SetDouble(seconds(e.Tamper.Duration))
		}
	}
	result := e.ResultFor(target)
	if result.Known || e.Kind == kill.KindSignal || e.Kind == kill.KindAbend {
		a.known("kill.result", result.Name())
	}
	a.text("error.type", result.Error)
	a.text("kill.delivery", string(e.DeliveryTo(target)))
	if e.Count > 1 {
		a.integer("kill.count", int64(e.Count))
		a.known("kill.last_time", e.LastTime.UTC().Format(time.RFC3339Nano))
	}
}

// thread adds the thread that sent the signal or was addressed, unless it is the first one of its
// process, which has the id of the process.
func (a attributes) thread(key string, p *kill.Process) {
	if p.ThreadID != p.PID {
		a.number(key, p.ThreadID)
	}
}

func (a attributes) sender(p *kill.Process, person kill.User, t *party) {
	a.number("process.pid", p.PID)
	a.thread("thread.id", p)
	a.number("process.parent_pid", p.ParentPID)
	a.text("process.command", p.Command)
	if p.Executable != "" {
		a.text("process.executable.path", p.Executable)
		a.text("process.executable.name", path.Base(p.Executable))
	}
	a.user("process.user.id", "process.user.name", p.User)
	a.user("process.real_user.id", "process.real_user.name", p.RealUser)
	a.user("process.saved_user.id", "process.saved_user.name", p.SavedUser)
	a.actor(person)
	a.id("kill.sender.audit.user.id", p.Login.ID)
	a.text("kill.sender.container.user.name", p.ContainerUser)
	if p.Home.Program == kill.WhoseOther && p.Executable != "" {
		a.known("kill.sender.mount_namespace", "other")
	}
	a.written("process.title", t.title)
	a.written("process.creation.time", t.start)
	if i := p.Instance; i != nil {
		a.text("container.id", i.Container)
		a.text("k8s.pod.uid", i.Pod)
		a.names("", p.Names)
		a.text("kill.sender.systemd.unit", i.Unit)
		a.text("process.linux.cgroup", i.Cgroup)
	}
}

// names adds what a container and its pod are called, by OpenTelemetry's conventions below a prefix. Those have a list of
// tags, of which one was used.
func (a attributes) names(prefix string, n *kill.Names) {
	if n == nil {
		return
	}
	a.text(prefix+"container.name", n.Container)
	a.text(prefix+"container.image.name", n.Image)
	if n.Tag != "" {
		a.m.AppendEmpty(prefix + "container.image.tags").SetEmptySlice().AppendEmpty().SetStr(visible.Text(n.Tag))
	}
	a.text(prefix+"k8s.container.name", n.PodContainer)
	a.text(prefix+"k8s.pod.name", n.Pod)
	a.text(prefix+"k8s.namespace.name", n.Namespace)
}

func (a attributes) target(e *kill.Event, target *kill.Process, t *party) {
	if e.TargetCount >= 0 {
		a.integer("kill.target.count", int64(e.TargetCount))
	}
	a.requested(e)
	if target == nil {
		// There is no target, but the sender named a process. If the call did not fail, a
		// record was lost, and the pid may be of another namespace. If the sender was refused
		// (EPERM), it is not known either whether the pid is one of this host.
		if e.Result.Failed() && e.Result.Error != "EPERM" && namesProcess(e) && e.Sender.Home.PIDs != kill.WhoseOther {
			a.number("kill.target.pid", e.Requested)
		}
		return
	}
	a.number("kill.target.pid", target.PID)
	a.thread("kill.target.thread.id", target)
	a.text("kill.target.name", target.Command)
	a.text("kill.target.executable.path", target.Executable)
	a.user("kill.target.user.id", "kill.target.user.name", target.User)
	a.text("kill.target.container.user.name", target.ContainerUser)
	a.id("kill.target.audit.user.id", target.Login.ID)
	a.id("kill.target.audit.session.id", target.Session)
	a.text("kill.target.selinux.label", target.Label)
	a.written("kill.target.title", t.targetTitle)
	a.written("kill.target.start_time", t.targetStart)
	if i := target.Instance; i != nil {
		a.text("kill.target.container.id", i.Container)
		a.text("kill.target.k8s.pod.uid", i.Pod)
		a.names("kill.target.", target.Names)
		a.text("kill.target.systemd.unit", i.Unit)
		a.text("kill.target.cgroup", i.Cgroup)
	}
}

// requested adds the number that a sender in another pid namespace named, which means another
// process on the host.
func (a attributes) requested(e *kill.Event) {
	if e.Sender.Home.PIDs == kill.WhoseOther && namesProcess(e) {
		a.number("kill.target.vpid", e.Requested)
	}
}

// namesProcess reports whether a call names one process, if only by its threads.
func namesProcess(e *kill.Event) bool {
	return e.Scope == kill.ScopeProcess || e.Syscall == "tgkill" || e.Syscall == "rt_tgsigqueueinfo"
}

func (a attributes) audit(e *kill.Event) {
	if e.Audit.Recorded && !e.Audit.Unnumbered {
		a.integer("kill.audit.serial", int64(e.Audit.Serial))
	}
	a.id("kill.audit.session.id", e.Sender.Session)
	if len(e.Audit.Keys) > 0 {
		keys := a.m.AppendEmpty("kill.audit.key").SetEmptySlice()
		keys.EnsureCapacity(len(e.Audit.Keys))
		for _, key := range e.Audit.Keys {
			keys.AppendEmpty().SetStr(visible.Text(key))
		}
	}
	a.text("kill.audit.tty", e.Audit.TTY)
	a.text("kill.audit.subject", e.Audit.Subject)
	a.text("kill.audit.arch", e.Audit.Arch)
	a.text("kill.audit.node", e.Audit.Node)
}
