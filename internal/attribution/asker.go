// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"strconv"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// asker is where requests come from, each of which only displaces its own: a user of the host or of a container.
type asker struct {
	user uint32
	// container is empty for the host.
	container string
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

// makeRoomForRequester forgets whose last request is the oldest. The host's root is never forgotten.
func (t *Table) makeRoomForRequester() {
	if len(t.requests) < maxRequesters {
		return
	}
	var oldest asker
	for from, of := range t.requests {
		if from != (asker{}) && (oldest == asker{} || of.latest.Before(t.requests[oldest].latest)) {
			oldest = from
		}
	}
	t.forget(t.requests[oldest].all)
	delete(t.requests, oldest)
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
