// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import "bytes"

// handover decides which messages count while the source changes the way it
// listens. For a moment each record then comes twice: the kernel sends it to
// those who listen, and right after that to the audit daemon (kernel/audit.c,
// kauditd_send_queue). One socket takes both, so that their order tells where
// one stream can be left for the other without losing or repeating a record.
type handover struct {
	state state
	// previous is the record that was last sent to all who listen.
	previous      []byte
	previousKind  uint16
	previousKnown bool
}

type state uint8

const (
	// listening takes what is sent to all, serving what is sent to the daemon.
	listening state = iota
	serving
	// toServing and toListening are on the way from one to the other.
	toServing
	toListening
)

// take returns the messages that count now that m has come. They are valid
// until the next call.
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

// takeToServing takes what is sent to all until the same comes again for the
// daemon. What comes for the daemon before that is of the time when there was
// no daemon, kept by the kernel (audit_hold_queue), and is known already.
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

// takeToListening takes what is sent to the daemon until it has come to all
// before. Two messages to all with nothing in between mean that nothing is sent
// to the daemon anymore.
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

// release takes the message that is held back, if any: no other has followed it.
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
