// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// origins are the addresses that the logins behind an incident came from. Somebody who goes on from one host of the fleet to another has
// several.
type origins struct {
	// First is the first one, Others are further ones. Mixed is true if there were some without room. Older versions stored the first
	// one, and whether there were others.
	First  string   `json:"v,omitempty"`
	Others []string `json:"o,omitempty"`
	Mixed  bool     `json:"m,omitempty"`
}

// all calls for each address.
func (o *origins) all(yield func(string) bool) {
	if o.First == "" || !yield(o.First) {
		return
	}
	for _, address := range o.Others {
		if !yield(address) {
			return
		}
	}
}

// place returns the place of an address, from 1; 0 if it is not there.
func (o *origins) place(address string) int32 {
	n := int32(0)
	for known := range o.all {
		n++
		if known == address {
			return n
		}
	}
	return 0
}

// at returns the address at a place; empty if there is none.
func (o *origins) at(place int32) string {
	switch {
	case place == 1:
		return o.First
	case place > 1 && int(place-2) < len(o.Others):
		return o.Others[place-2]
	}
	return ""
}

// add adds an address, and returns its place; 0 if there is no room for it.
func (o *origins) add(address string) int32 {
	address = cutName(address)
	if place := o.place(address); place > 0 || address == "" {
		return place
	}
	switch {
	case o.First == "":
		o.First = strings.Clone(address)
		return 1
	case len(o.Others)+1 >= maxOrigins:
		o.Mixed = true
		return 0
	}
	o.Others = append(o.Others, strings.Clone(address))
	return int32(len(o.Others) + 1)
}

func (o *origins) absorb(other *origins) {
	for address := range other.all {
		o.add(address)
	}
	o.Mixed = o.Mixed || other.Mixed
}

// bytes is how long all addresses are.
func (o *origins) bytes() (n int) {
	for address := range o.all {
		n += len(address)
	}
	return n
}

// within reports whether others have all of the addresses.
func (o *origins) within(others *origins) bool {
	if o.Mixed {
		return false
	}
	for address := range o.all {
		if others.place(address) == 0 {
			return false
		}
	}
	return true
}

// contradicts reports whether somebody else is behind the incident than behind a record.
func (i *incident) contradicts(r *Record) bool {
	if i.excludes(r) {
		return true
	}
	return r.Client != "" && i.origins.First != "" && i.origins.First != r.Client && i.origins.place(cutName(r.Client)) == 0
}

// leadsTo reports whether a login over a host can be that of who is behind the incident, as far as it says where it came from.
func (t *Table) leadsTo(i *incident, r *Record, over *host) bool {
	client := origins{First: cutName(r.Client)}
	return !i.excludes(r) && t.oneWay(&i.origins, &client, func(h *host) bool { return h == over || i.on(h) })
}

// oneWay reports whether logins that came from some addresses, and from others, can be those of one person: the ones have all of the
// others, or all but one are those of hosts through which he came.
func (t *Table) oneWay(some, others *origins, through func(*host) bool) bool {
	if some.within(others) || others.within(some) {
		return true
	}
	if some.Mixed || others.Mixed {
		return false
	}
	outside := ""
	for _, addresses := range [...]*origins{some, others} {
		for address := range addresses.all {
			if h := t.hosts.at(address); h != nil && through(h) {
				continue
			}
			if outside != "" && address != outside {
				return false
			}
			outside = address
		}
	}
	return true
}

// on reports whether an incident has members on a host.
func (i *incident) on(h *host) bool {
	_, on := i.members[h]
	return on
}

// addOrigin notes which address the login of a member came from. One that the host has itself says nothing of other hosts.
func (t *Table) addOrigin(i *incident, r *Record, k *keys, to *host) {
	place := i.origins.add(r.Client)
	if place > 0 && k.hop != (key{}) && !to.has(r.client) {
		t.cameFrom(i, to, place)
	}
}

// cameFrom notes which address somebody came from to a host; of several the first one that leads to another host.
func (t *Table) cameFrom(i *incident, to *host, place int32) {
	known := i.members[to]
	if known.origin == place || known.origin > 0 && t.hosts.at(i.origins.at(known.origin)) != nil {
		return
	}
	known.origin = place
	i.members[to] = known
	t.store.came(i, to)
}

// hop is a login from one host of the fleet on another.
type hop struct{ from, to *host }

// hops returns where logins came from another host of the fleet, as far as one host alone has the address.
func (t *Table) hops(i *incident) (hops []hop) {
	for _, to := range i.hosts {
		if len(hops) >= maxListed {
			break
		}
		if from := t.hosts.at(i.origins.at(i.members[to].origin)); from != nil && from != to {
			hops = append(hops, hop{from, to})
		}
	}
	return hops
}

// path returns through which hosts somebody came, in the order of that; nil if he came from nowhere in the fleet.
func (t *Table) path(i *incident) (path []string) {
	hops := t.hops(i)
	origins, distances := make(map[*host]*host, len(hops)), map[*host]int{}
	var hosts []*host
	for _, h := range hops {
		origins[h.to] = h.from
		for _, each := range []*host{h.from, h.to} {
			if !slices.Contains(hosts, each) {
				hosts = append(hosts, each)
			}
		}
	}
	for _, h := range hosts {
		distances[h] = distance(h, origins)
	}
	// A record may have come before that of the host before.
	slices.SortStableFunc(hosts, func(a, b *host) int { return distances[a] - distances[b] })
	for _, h := range hosts[:min(len(hosts), maxListed)] {
		path = append(path, visible.Message(h.label()))
	}
	return path
}

// distance is how many hops a host is away from where somebody came into the fleet. Hosts that each came from the next are
// a ring, which has no beginning.
func distance(of *host, origins map[*host]*host) int {
	for n := range len(origins) {
		from, known := origins[of]
		if !known {
			return n
		}
		of = from
	}
	return len(origins)
}

// at returns the only host that has an address; nil if there is none, or if there are several.
func (h *hosts) at(text string) *host {
	if len(h.byAddress) == 0 || text == "" {
		return nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return nil
	}
	return h.only(address)
}
