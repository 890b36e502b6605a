// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/dbus"
)

// The names on the bus.
const (
	busName     = "org.freedesktop.DBus"
	systemdName = "org.freedesktop.systemd1"
	logindName  = "org.freedesktop.login1"
	oomdName    = "org.freedesktop.oom1"

	busPath     = "/org/freedesktop/DBus"
	systemdPath = "/org/freedesktop/systemd1"
	subscribed  = systemdName + ".AlreadySubscribed"
	logindPath  = "/org/freedesktop/login1"

	properties = "org.freedesktop.DBus.Properties"
)

// handling is what panics are contained in.
const handling = "handling a message of systemd"

// services are the names whose owners are listened to.
var services = []string{systemdName, logindName, oomdName}

// link is a connection to a systemd.
type link struct {
	*manager
	// overBus is true for a connection to the bus, false for one to systemd itself.
	overBus bool
	conn    *dbus.Conn
	units   *units
	callers *callers

	// mu guards owners, which has the unique names of the services: anybody may send us signals.
	mu     sync.Mutex
	owners map[string]string
	// following is held while Follow is called with these.
	following          sync.Mutex
	follows, monitored bool
	// entered is true once the other side has answered, failed why the connection is of no use.
	entered bool
	failed  error
}

func newLink(m *manager, overBus bool) *link {
	l := &link{manager: m, overBus: overBus, owners: make(map[string]string)}
	l.units, l.callers = newUnits(l), newCallers(l)
	return l
}

// socket is the path of what it connects to.
func (l *link) socket() string {
	if l.overBus {
		return l.bus
	}
	return l.private
}

// serve listens until the connection ends.
func (l *link) serve(ctx context.Context, conn *dbus.Conn) error {
	var observing sync.WaitGroup
	defer observing.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		if l.entered {
			l.watcher.counters.connected.Add(-1)
		}
	}()
	defer l.follow(func() { l.follows = false })
	l.conn = conn
	if l.overBus {
		l.enter(func() { observing.Go(func() { l.observe(ctx) }) })
	} else {
		l.subscribe()
	}
	err := conn.Serve(ctx, func(m *dbus.Message) {
		defer l.watcher.config.Panics.Contain(handling)
		l.handle(m)
	})
	return cmp.Or(l.failed, err)
}

// rules are the signals that the bus is to pass on.
func rules() []string {
	const from = "type='signal',sender='%s',interface='%s',member='%s'"
	const manager = ".Manager"
	var all []string
	for _, name := range services {
		all = append(all, fmt.Sprintf(from+",arg0='%s'", busName, busName, "NameOwnerChanged", name))
	}
	for _, member := range []string{"JobNew", "JobRemoved", "Reloading"} {
		all = append(all, fmt.Sprintf(from, systemdName, systemdName+manager, member))
	}
	for _, member := range []string{"SessionNew", "SessionRemoved", "PrepareForShutdown"} {
		all = append(all, fmt.Sprintf(from, logindName, logindName+manager, member))
	}
	for _, kind := range unitInterfaces {
		all = append(all, fmt.Sprintf(from+",path_namespace='%s/unit',arg0='%s'",
			systemdName, properties, "PropertiesChanged", systemdPath, kind))
	}
	return append(all, fmt.Sprintf(from, oomdName, oomdName+manager, "Killed"))
}

// enter introduces us to the bus, and asks for the signals and their senders. Nothing waits for an answer; then is
// called with the first one.
func (l *link) enter(then func()) {
	l.callBus("Hello", func(reply *dbus.Message, err error) {
		l.need(reply, err)
		if err == nil {
			l.begin()
			then()
		}
	})
	for _, rule := range rules() {
		l.callBus("AddMatch", l.need, rule)
	}
	for _, name := range services {
		l.callBus("GetNameOwner", func(reply *dbus.Message, err error) {
			if err == nil {
				l.own(name, reply.Body().Text())
			}
		}, name)
	}
}

// need ends a connection that is of no use without an answer.
func (l *link) need(_ *dbus.Message, err error) {
	if err != nil && l.failed == nil {
		l.failed = err
		_ = l.conn.Close()
	}
}

func (l *link) callBus(member string, done func(*dbus.Message, error), arguments ...any) {
	l.conn.Call(&dbus.Call{
		Destination: busName, Path: busPath, Interface: busName, Member: member, Arguments: arguments,
	}, done)
}

// ask makes a call that need not be answered: then there is an empty body to take, which has failed.
func (l *link) ask(call *dbus.Call, take func(*dbus.Body)) {
	if !l.overBus {
		call.Destination = ""
	}
	l.conn.Call(call, func(reply *dbus.Message, err error) {
		defer l.watcher.config.Panics.Contain(handling)
		body := new(dbus.Body)
		if err == nil {
			body = reply.Body()
		}
		take(body)
		switch refusal := (*dbus.Error)(nil); {
		case err == nil && body.Failed():
			l.watcher.counters.malformed.Add(1)
		case err != nil && !errors.As(err, &refusal): // that something is gone by now is no failure
			l.watcher.counters.failed.Add(1)
		}
	})
}

// begin notes that the other side has answered.
func (l *link) begin() {
	if l.entered {
		return
	}
	l.entered = true
	l.watcher.counters.connections.Add(1)
	l.watcher.counters.connected.Add(1)
	l.logger.Debug("connected to systemd", zap.Bool("bus", l.overBus))
}

// own notes who owns a name now; empty if nobody does. Its owner is asked for what we missed.
func (l *link) own(name, owner string) {
	l.mu.Lock()
	known := l.owners[name]
	l.owners[name] = owner
	l.mu.Unlock()
	if owner == "" || owner == known {
		return
	}
	switch {
	case name == systemdName:
		l.subscribe()
	case name == logindName && l.system():
		l.listLogins()
	}
}

// owner returns the name that a sender owns; empty if it is none of the services.
func (l *link) owner(sender string) string {
	if sender == busName {
		return busName
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.IndexFunc(services, func(name string) bool { return l.owners[name] == sender }); i >= 0 && sender != "" {
		return services[i]
	}
	return ""
}

// wants reports whether a message is a signal of one of the services. Everybody may send us signals, but only
// the bus says who has sent one.
func (l *link) wants(m *dbus.Message) bool {
	return m.Kind == dbus.KindSignal && (!l.overBus || l.owner(m.Sender) != "")
}

// minor reports whether a message only says that somebody has connected to the bus, or has left it: anybody may do so all the
// time.
func (l *link) minor(m *dbus.Message) bool {
	return m.Sender == busName && !slices.Contains(services, m.Body().Text())
}

// subscribe asks systemd for its signals, which it sends only while somebody wants them, and for its jobs.
func (l *link) subscribe() {
	call := &dbus.Call{Destination: systemdName, Path: systemdPath, Interface: systemdName + ".Manager", Member: "Subscribe"}
	if !l.overBus {
		call.Destination = ""
	}
	l.conn.Call(call, func(_ *dbus.Message, err error) {
		refusal := (*dbus.Error)(nil)
		if err == nil || errors.As(err, &refusal) && refusal.Name == subscribed {
			l.begin()
			l.follow(func() { l.follows = true })
		}
	})
	l.units.jobs.list()
}

// follow changes, and says, whether the systemd reports its jobs to us, and whether all calls on its bus are seen.
func (l *link) follow(change func()) {
	l.following.Lock()
	defer l.following.Unlock()
	change()
	if call := l.watcher.config.Follow; call != nil {
		call(l.of.pid, l.follows, l.follows && l.monitored)
	}
}

func (l *link) handle(m *dbus.Message) {
	from := systemdName
	if l.overBus {
		from = l.owner(m.Sender)
	}
	if from == logindName && !l.system() {
		return // on his own bus, a user may give himself any name
	}
	body := m.Body()
	switch from + " " + m.Interface + "." + m.Member {
	case busName + " " + busName + ".NameOwnerChanged":
		l.changeOwner(body)
	case systemdName + " " + systemdName + ".Manager.JobNew":
		l.units.jobs.begin(body)
	case systemdName + " " + systemdName + ".Manager.JobRemoved":
		l.units.jobs.end(body)
	case systemdName + " " + systemdName + ".Manager.Reloading":
		l.units.forget()
	case systemdName + " " + properties + ".PropertiesChanged":
		l.units.changed(m.Path, body)
	case logindName + " " + logindName + ".Manager.SessionNew":
		l.loginNew(body)
	case logindName + " " + logindName + ".Manager.SessionRemoved":
		l.loginRemoved(body)
	case logindName + " " + logindName + ".Manager.PrepareForShutdown":
		l.shutdown(body)
	case oomdName + " " + oomdName + ".Manager.Killed":
		l.pressure(body)
	}
	if body.Failed() {
		l.watcher.counters.malformed.Add(1)
	}
}

func (l *link) changeOwner(b *dbus.Body) {
	name, _, owner := b.Text(), b.Text(), b.Text()
	switch {
	case b.Failed():
	case slices.Contains(services, name):
		l.own(name, owner)
	case name != "" && name == owner: // somebody has connected
		l.callers.find(name, func(caller) {})
	}
}

// past returns a time that systemd names, in microseconds, unless that is none or still to come.
func past(microseconds uint64, now time.Time) time.Time {
	if microseconds == 0 || microseconds > uint64(now.UnixMicro()) {
		return now
	}
	return time.UnixMicro(int64(microseconds))
}
