// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// host is one that members are from.
type host struct {
	id, name string
	// latest is the time of the last record that it has sent.
	latest time.Time
	// incidents is how many refer to it.
	incidents int
	addresses []netip.Addr
	payers    map[string]*payer
	// open and closed are how many incidents began on it.
	open, closed int
}

// label is what people call the host.
func (h *host) label() string {
	if h.name != "" {
		return h.name
	}
	return h.id
}

// hosts are those that incidents refer to.
type hosts struct {
	byID map[string]*host
	// byAddress has those that claim an address. One that several have, as many have that of a bridge, leads to none.
	byAddress map[netip.Addr][]*host
	// changed has the ids of hosts whose addresses are to be stored, or are stored no more; nil if nothing is stored.
	changed map[string]struct{}
}

func newHosts(persistent bool) hosts {
	h := hosts{byID: map[string]*host{}, byAddress: map[netip.Addr][]*host{}}
	if persistent {
		h.changed = map[string]struct{}{}
	}
	return h
}

func (h *hosts) change(of *host) {
	if h.changed != nil && len(of.addresses) > 0 {
		h.changed[of.id] = struct{}{}
	}
}

// of returns the host of a record, which is forgotten again unless an incident refers to it.
func (h *hosts) of(r *Record) *host {
	known := h.byID[r.HostID]
	if known == nil {
		return &host{id: strings.Clone(r.HostID), name: strings.Clone(r.HostName), latest: r.Time}
	}
	if r.Time.After(known.latest) {
		known.latest = r.Time
	}
	return known
}

// refer notes that an incident refers to a host.
func (h *hosts) refer(to *host) {
	to.incidents++
	if to.incidents == 1 {
		h.byID[to.id] = to
	}
}

// hear notes the addresses that a record has of its host. An older one tells nothing: another host may have these by now.
func (h *hosts) hear(from *host, r *Record) {
	if len(r.Addresses) > 0 && !r.Time.Before(from.latest) {
		h.learn(from, r.Addresses)
	}
}

// learn notes which addresses a host has.
func (h *hosts) learn(to *host, addresses []string) {
	var known [maxAddresses]netip.Addr
	all := known[:0]
	for _, text := range addresses[:min(len(addresses), maxAddresses)] {
		address, err := netip.ParseAddr(text)
		if address = address.Unmap(); err == nil && address.IsGlobalUnicast() && !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	if slices.Equal(all, to.addresses) {
		return
	}
	h.forget(to)
	to.addresses = slices.Clone(all)
	for _, address := range all {
		h.byAddress[address] = append(h.byAddress[address], to)
	}
	h.change(to)
}

// forget notes that a host has none of its addresses any more.
func (h *hosts) forget(from *host) {
	h.change(from)
	for _, address := range from.addresses {
		claims := slices.DeleteFunc(h.byAddress[address], func(claims *host) bool { return claims == from })
		if len(claims) == 0 {
			delete(h.byAddress, address)
		} else {
			h.byAddress[address] = claims
		}
	}
	from.addresses = nil
}

// release notes that an incident does not refer to a host any more.
func (h *hosts) release(from *host) {
	from.incidents--
	if from.incidents > 0 {
		return
	}
	delete(h.byID, from.id)
	h.forget(from)
}

// only returns the only host that has an address; nil if there is none, or if there are several.
func (h *hosts) only(address netip.Addr) *host {
	if claims := h.byAddress[address]; len(claims) == 1 {
		return claims[0]
	}
	return nil
}

// from returns the only host that a login came from, if that is another one of the fleet; else nil.
func (h *hosts) from(r *Record, to *host) *host {
	if from := h.only(r.client); from != to {
		return from
	}
	return nil
}

// has reports whether a host has an address.
func (h *host) has(address netip.Addr) bool {
	return address.IsValid() && slices.Contains(h.addresses, address)
}
