// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// toRuntime reports whether a request is one to a container runtime.
func (t *Table) toRuntime(r *request) bool {
	if ofContainers(r.Socket) {
		return true
	}
	if t.listeners[r.Manager] == 0 || t.config.Processes == nil {
		return false
	}
	p := kill.Process{PID: r.Manager}
	return t.config.Processes.Complete(&p, r.Time) && ofRuntime(p.Command)
}

// ofContainers reports whether the path of a socket is that of a container runtime, by its last part.
func ofContainers(socket string) bool {
	switch socket[strings.LastIndexByte(socket, '/')+1:] {
	case "containerd.sock", "docker.sock", "crio.sock", "podman.sock":
		return true
	}
	return false
}

// ofSystemd reports whether a socket is a systemd's, or that of a bus.
func ofSystemd(socket string) bool {
	return strings.Contains(socket, "/systemd/") || strings.HasSuffix(socket, "/bus") || strings.HasSuffix(socket, "/system_bus_socket")
}

// othersWindow is how long before a signal somebody may have asked for it: a request to docker(1) passes
// through three other programs.
const othersWindow = 3 * time.Second

// explainContainer explains a signal of a container runtime. Of one that is not root's, only what has started it counts,
// by the same user: anybody can give programs these names. So can root of a container, whose word counts in that container only.
func (t *Table) explainContainer(e *kill.Event, id string) bool {
	p := t.carriesOut(e)
	if !rooted(&e.Sender) && (p == nil || p.User.ID != e.Sender.User.ID) || e.Sender.Home.Program == kill.WhoseOther && !t.staysInside(e, id) {
		return false
	}
	e.Behind, e.Cause = &kill.Behind{Managed: true, Evidence: kill.EvidenceObserved, Unit: id}, kill.CauseContainerStop
	if p != nil {
		t.askedByParent(e, p)
		return true
	}
	var named, others, strangers []*request
	name, namespace := nameOf(e, id), namespaceOf(&e.Sender)
	t.each(e, othersWindow, func(asker) bool { return true }, func(r *request) {
		switch {
		case !t.toRuntime(r) || !t.serves(r, &e.Sender) || r.done(id, e) || r.inAnother(namespace, id):
		case r.ask.verb == verbUnknown:
			if r.Call == nil && !t.habitsOf(r).has(r) && !ofRuntime(r.Requester.Command) {
				strangers = append(strangers, r)
			}
		case namesContainer(r.ask.about, id), r.knowsNames() && name != "" && slices.Contains(r.ask.about, name):
			named = append(named, r)
		case r.knowsNames() && isContainerID(id) && r.mayMean(name) && r.mayServe(id):
			others = append(others, r) // it may know the container by a name
		}
	})
	if len(named) == 0 && len(others) > 0 { // a stranger may have asked as well, but is not named for having connected
		named = slices.Concat(others, strangers)
	}
	if r := t.askOnly(e, named); r != nil {
		r.end(id, e.Sender.PID)
	}
	return true
}

// staysInside reports whether all targets are where the sender is: in its container, below its systemd, or else in the container that
// it names.
func (t *Table) staysInside(e *kill.Event, id string) bool {
	own, system := containerID(&e.Sender), t.containerOf(cgroupOf(&e.Sender))
	return len(e.Targets) > 0 && !slices.ContainsFunc(e.Targets, func(p kill.Process) bool {
		switch {
		case own != "":
			return containerID(&p) != own
		case system != nil:
			return !within(cgroupOf(&p), system.root)
		}
		return containerID(&p) != id
	})
}

// nameOf returns what the runtime calls a container, as the host has written down; empty if that is not known.
func nameOf(e *kill.Event, id string) string {
	for i := range e.Targets {
		if p := &e.Targets[i]; p.Names != nil && containerID(p) == id {
			return p.Names.Container
		}
	}
	return ""
}

// mayMean reports whether a request whose names are no ids may be about a container with a name. If that is known, whoever has
// named another container has not asked for this one: his may have ended already.
func (r *request) mayMean(name string) bool {
	return !slices.ContainsFunc(r.ask.about, isContainerID) && (name == "" || r.ask.loose || len(r.ask.about) == 0)
}

// carriesOut returns the process that has started a container runtime because somebody has told it to end containers by
// its command line; nil if the parent is no such process. Podman has no daemon.
func (t *Table) carriesOut(e *kill.Event) *kill.Process {
	parent := &e.Sender.Ancestry[0]
	if parent.Command != "podman" || t.config.Processes == nil {
		return nil
	}
	p := kill.Process{PID: parent.PID}
	if !t.config.Processes.Complete(&p, e.Time) || p.Command != "podman" || !containerVerb(commandLine(&p)) {
		return nil
	}
	if !p.Login.ID.Known { // it may have ended; processes inherit it
		p.Login, p.Session = e.Sender.Login, e.Sender.Session
	}
	return &p
}

// containerVerb reports whether a command line ends containers.
func containerVerb(title string) bool {
	v := asksOf(title).verb
	return v != verbNone && v != verbUnknown
}

// askedByParent explains an event by the process that has started the sender.
func (t *Table) askedByParent(e *kill.Event, p *kill.Process) {
	t.ask(e.Behind, &request{Request: &Request{Time: e.Time, Requester: *p}})
	if rooted(&e.Sender) {
		e.Behind.Evidence = kill.EvidenceObserved
	}
}

// done reports whether a request was carried out already: who asks for a signal gets one, which one run of the
// runtime sends.
func (r *request) done(id string, e *kill.Event) bool {
	sender, ok := r.ended[id]
	return ok && r.ask.verb == verbKill && sender != e.Sender.PID
}

// serves reports whether somebody may have turned to the manager of which a runtime is a part: to a daemon of the host,
// or one in the same container. Who has a file system of his own may bind there what he likes.
func (t *Table) serves(r *request, runtime *kill.Process) bool {
	if t.config.Processes == nil {
		return false
	}
	daemon := kill.Process{PID: r.Manager}
	if !t.config.Processes.Complete(&daemon, r.Time) || daemon.User.ID.Known && !rooted(&daemon) {
		return false
	}
	inside := runtime.Home.Program == kill.WhoseOther
	return (daemon.Home.Program == kill.WhoseOther) == inside && (!inside || containerID(&daemon) == containerID(runtime))
}

func containerID(p *kill.Process) string {
	if p.Instance == nil {
		return ""
	}
	return p.Instance.Container
}

// knowsNames reports whether a client of a container runtime knows containers by other names than their ids.
func (r *request) knowsNames() bool {
	switch r.Requester.Command {
	case "ctr", "crictl":
		return false
	}
	return true
}

// namespaceOf returns in which of its namespaces containerd has a container that runc is about to signal; empty if it does not say.
func namespaceOf(runtime *kill.Process) string {
	words := strings.Split(strings.TrimRight(commandLine(runtime), "\x00"), "\x00")
	for i, word := range words[:len(words)-1] {
		if word == "--root" && strings.HasPrefix(words[i+1], "/run/containerd/runc/") {
			return path.Base(words[i+1])
		}
	}
	return ""
}

// inAnother reports whether a client of containerd asks for a container in another one of its namespaces, which it can also have from its
// environment: whoever names a container by an id that no other has means that.
func (r *request) inAnother(namespace, id string) bool {
	if isContainerID(id) && namesContainer(r.ask.about, id) {
		return false
	}
	return namespace != "" && r.ask.namespace != "" && r.ask.namespace != namespace
}

// mayServe reports whether a request that names things otherwise may be about this one: each of its names is
// about one.
func (r *request) mayServe(id string) bool {
	_, ok := r.ended[id]
	return ok || len(r.ended) < max(1, len(r.ask.about))
}

// end notes that a request explains the end of something, which a process has carried out.
func (r *request) end(id string, by int) {
	if r.ended == nil {
		r.ended = map[string]int{}
	}
	r.ended[id] = by
}

// each calls a function with the requests of which a signal may be the result, of some of those who ask. strangers is how long before it
// those may have connected of whom nobody knows what they ask for.
func (t *Table) each(e *kill.Event, strangers time.Duration, wanted func(asker) bool, consider func(r *request)) {
	for from, of := range t.requests {
		if !wanted(from) {
			continue
		}
		of.since(e.Time.Add(-endWindow), func(r *request) {
			window := othersWindow
			switch r.ask.verb {
			case verbStop, verbKill, verbRestart, verbReload:
			case verbShutdown:
				window = endWindow // a manager that ends stops one after the other
			case verbUnknown:
				window = strangers
			default:
				return
			}
			if since := e.Time.Sub(r.Time); since >= 0 && since <= window && r.fits(e) {
				consider(r)
			}
		})
	}
}

// fits reports whether a request may have an effect on the targets: they were there already, and it is the signal
// that was asked for, if one was.
func (r *request) fits(e *kill.Event) bool {
	if len(e.Targets) > 0 && e.Targets[0].Instance != nil && r.Time.Before(e.Targets[0].Instance.Start) {
		return false
	}
	return r.ask.verb != verbKill || r.sends(e.Signal)
}

// hasLeft reports whether a client that waits until it is done had ended before a time, such as that of a signal: it had its answer, such as that
// there is nothing to be ended. It may have been interrupted as well, and the manager goes on: so it counts as one of several
// who fit, and is not named if it is the only one.
func (t *Table) hasLeft(r *request, at time.Time) bool {
	return r.ask.waits && r.Call == nil && t.config.Processes != nil && t.config.Processes.LeftBefore(&r.Requester, at)
}

// goesOn reports whether a manager goes on with what was asked for until the target has ended.
func (r *request) goesOn() bool {
	return r.ask.verb != verbKill && r.ask.verb != verbReload && r.ask.verb != verbUnknown
}

// askOnly explains an event by a request if there is only one, and returns that. What has not ended when it was
// asked to may have to be killed for the sake of whoever has asked for that.
func (t *Table) askOnly(e *kill.Event, all []*request) *request {
	last := t.begun(e)
	patient := last != nil && last.request != nil && last.request.goesOn()
	if patient && e.Signal == kill.SIGKILL {
		all = append(all, last.request)
		if last.other != nil {
			all = append(all, last.other)
		}
	}
	found := distinct(all)
	if len(found) != 1 {
		e.Behind.Candidates = len(found)
		return nil
	}
	r := found[0]
	goesOn := patient && r.sameProcess(last.request)
	if !goesOn && t.hasLeft(r, e.Time) {
		return nil
	}
	t.ask(e.Behind, r)
	switch {
	case !patient:
		t.remember(e, r)
	case r.goesOn() && !r.sameProcess(last.request):
		last.other = r // nobody can say whose patience ends first
	}
	return r
}

// isContainerID reports whether a name is the id of a container, and not a name.
func isContainerID(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}

// namesContainer reports whether one of the names is a container's id, or how that begins.
func namesContainer(names []string, id string) bool {
	for _, name := range names {
		if name != "" && (name == id || len(name) >= 3 && isContainerID(id) && strings.HasPrefix(id, name)) {
			return true
		}
	}
	return false
}

// distinct returns the last request of each process.
func distinct(all []*request) []*request {
	var found requesters
	for _, r := range slices.Backward(all) {
		found.add(r)
	}
	return found.requests
}

// rooted reports whether a process runs as root.
func rooted(p *kill.Process) bool { return p.User.ID.Known && p.User.ID.Value == 0 }

// explainListener explains a signal of any other program to whose listed socket somebody has connected,
// such as supervisord.
func (t *Table) explainListener(e *kill.Event) bool {
	key := targetKey(e)
	var all, strangers []*request
	// Anybody may listen in /tmp, and whoever has sub-uids may connect as very many users.
	mayAsk := func(from asker) bool { return rooted(&e.Sender) || from.user == e.Sender.User.ID.Value }
	t.each(e, strangerWindow, mayAsk, func(r *request) {
		switch {
		case r.Manager != e.Sender.PID || ofSystemd(r.Socket) || !rooted(&e.Sender) && e.Sender.User.ID != r.Requester.User.ID:
		case r.ask.verb != verbUnknown && r.mayEnd(key):
			all = append(all, r)
		case r.ask.verb == verbUnknown && r.Call == nil && !t.habitsOf(r).has(r):
			strangers = append(strangers, r)
		}
	})
	if len(all) == 0 {
		all = strangers
	}
	b := &kill.Behind{Managed: true}
	before := e.Behind
	e.Behind = b
	late := t.tooLate(e)
	r := t.askOnly(e, all)
	if r == nil {
		if b.Candidates == 0 {
			e.Behind = before
		}
		return b.Candidates > 0
	}
	r.end(key, e.Sender.PID)
	t.habitsOf(r).explains(r)
	switch {
	case late && r.goesOn():
		e.Cause = kill.CauseStopTimeout
	case r.ask.verb == verbShutdown: // of the manager, and not of the host
		e.Cause = kill.CauseServiceStop
	default:
		e.Cause = r.ask.verb.cause()
	}
	if about := r.ask.about; len(about) == 1 {
		b.Unit = about[0]
	}
	return true
}

// targetKey identifies the first target of an event.
func targetKey(e *kill.Event) string {
	if len(e.Targets) == 0 {
		return ""
	}
	p := &e.Targets[0]
	if p.Instance == nil {
		return strconv.Itoa(p.PID)
	}
	return strconv.Itoa(p.PID) + " " + p.Instance.SinceBoot.String()
}

// mayEnd reports whether a request to a manager whose programs nobody knows by name may be about one of them: each
// of its names is about one, unless it is about many.
func (r *request) mayEnd(key string) bool {
	if r.Call != nil && (strings.Contains(r.Call.Member, "Group") || strings.Contains(r.Call.Member, "All")) {
		return true
	}
	for _, name := range r.ask.about {
		if name == "all" || strings.Contains(name, "*") {
			return true
		}
	}
	_, ok := r.ended[key]
	return ok || len(r.ask.about) == 0 || len(r.ended) < len(r.ask.about)
}
