// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"cmp"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// attributes writes the attributes of a record. It leaves out what is not known, so that every
// attribute is true.
//
// The keys of a record are all different, so it does not check for each whether it exists
// already, as pcommon.Map would.
type attributes struct{ m *xpdata.MapBuilder }

// known adds a string that is never empty and always valid.
func (a attributes) known(key, value string) { a.m.AppendEmpty(key).SetStr(value) }

// text adds a string unless it is empty. OTLP's strings are UTF-8, but a file name or a command
// may have any bytes.
func (a attributes) text(key, value string) {
	if value == "" {
		return
	}
	if !utf8.ValidString(value) {
		value = strings.ToValidUTF8(value, "\uFFFD")
	}
	a.known(key, value)
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

// actor adds the user behind the sender. In OpenTelemetry's conventions, its id is a string,
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
}

// thread adds the thread that sent the signal or was addressed, unless it is the first one of its
// process, which has the id of the process.
func (a attributes) thread(key string, p *kill.Process) {
	if p.ThreadID != p.PID {
		a.number(key, p.ThreadID)
	}
}

func (a attributes) sender(p *kill.Process, t *party) {
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
	a.actor(p.Login)
	a.text("process.title", t.title)
	a.text("process.creation.time", t.start)
	if i := p.Instance; i != nil {
		a.text("container.id", i.Container)
		a.text("k8s.pod.uid", i.Pod)
		a.text("kill.sender.systemd.unit", i.Unit)
		a.text("process.linux.cgroup", i.Cgroup)
	}
}

// ancestry adds the parents of the sender in the form that sentences use.
func (a attributes) ancestry(parents []kill.Ancestor, names memo[kill.Ancestor]) {
	if len(parents) == 0 {
		return
	}
	list := a.m.AppendEmpty("kill.sender.ancestry").SetEmptySlice()
	list.EnsureCapacity(len(parents))
	for _, parent := range parents {
		list.AppendEmpty().SetStr(names.get(parent))
	}
}

func formatAncestor(a kill.Ancestor) string {
	command := strings.ToValidUTF8(cmp.Or(a.Command, "?"), "\uFFFD")
	return command + "[" + strconv.Itoa(a.PID) + "]"
}

func (a attributes) target(e *kill.Event, target *kill.Process, t *party) {
	if e.TargetCount >= 0 {
		a.integer("kill.target.count", int64(e.TargetCount))
	}
	if target == nil {
		// There is no target, but the sender named a process. If the call did not fail, a
		// record was lost, and the pid may be of another namespace. If the sender was refused
		// (EPERM), it is not known either whether the pid is one of this host.
		if e.Result.Failed() && e.Result.Error != "EPERM" && (e.Scope == kill.ScopeProcess || e.Syscall == "tgkill" || e.Syscall == "rt_tgsigqueueinfo") {
			a.number("kill.target.pid", e.Requested)
		}
		return
	}
	a.number("kill.target.pid", target.PID)
	a.thread("kill.target.thread.id", target)
	a.text("kill.target.name", target.Command)
	a.text("kill.target.executable.path", target.Executable)
	a.user("kill.target.user.id", "kill.target.user.name", target.User)
	a.id("kill.target.audit.user.id", target.Login.ID)
	a.id("kill.target.audit.session.id", target.Session)
	a.text("kill.target.selinux.label", target.Label)
	a.text("kill.target.title", t.targetTitle)
	a.text("kill.target.start_time", t.targetStart)
	if i := target.Instance; i != nil {
		a.text("kill.target.container.id", i.Container)
		a.text("kill.target.k8s.pod.uid", i.Pod)
		a.text("kill.target.systemd.unit", i.Unit)
		a.text("kill.target.cgroup", i.Cgroup)
	}
}

func (a attributes) audit(e *kill.Event) {
	if e.Audit.Recorded {
		a.integer("kill.audit.serial", int64(e.Audit.Serial))
	}
	a.id("kill.audit.session.id", e.Sender.Session)
	if len(e.Audit.Keys) > 0 {
		keys := a.m.AppendEmpty("kill.audit.key").SetEmptySlice()
		keys.EnsureCapacity(len(e.Audit.Keys))
		for _, key := range e.Audit.Keys {
			keys.AppendEmpty().SetStr(strings.ToValidUTF8(key, "\uFFFD"))
		}
	}
	a.text("kill.audit.tty", e.Audit.TTY)
	a.text("kill.audit.subject", e.Audit.Subject)
	a.text("kill.audit.arch", e.Audit.Arch)
	a.text("kill.audit.node", e.Audit.Node)
}
