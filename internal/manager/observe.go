// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/dbus"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

const (
	// maxPending is how many calls on a bus may wait for their replies, maxPendingOfCaller how many of one connection.
	maxPending         = 1024
	maxPendingOfCaller = 16
	// pendingFor is how long a call may wait: systemd may ask a person for a password first (polkit(8)).
	pendingFor = 5 * time.Minute
	// longCall is how long a call may take that is obeyed at once. One that takes longer was not obeyed until its reply.
	longCall = time.Second
	// observeAgain is how long to wait before the bus is asked to show its calls again.
	observeAgain = 5 * time.Second

	monitoring = busName + ".Monitoring"
	// connected is a rule for signals that say, among others, that somebody has connected to the bus.
	connected = "type='signal',sender='" + busName + "',interface='" + busName + "',member='NameOwnerChanged'"
	denied    = busName + ".Error.AccessDenied"
)

// observer sees who calls a systemd and its logind over the bus. Only calls that were obeyed become facts: anybody
// may call.
type observer struct {
	*link
	conn *dbus.Conn
	// refused is why the bus does not show its calls; nil if it does.
	refused error

	mu      sync.Mutex
	pending map[string]map[uint32]*pendingCall
	count   int
}

// pendingCall is a call that was seen. It is told once systemd has obeyed it and its caller is known.
type pendingCall struct {
	attribution.Call
	at     time.Time
	caller *caller
	obeyed bool
	// of are its parties, once they are known and were asked for.
	of []party
}

// observe watches the calls on the bus until ctx is done. The bus shows them to root, and to whom it belongs.
func (l *link) observe(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.observeOnce(ctx)
		if refusal := (*dbus.Error)(nil); errors.As(err, &refusal) {
			l.logger.Debug("the bus does not show who calls systemd", zap.Error(err))
			if l.of.host {
				l.watcher.warn(unobserved(refusal))
			}
			return
		}
		pause(ctx, observeAgain)
	}
}

func (l *link) observeOnce(ctx context.Context) error {
	o := &observer{link: l, pending: make(map[string]map[uint32]*pendingCall)}
	conn, err := l.dial(ctx, l.bus, o.wants, o.minor)
	if err != nil {
		return err
	}
	o.conn = conn
	c := &l.watcher.counters
	began := false
	o.ask(busName, "Hello", func(error) {})
	o.ask(monitoring, "BecomeMonitor", func(err error) {
		if o.refused = err; err != nil {
			_ = conn.Close()
			return
		}
		began = true
		c.observed.Add(1)
		l.follow(func() { l.monitored = true })
		l.callBus("AddMatch", func(*dbus.Message, error) {}, connected)
	}, observed(), uint32(0))
	err = conn.Serve(ctx, func(m *dbus.Message) {
		defer l.watcher.config.Panics.Contain(handling)
		o.handle(m)
	})
	if began {
		c.observed.Add(-1)
		l.follow(func() { l.monitored = false })
	}
	return cmp.Or(o.refused, err)
}

// ask asks the bus on our own connection.
func (o *observer) ask(of, member string, done func(error), arguments ...any) {
	o.conn.Call(&dbus.Call{Destination: busName, Path: busPath, Interface: of, Member: member, Arguments: arguments},
		func(_ *dbus.Message, err error) { done(err) })
}

// observed are the rules for the calls that may end processes, and for the replies to them.
func observed() []string {
	var rules []string
	for _, service := range []string{systemdName, logindName} {
		for _, member := range members(service) {
			rules = append(rules, fmt.Sprintf("type='method_call',destination='%s',member='%s'", service, member))
		}
		rules = append(rules, fmt.Sprintf("type='method_return',sender='%s'", service), fmt.Sprintf("type='error',sender='%s'", service))
	}
	return append(rules, fmt.Sprintf("type='error',sender='%s'", busName))
}

// wants reports whether a message is a call that may end processes, or the reply to one.
func (o *observer) wants(m *dbus.Message) bool {
	switch m.Kind {
	case dbus.KindCall:
		return o.service(m.Destination) != ""
	case dbus.KindReply:
		return o.waits(m) && o.service(m.Sender) != ""
	case dbus.KindError:
		return o.waits(m) && o.owner(m.Sender) != ""
	}
	return false
}

// minor reports whether a message is a call of somebody who is not known to be root, or whose bus it is not: anybody may call all
// the time.
func (o *observer) minor(m *dbus.Message) bool {
	return m.Kind == dbus.KindCall && !o.callers.trusts(m.Sender)
}

// service returns the name of the service that a connection is or owns, if it is systemd or logind.
func (o *observer) service(name string) string {
	if owned := o.owner(name); owned != "" {
		name = owned
	}
	if name == systemdName || name == logindName {
		return name
	}
	return ""
}

func (o *observer) waits(m *dbus.Message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pending[m.Destination][m.ReplyTo] != nil
}

func (o *observer) handle(m *dbus.Message) {
	if m.Kind == dbus.KindCall {
		o.called(m)
		return
	}
	var job uint32
	if m.Kind == dbus.KindReply {
		job = jobOfReply(m)
	}
	o.settle(m.Destination, m.ReplyTo, func(at *pendingCall) bool {
		if at.obeyed = m.Kind == dbus.KindReply; !at.obeyed {
			o.watcher.counters.refused.Add(1)
		}
		if now := time.Now(); now.Sub(at.at) > longCall {
			at.at = now
		}
		at.Job = job
		return at.obeyed && at.caller == nil
	})
}

// jobOfReply returns the number of the job that systemd has made of a call.
func jobOfReply(m *dbus.Message) uint32 {
	b := m.Body()
	if !b.Holds("o") && !b.Holds("uo") {
		return 0
	}
	if b.Holds("u") {
		return uint32(b.Number()) // of EnqueueUnitJob
	}
	return jobOfPath(b.Text())
}

// called takes a call.
func (o *observer) called(m *dbus.Message) {
	call, ok := parseCall(m, o.service(m.Destination))
	if !ok || m.Sender == "" || m.Serial == 0 {
		return
	}
	at := &pendingCall{Call: call, at: time.Now()}
	if !o.remember(m.Sender, m.Serial, at) {
		o.watcher.counters.dropped.Add(1)
		return
	}
	sender, serial, unanswered := m.Sender, m.Serial, m.Unanswered
	o.callers.find(sender, func(found caller) {
		o.settle(sender, serial, func(at *pendingCall) bool {
			at.caller = &found
			if unanswered { // then nobody will say whether it was obeyed
				at.obeyed = found.trusted || found.pid == 0
			}
			return !at.obeyed && !unanswered
		})
	})
}

// settle changes a call that was seen, unless it is gone. It is told, or dropped, unless it has to wait.
func (o *observer) settle(sender string, serial uint32, change func(*pendingCall) (wait bool)) {
	o.mu.Lock()
	at := o.pending[sender][serial]
	if at == nil || change(at) {
		o.mu.Unlock()
		return
	}
	o.remove(sender, serial)
	o.mu.Unlock()
	switch {
	case !at.obeyed:
	case at.caller.pid == 0:
		o.watcher.counters.unnamed.Add(1)
	default:
		o.watcher.tell(attribution.Fact{Request: &attribution.Request{
			Time: at.at, Manager: o.of.pid, Call: &at.Call,
			Requester: kill.Process{
				PID: at.caller.pid, User: kill.User{ID: at.caller.user}, Login: kill.User{ID: at.caller.login}, Session: at.caller.session,
			},
		}})
	}
}

// remember notes a call, unless too many wait already.
func (o *observer) remember(sender string, serial uint32, at *pendingCall) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count >= maxPending {
		o.expire(at.at)
	}
	if len(o.pending[sender]) >= maxPendingOfCaller || o.pending[sender][serial] != nil || o.count >= maxPending && !o.displace() {
		return false
	}
	of := o.pending[sender]
	if of == nil {
		of = make(map[uint32]*pendingCall)
		o.pending[sender] = of
	}
	of[serial] = at
	o.count++
	return true
}

// displace forgets the oldest call of the user or login that has the most, and reports whether there was one: anybody may have
// calls wait, by never answering polkit(8), also as very many users (subuid(5)), and none of root's make room for these. mu is held.
func (o *observer) displace() bool {
	counts := make(map[party]int)
	for _, of := range o.pending {
		for _, at := range of {
			for _, one := range at.parties() {
				counts[one]++
			}
		}
	}
	var oldest *pendingCall
	var from string
	var serial uint32
	most := 0
	for sender, of := range o.pending {
		for number, at := range of {
			share := 0
			for _, one := range at.parties() {
				share = max(share, counts[one])
			}
			if share > most || share == most && share > 0 && at.at.Before(oldest.at) {
				oldest, from, serial, most = at, sender, number, share
			}
		}
	}
	if oldest == nil {
		return false
	}
	o.remove(from, serial)
	o.watcher.counters.dropped.Add(1)
	return true
}

// nobodyYet are the parties of a call of which the caller is not known.
var nobodyYet = []party{{partyUser, unknown}}

// parties returns whose call it is: nobody's who makes room if it is root's. All count together of which that is not known yet.
func (c *pendingCall) parties() []party {
	switch {
	case c.caller == nil || !c.caller.user.Known:
		return nobodyYet
	case c.caller.user.Value == 0:
		return nil
	case c.of == nil:
		c.of = partiesOf(c.caller.user.Value, c.caller.login)
	}
	return c.of
}

// expire forgets the calls that have waited too long. mu is held.
func (o *observer) expire(now time.Time) {
	for sender, of := range o.pending {
		for serial, at := range of {
			if now.Sub(at.at) > pendingFor {
				o.remove(sender, serial)
				o.watcher.counters.refused.Add(1)
			}
		}
	}
}

// remove forgets a call. mu is held.
func (o *observer) remove(sender string, serial uint32) {
	delete(o.pending[sender], serial)
	if len(o.pending[sender]) == 0 {
		delete(o.pending, sender)
	}
	o.count--
}

func unobserved(err error) *problem.Problem {
	return &problem.Problem{
		What: "the system bus shows only root who calls systemd, so that who has asked for something over the bus is inferred or not known",
		Err:  err,
		Fix:  "run this process as root: systemd does so with the drop-in behind.conf",
	}
}
