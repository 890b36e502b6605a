// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"container/heap"
	"container/list"
	"slices"
)

// payer is a user of a host who has begun incidents. What is given up when the table is full is that of the host, and
// there of the user, that takes up the most: so nobody can drive out what others do.
type payer struct {
	host *host
	user string
	// open and closed are the incidents, oldest first.
	open, closed list.List
}

// maxPayers is how many users of a host are told apart; whoever has sub-uids has very many.
const maxPayers = 64

// charge makes somebody pay for a new incident.
func (t *Table) charge(i *incident, from *host, user string) {
	if from.payers == nil {
		from.payers = map[string]*payer{}
	}
	p := from.payers[user]
	if p == nil {
		if len(from.payers) >= maxPayers {
			user = ""
			p = from.payers[user]
		}
		if p == nil {
			p = &payer{host: from, user: user}
			from.payers[user] = p
		}
	}
	t.hosts.refer(from)
	i.payer = p
	if i.closed {
		t.closed++
		from.closed++
		i.owned = p.closed.PushBack(i)
	} else {
		from.open++
		i.owned = p.open.PushBack(i)
	}
}

// settle moves an incident that is closed.
func (t *Table) settle(i *incident) {
	i.closed = true
	t.closed++
	i.payer.host.open--
	i.payer.host.closed++
	i.payer.open.Remove(i.owned)
	i.owned = i.payer.closed.PushBack(i)
}

// discharge is the end of an incident for who paid for it.
func (t *Table) discharge(i *incident) {
	p := i.payer
	if i.closed {
		t.closed--
		p.host.closed--
		p.closed.Remove(i.owned)
	} else {
		p.host.open--
		p.open.Remove(i.owned)
	}
	if p.open.Len()+p.closed.Len() == 0 {
		delete(p.host.payers, p.user)
	}
	t.hosts.release(p.host)
}

// bound makes room if the table is full: of closed incidents as long as there are any, then of open ones. But what one host
// takes up far too much of is its own. It makes somewhat more than is needed, as looking for who takes up the most takes a while.
func (t *Table) bound() {
	room, few := membersPerTable*t.config.MaxMembers, 1+t.config.MaxOpen/part
	for len(t.all) > t.config.MaxOpen || t.size > room {
		tooMany, closed, all := len(t.all) > t.config.MaxOpen, t.closed, len(t.all)
		switch {
		case t.closed > 0 && (tooMany || !t.hogged()):
			more := func() bool { return t.closed > max(0, closed-few) }
			t.relieve(more, func(h *host) int { return h.closed }, func(p *payer) int { return p.closed.Len() }, t.evictClosed)
		case tooMany:
			more := func() bool { return len(t.all) > all-few }
			t.relieve(more, func(h *host) int { return h.open }, func(p *payer) int { return p.open.Len() }, t.evictOpen)
		default:
			t.relieve(func() bool { return t.size > room-room/part }, (*host).size, (*payer).size, t.evictBiggest)
		}
	}
}

// part is which part of what there is is given up at a time.
const part = 64

// hogged reports whether one host takes up far more room than others may need.
func (t *Table) hogged() bool {
	const farTooMuch = 8
	for _, h := range t.hosts.byID {
		if h.size() > membersPerTable*t.config.MaxMembers/farTooMuch {
			return true
		}
	}
	return false
}

func (t *Table) evictClosed(p *payer) { t.evict(p.closed.Front().Value.(*incident)) }

func (t *Table) evictOpen(p *payer) { t.evict(p.open.Front().Value.(*incident)) }

// evictBiggest gives up the incidents that take up the most of a payer's, but few at a time.
func (t *Table) evictBiggest(p *payer) {
	all := slices.Collect(p.all)
	slices.SortStableFunc(all, func(a, b *incident) int { return p.share(b) - p.share(a) })
	for _, i := range all[:1+(len(all)-1)/part] {
		t.evict(i)
	}
}

// all calls for each incident, closed ones first.
func (p *payer) all(yield func(*incident) bool) {
	for _, incidents := range []*list.List{&p.closed, &p.open} {
		for e := incidents.Front(); e != nil; e = e.Next() {
			if !yield(e.Value.(*incident)) {
				return
			}
		}
	}
}

// size is what the incidents take up on the payer's own host: whoever acts on many hosts does not pay for each of them.
func (p *payer) size() (size int) {
	for i := range p.all {
		size += p.share(i)
	}
	return size
}

// share is what one of them takes up there: its records are taken to be about all of its processes alike.
func (p *payer) share(i *incident) int {
	return 1 + i.size()*max(1, int(i.members[p.host].targets))/max(1, i.processes)
}

// load is how much a host takes up.
type load struct {
	host   *host
	weight int
}

// loads is a heap, the largest first.
type loads []load

// Len implements heap.Interface.
func (l loads) Len() int { return len(l) }

// Less implements heap.Interface.
func (l loads) Less(i, j int) bool { return l[i].weight > l[j].weight }

// Swap implements heap.Interface.
func (l loads) Swap(i, j int) { l[i], l[j] = l[j], l[i] }

// Push implements heap.Interface.
func (l *loads) Push(x any) { *l = append(*l, x.(load)) }

// Pop implements heap.Interface.
func (l *loads) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// relieve gives up incidents as long as there have to be more, each that of who takes up the most then.
func (t *Table) relieve(more func() bool, weight func(*host) int, weigh func(*payer) int, evict func(*payer)) {
	var all loads
	for _, h := range t.hosts.byID {
		if weight := weight(h); weight > 0 {
			all = append(all, load{h, weight})
		}
	}
	heap.Init(&all)
	for len(all) > 0 && more() {
		h := all[0].host
		evict(h.largest(weigh))
		if all[0].weight = weight(h); all[0].weight == 0 {
			heap.Pop(&all)
		} else {
			heap.Fix(&all, 0)
		}
	}
}

// size is what the incidents that began on a host take up there.
func (h *host) size() (sum int) {
	for _, p := range h.payers {
		sum += p.size()
	}
	return sum
}

// largest returns the user of a host who takes up the most.
func (h *host) largest(weigh func(*payer) int) (found *payer) {
	most := 0
	for _, p := range h.payers {
		if weight := weigh(p); weight > most {
			most, found = weight, p
		}
	}
	return found
}

// evict gives up an incident.
func (t *Table) evict(i *incident) {
	if !i.closed || i.told.due && i.told.state == None { // nobody was ever told of it
		t.counts.Evicted++
		i.Incomplete = true
	}
	t.drop(i, nil)
}

// drop forgets an incident, which may go on in another one. If it was reported as open, that is reported to be over.
func (t *Table) drop(i, into *incident) {
	if i.told.state == Open || i.told.state != None && into != nil {
		t.finish(i, into)
	}
	if i.told.due && i.told.final == nil {
		t.gone++
	}
	t.size -= i.size()
	for k := range i.keys {
		t.remove(k, i)
	}
	for _, k := range i.weak {
		t.remove(k, i)
	}
	if into == nil {
		for known := range i.all {
			t.remove(t.targetKey(known), i)
		}
		for _, uid := range i.records {
			delete(t.byUID, uid)
		}
	}
	for _, h := range i.hosts {
		t.hosts.release(h)
	}
	t.discharge(i)
	delete(t.all, i)
	i.targets, i.members, i.hosts, i.records, i.keys, i.weak = nil, nil, nil, nil, nil, nil
	t.store.drop(i)
}
