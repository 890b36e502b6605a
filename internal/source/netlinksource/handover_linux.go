// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import "bytes"

// handover decides which messages count while the source changes the way it listens. For a
// moment each record then arrives twice: the kernel sends it to all listeners, and right
// after that to the audit daemon (kernel/audit.c, kauditd_send_queue). One socket receives
// both, so their order shows where the source can switch from one stream to the other
// without losing or repeating a record.
type handover struct {
	state state
	// previous is the last record that was sent to all listeners.
	previous      []byte
	previousKind  uint16
	previousKnown bool
}

type state uint8

const (
	// listening uses what is sent to all listeners, serving what is sent to the daemon.
	listening state = iota
	serving
	// toServing and toListening are the transitions between them.
	toServing
	toListening
)

// take calls each with the messages that count now that m has arrived. They are valid until
// the next call.
func (h *handover) take(m *message, each func(*message)) {
	switch h.state {
	case listening:
		if m.multicast {
			each(m)
		}
	case serving:
		if !m.multicast {
			each(m)
		}
	case toServing:
		h.takeToServing(m, each)
	case toListening:
		h.takeToListening(m, each)
	}
}

// takeToServing uses what is sent to all listeners, until the same record arrives again for
// the daemon. Earlier records for the daemon are from the time when there was no daemon;
// the kernel kept them (audit_hold_queue), and they have already been seen.
func (h *handover) takeToServing(m *message, each func(*message)) {
	if m.multicast {
		h.keep(m)
		each(m)
		return
	}
	if h.same(m) {
		h.change(serving)
	}
}

// takeToListening uses what is sent to the daemon, until a record arrives that all
// listeners have already received. Two messages to all listeners in a row mean that the
// kernel no longer sends anything to the daemon.
func (h *handover) takeToListening(m *message, each func(*message)) {
	if !m.multicast {
		each(m)
		if h.same(m) {
			h.change(listening)
		}
		return
	}
	if h.previousKnown {
		h.release(each)
		each(m)
		return
	}
	h.keep(m)
}

// release passes on the message that is held back, if any: no other has come after it.
func (h *handover) release(each func(*message)) {
	if h.state == toListening && h.previousKnown {
		each(&message{kind: h.previousKind, multicast: true, data: h.previous})
		h.change(listening)
	}
}

func (h *handover) change(to state) {
	h.state, h.previousKnown = to, false
}

func (h *handover) keep(m *message) {
	h.previous = append(h.previous[:0], m.data...)
	h.previousKind, h.previousKnown = m.kind, true
}

func (h *handover) same(m *message) bool {
	return h.previousKnown && h.previousKind == m.kind && bytes.Equal(h.previous, m.data)
}
