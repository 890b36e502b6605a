// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"slices"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// requests are those of one user, oldest first.
type requests struct {
	all []*request
	// latest is the time of the last one.
	latest time.Time
	// calls is how many of them are calls.
	calls int
}

// request is somebody who has turned to a manager.
type request struct {
	*Request
	ask ask
	// signal is the one that it asks for; 0 if that is not known.
	signal kill.Signal
	// recorded is true if an audit record says so, and no connection; of is the process that it names then.
	recorded bool
	of       int
	// counted is true if it is among the listeners of the table.
	counted bool
	// cgroup is the control group of that process, foreign is true if it is in a container.
	cgroup  string
	foreign bool
	// identified is true once all is known about the requester that will be.
	identified bool
	// number is its number, and served knows which jobs of units it explains.
	number uint64
	served *served
	// ended are the containers whose end it explains.
	ended map[string]int
}

// learnRequest remembers a request, unless it asks for nothing that sends a signal.
func (t *Table) learnRequest(q *Request) {
	r := &request{Request: q, served: t.served, number: t.served.number()}
	if q.Call != nil {
		r.ask, r.signal = asksCall(q.Call).complete(), q.Call.Signal
	}
	completed := *q
	r.Request = &completed
	if q.Call == nil {
		t.identify(r)
		if completed.Requester.Command == "" {
			return // it cannot be named
		}
		r.ask = asksOf(commandLine(&completed.Requester)).complete()
		r.signal = asksSignal(commandLine(&completed.Requester))
	}
	if r.ask.verb == verbNone {
		return
	}
	from := askerOf(r)
	of := t.requests[from]
	if of == nil {
		t.makeRoomForRequester()
		of = &requests{}
		t.requests[from] = of
	}
	if q.Manager > hostInit && !strings.HasPrefix(q.Socket, "/run/user/") {
		r.counted = true
		t.listeners[q.Manager]++
		of.share(r)
	}
	t.forget(of.add(r, from.limit()))
	if r.ask.verb == verbUnknown && q.Call == nil {
		t.habitsOf(r).add(r)
	}
	if m := t.managers[q.Manager]; m != nil && m.mayAsk(r) {
		m.heard++
	}
}

// forget takes account of requests that are remembered no longer.
func (t *Table) forget(displaced []*request) {
	for _, old := range displaced {
		if !old.counted {
			continue
		}
		t.listeners[old.Manager]--
		if t.listeners[old.Manager] <= 0 {
			delete(t.listeners, old.Manager)
		}
	}
}

// identify finds out which process has asked. A call is told as soon as it was seen, when what the process runs may
// not be known yet; it is by the time of the signal.
func (t *Table) identify(r *request) {
	if r.identified || t.config.Processes == nil {
		return
	}
	r.identified = t.config.Processes.Complete(&r.Requester, r.Time)
}

// add adds a request, and returns those that it has displaced.
func (r *requests) add(q *request, limit int) (displaced []*request) {
	if n := len(r.all) - limit + 1; n > 0 {
		displaced, r.all = r.all[:n], r.all[n:]
	}
	for _, old := range displaced {
		if old.Call != nil {
			r.calls--
		}
	}
	if q.Call != nil {
		r.calls++
	}
	r.all, r.latest = append(r.all, q), q.Time
	return displaced
}

// maxShared is how many requests of others may be between two of a process that are known to be one's.
const maxShared = 64

// share has a request know what the others of its process have ended: many clients connect several times for one
// thing.
func (r *requests) share(q *request) {
	for _, other := range slices.Backward(r.all[max(0, len(r.all)-maxShared):]) {
		if other.ended != nil && other.sameProcess(q) {
			q.ended = other.ended
			return
		}
	}
	q.ended = map[string]int{}
}

func commandLine(p *kill.Process) string {
	if p.Instance != nil && p.Instance.CommandLine != "" {
		return p.Instance.CommandLine
	}
	return p.Title
}

// learnCommand remembers a command of an audit record as a request of which nobody knows whom it reaches.
func (t *Table) learnCommand(c *Command) {
	a := asksOf(c.Title).complete()
	if a.verb == verbNone || a.verb == verbUnknown || a.elsewhere {
		return
	}
	p := kill.Process{Command: c.Command, Title: c.Title, User: c.User, Login: c.Login, Session: c.Session}
	if c.Self {
		p.PID = c.PID
	} else {
		p.ParentPID = c.PID
	}
	q := &request{
		Request: &Request{Time: c.Time, Requester: p}, ask: a, signal: asksSignal(c.Title), recorded: true, served: t.served,
		number: t.served.number(),
	}
	if n := len(t.commands.all); n > 0 { // it is told again once more is known
		if last := t.commands.all[n-1]; last.Time.Equal(c.Time) && last.of == c.PID {
			t.commands.all = t.commands.all[:n-1]
		}
	}
	q.of = c.PID
	if t.config.Processes != nil {
		if at := (kill.Process{PID: c.PID}); t.config.Processes.Complete(&at, c.Time) {
			q.cgroup, q.foreign = cgroupOf(&at), at.Home.Program == kill.WhoseOther
		}
	}
	t.commands.add(q, maxRequests)
	t.managerOf(hostInit).heard++
}

// since calls a function with the requests to a manager from a time on. Users can only call it, but for the one as whom it runs:
// they may connect as often as they like.
func (t *Table) since(m *managed, begin time.Time, consider func(*request)) {
	for from, of := range t.requests {
		if from.user == 0 || of.calls > 0 || m.pid != hostInit && kill.NewID(from.user) == m.owner {
			of.since(begin, consider)
		}
	}
}

// since calls a function with the requests from a time on, newest first.
func (r *requests) since(from time.Time, consider func(*request)) {
	for _, q := range slices.Backward(r.all) {
		if q.Time.Before(from) {
			return
		}
		consider(q)
	}
}

// sameProcess reports whether two requests are of the same process.
func (r *request) sameProcess(other *request) bool {
	a, b := &r.Requester, &other.Requester
	if a.PID == 0 || a.PID != b.PID || (a.Instance == nil) != (b.Instance == nil) {
		return false
	}
	return a.Instance == nil || a.Instance.SinceBoot == b.Instance.SinceBoot
}

// after reports whether a request came after a time. A call may be noticed a moment later than it was made.
func (r *request) after(at time.Time) bool {
	late := r.Time.Sub(at)
	return late > 0 && (r.Call == nil || late > callLag)
}

// made reports whether it is known that a job came of a request.
func (r *request) made(j *job) bool {
	return j != nil && r.Call != nil && r.Call.Job != 0 && r.Call.Job == j.ID
}

// sends reports whether a request may be one to send a signal.
func (r *request) sends(signal kill.Signal) bool { return r.signal == 0 || r.signal == signal }

// onBus reports whether somebody has only connected to a bus, on which he may call a manager.
func (r *request) onBus() bool {
	return r.Call == nil && (strings.HasSuffix(r.Socket, "/system_bus_socket") || strings.HasSuffix(r.Socket, "/bus"))
}
