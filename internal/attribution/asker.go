// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"slices"
	"strconv"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// asker is where requests come from, each of which only displaces its own: a user of the host or of a container.
type asker struct {
	user uint32
	// login is whose login it is, if that is another user, who may have very many (subuid(5)); 0 for root's, and if not known.
	login uint32
	// container is empty for the host.
	container string
}

// party is somebody who may be many askers: a user, as which others may run in as many containers, a login, or a container. One
// of these is set, or none for root of the host.
type party struct {
	user, login uint32
	inside      bool
	container   string
}

// parties returns whose an asker is. A user himself does not count for his login: without one, a program may choose any.
func (a asker) parties() []party {
	all := []party{{user: a.user, inside: a.container != ""}}
	if a.login != 0 {
		all = append(all, party{login: a.login})
	}
	if a.container != "" {
		all = append(all, party{container: a.container})
	}
	return all
}

// askerOf returns where a request comes from. Of who calls over a container's bus, no more may be known yet.
func askerOf(r *request) asker {
	a := asker{}
	id := r.Requester.User.ID
	if r.setUserID() {
		id = r.Requester.RealUser.ID
	}
	if id.Known {
		a.user = id.Value
	}
	if login := r.Requester.Login.ID; login.Known && a.user != 0 && login != id {
		a.login = login.Value
	}
	switch {
	case r.Requester.Home.Program == kill.WhoseOther && containerID(&r.Requester) != "":
		a.container = containerID(&r.Requester)
	case r.Requester.Home.Program == kill.WhoseOther, r.Call != nil && r.Manager > hostInit:
		a.container = strconv.Itoa(r.Manager)
	}
	return a
}

// limit returns how many requests are remembered.
func (a asker) limit() int {
	switch {
	case a == asker{}:
		return maxRequests
	case a.user == 0:
		return maxContainerRequests
	}
	return maxUserRequests
}

// makeRoomForRequester forgets some of the party that has the most: so whoever can be many users, or many containers, displaces
// only his own. Of these they are those whose calls were not seen, and then those whose last request is the oldest. The host's
// root is never forgotten.
func (t *Table) makeRoomForRequester() {
	if len(t.requests) < maxRequesters {
		return
	}
	all, most := t.mostAskers()
	slices.SortFunc(all, func(a, b asker) int { return t.requests[a].compare(t.requests[b]) })
	for _, from := range all[:1+(most-1)/8] { // one of few, but many of very many, as there will be more of these
		t.forget(t.requests[from].all)
		delete(t.requests, from)
	}
}

// mostAskers returns the askers of the parties that have the most, and how many that are.
func (t *Table) mostAskers() (all []asker, most int) {
	counts := map[party]int{}
	for from := range t.requests {
		for _, of := range from.parties() {
			counts[of]++
		}
	}
	for from := range t.requests {
		share := 0
		for _, of := range from.parties() {
			share = max(share, counts[of])
		}
		switch {
		case from == (asker{}) || share < most:
		case share > most:
			all, most = []asker{from}, share
		default:
			all = append(all, from)
		}
	}
	return all, most
}

// compare orders requests by how little they matter.
func (r *requests) compare(other *requests) int {
	if (r.calls == 0) != (other.calls == 0) {
		if r.calls == 0 {
			return -1
		}
		return 1
	}
	return r.latest.Compare(other.latest)
}

// mayAsk reports whether a requester has turned to this manager, and has the right to be heard. Whoever is
// not root has to prove it to systemd (polkit(8)), which a connection does not show.
func (m *managed) mayAsk(r *request) bool {
	if r.recorded {
		return r.mayBeTo(m)
	}
	// systemd also listens for the services that it starts once somebody connects (systemd.socket(5)), such as Docker.
	if r.Manager != m.pid || r.Socket != "" && !ofSystemd(r.Socket) {
		return false
	}
	user := r.Requester.User.ID
	switch {
	case !user.Known, r.setUserID():
		return false
	case m.pid != hostInit && user == m.owner: // who is root in a container may be anybody outside
		return true
	case m.personal:
		return user.Value == 0
	}
	// A call on the bus is told once it was obeyed; one that is read from what somebody has sent may be refused.
	return user.Value == 0 || r.Call != nil && r.Socket == ""
}

// setUserID reports whether somebody has connected by the right of another user, whose program he runs, such as su(1): it
// is called what he likes, and lets nobody ask before he has proved who he is.
func (r *request) setUserID() bool {
	caller := r.Requester.RealUser.ID
	return r.Call == nil && caller.Known && caller != r.Requester.User.ID
}

// mayBeTo reports whether a command of an audit record may reach a manager: that of the system in which it was run, by
// the right of root. Where it was run is not known of another host, and then it counts for that host.
func (r *request) mayBeTo(m *managed) bool {
	user := r.Requester.User
	if user.ID.Known && user.ID.Value != 0 || !user.ID.Known && user.Name != "" && user.Name != "root" {
		return false
	}
	if r.foreign {
		return m.pid != hostInit && m.ofSystem() && within(r.cgroup, m.root)
	}
	return m.pid == hostInit
}
