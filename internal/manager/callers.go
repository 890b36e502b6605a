// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/auditkill/auditkillreceiver/internal/dbus"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// maxCallers is how many connections to the host's bus are remembered of those whom systemd obeys in any case, and how many
// of all others: anybody may connect all the time. It is more than there are questions to a bus that wait for their answers
// (internal/dbus), so that none is forgotten before it is known whose it is. maxCallersOfOther is the same of another bus, whose
// owner may invent some.
const maxCallers, maxCallersOfOther = 4096, 512

// caller is who is behind a connection to a bus. Without a pid he could not be found out.
type caller struct {
	pid  int
	user kill.ID
	// login and session are what he has logged in as: he may be gone before anybody else can find that out.
	login, session kill.ID
	// trusted is true for root, and for the user whose bus it is: systemd obeys them in any case.
	trusted bool
}

// callers finds out who is behind the connections to a bus, whose names are never given out again. It asks as soon as
// there is a connection: many are closed as soon as their call was answered.
type callers struct {
	*link
	mu    sync.Mutex
	known map[string]*inquiry
	// trusted are the names in known of those who are trusted, in the order of the answers; names are the others, in the order
	// in which they were asked for.
	names, trusted []string
}

// inquiry is a connection that the bus was asked about.
type inquiry struct {
	answered bool
	caller   caller
	// waiting are called with the answer.
	waiting []func(caller)
}

func newCallers(l *link) *callers { return &callers{link: l, known: make(map[string]*inquiry)} }

// find calls take with who is behind a connection, sooner or later. The connection may be closed soon.
func (c *callers) find(name string, take func(caller)) {
	c.mu.Lock()
	at := c.known[name]
	if at != nil && at.answered {
		c.mu.Unlock()
		take(at.caller)
		return
	}
	if at != nil {
		at.waiting = append(at.waiting, take)
		c.mu.Unlock()
		return
	}
	at = &inquiry{waiting: []func(caller){take}}
	c.remember(name, at)
	c.mu.Unlock()
	c.callBus("GetConnectionCredentials", func(reply *dbus.Message, err error) {
		found := caller{}
		if err == nil {
			found = c.identify(reply.Body())
		} else if refusal := (*dbus.Error)(nil); !errors.As(err, &refusal) {
			c.forget(name, at) // the bus was not asked, or has not answered
		}
		c.answer(name, at, found)
	}, name)
}

// trusts reports whether a connection is known to be of somebody whom systemd obeys.
func (c *callers) trusts(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.known[name]
	return at != nil && at.answered && at.caller.trusted
}

func (c *callers) answer(name string, at *inquiry, found caller) {
	c.mu.Lock()
	waiting := at.waiting
	at.answered, at.caller, at.waiting = true, found, nil
	if found.trusted && c.known[name] == at {
		c.names = slices.DeleteFunc(c.names, func(other string) bool { return other == name })
		c.trusted = c.append(c.trusted, name)
	}
	c.mu.Unlock()
	for _, take := range waiting {
		take(found)
	}
}

// remember notes a connection. mu is held.
func (c *callers) remember(name string, at *inquiry) {
	c.known[name] = at
	c.names = c.append(c.names, name)
}

// append adds a connection, and forgets the first one if there are too many. mu is held.
func (c *callers) append(names []string, name string) []string {
	limit := maxCallers
	if c.link != nil && c.others {
		limit = maxCallersOfOther
	}
	if len(names) >= limit {
		delete(c.known, names[0]) // it can be asked for again, and what waits for it is answered all the same
		names = names[1:]
	}
	return append(names, name)
}

func (c *callers) forget(name string, at *inquiry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[name] == at {
		delete(c.known, name)
		c.names = slices.DeleteFunc(c.names, func(other string) bool { return other == name })
	}
}

// identify returns who is behind a connection, as we name processes and users. The bus of a container has others'
// names for them, and that of a user may lie: only his own processes may call on it.
func (c *callers) identify(b *dbus.Body) caller {
	inner, user := uint64(0), uint64(math.MaxUint64)
	b.Properties(func(name string, v dbus.Value) {
		switch name {
		case "ProcessID":
			inner = v.Number
		case "UnixUserID":
			user = v.Number
		}
	})
	if b.Failed() || inner == 0 || inner > maxPID || user >= math.MaxUint32 {
		return caller{}
	}
	found := caller{pid: int(inner), user: kill.NewID(uint32(user)), trusted: user == 0}
	if !c.of.host {
		found.pid = c.watcher.pids.outer(c.of, int(inner))
		found.user = c.of.userOf(found.pid)
		found.trusted = found.user == kill.NewID(c.of.user)
		if !found.user.Known || !c.system() && !found.trusted {
			return caller{}
		}
	}
	login, session, his := c.of.loginOf(found.pid, found.user)
	if !his {
		return caller{}
	}
	found.login, found.session = login, session
	return found
}
