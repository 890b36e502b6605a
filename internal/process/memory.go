// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

const (
	// maxGone is how many ended processes are remembered: those of a second on the busiest host, of
	// hours on a typical one.
	maxGone = 1 << 13
	// maxLives is how many lives of one pid are remembered. More than two appear only where
	// somebody manipulates the numbers.
	maxLives = 4
)

// memory is the bounded store of entries.
type memory struct {
	// newest holds the last life of each pid, which links to the earlier ones.
	newest  map[int]*entry
	gone    []*entry // in the order in which they ended
	size    int
	max     int
	evicted uint64
}

func newMemory(limit int) memory {
	return memory{newest: make(map[int]*entry), max: limit}
}

func (m *memory) find(key Key) *entry {
	e := m.newest[key.PID]
	for e != nil && e.Start != key.Start {
		e = e.older
	}
	return e
}

// add adds a process that is not there yet.
func (m *memory) add(e *entry) {
	if m.size >= m.max {
		m.evict()
	}
	m.size++
	newer := m.newest[e.PID]
	if newer == nil || newer.Start < e.Start {
		if e.older = newer; newer != nil {
			m.leave(newer)
		}
		m.newest[e.PID] = e
	} else { // a late event is about an older life
		for newer.older != nil && newer.older.Start > e.Start {
			newer = newer.older
		}
		e.older, newer.older = newer.older, e
		m.leave(e)
	}
	m.limitLives(e.PID)
}

// limitLives forgets the oldest lives of a pid.
func (m *memory) limitLives(pid int) {
	e := m.newest[pid]
	for range maxLives - 1 {
		if e = e.older; e == nil {
			return
		}
	}
	for e.older != nil {
		m.forget(e.older)
	}
}

// leave notes that a process has ended.
func (m *memory) leave(e *entry) {
	if e.gone {
		return
	}
	e.gone = true
	m.gone = append(m.gone, e)
	if len(m.gone) > maxGone {
		m.forgetGone()
	}
}

// evict makes room: it removes an ended process if there is one, otherwise one that /proc still knows.
func (m *memory) evict() {
	m.evicted++
	if m.forgetGone() {
		return
	}
	for _, e := range m.newest {
		m.forget(e)
		return
	}
}

// forgetGone forgets the process that ended first.
func (m *memory) forgetGone() bool {
	for len(m.gone) > 0 {
		e := m.gone[0]
		m.gone[0] = nil
		m.gone = m.gone[1:]
		if e.gone && !e.forgotten {
			m.forget(e)
			return true
		}
	}
	return false
}

func (m *memory) forget(e *entry) {
	newer := m.newest[e.PID]
	switch {
	case newer != e:
		for newer.older != e {
			newer = newer.older
		}
		newer.older = e.older
	case e.older != nil:
		m.newest[e.PID] = e.older
	default:
		delete(m.newest, e.PID)
	}
	e.older, e.forgotten = nil, true
	m.size--
}
