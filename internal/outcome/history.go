// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// entry is one signal of a history.
type entry struct {
	kill.Sent
	// Reported is true if only the kernel's report that the process dies of the signal was
	// seen (kill.KindAbend), not the signal itself.
	Reported bool
}

// fatal reports whether the signal by default ends the process, which may have handled or ignored it.
func (s *entry) fatal() bool {
	return s.Reported || s.Signal.Fatal() && !s.Result.Failed() && s.Delivery != kill.DeliveryOverflow
}

// certain reports whether the signal is known to have reached the process. A signal to several
// processes may have been refused for this one.
func (s *entry) certain() bool { return s.fatal() && (s.Reported || s.Result.Known) }

// history is the signals to one process in the order in which they were sent, from the
// first fatal one on. There is no empty history.
type history struct {
	first entry
	later []entry
	// omitted is how many entries were left out between the first and the last ones, and omittedSignals how many signals
	// they stood for.
	omitted, omittedSignals int
}

// newHistory begins a history with a fatal signal.
func newHistory(first entry) history { return history{first: first} }

// restoreHistory returns a history of saved signals; false if they do not make one.
func restoreHistory(saved []entry, omitted, omittedSignals int) (history, bool) {
	if len(saved) == 0 || !saved[0].fatal() {
		return history{}, false
	}
	return history{first: saved[0], later: saved[1:], omitted: omitted, omittedSignals: max(omittedSignals, omitted)}, true
}

// len returns how many signals the history holds.
func (h *history) len() int { return 1 + len(h.later) }

// last returns the signal that was sent last.
func (h *history) last() *entry {
	if len(h.later) == 0 {
		return &h.first
	}
	return &h.later[len(h.later)-1]
}

// lastFatal returns the last fatal signal that is known to have reached the process; the first one
// if there is none.
func (h *history) lastFatal() *entry {
	for i := len(h.later) - 1; i >= 0; i-- {
		if h.later[i].certain() {
			return &h.later[i]
		}
	}
	return &h.first
}

// certain reports whether a fatal signal is known to have reached the process.
func (h *history) certain() bool { return h.lastFatal().certain() }

// sent returns all signals.
func (h *history) sent() []kill.Sent {
	all := make([]kill.Sent, 0, h.len())
	all = append(all, h.first.Sent)
	for i := range h.later {
		all = append(all, h.later[i].Sent)
	}
	return all
}

// entries returns all signals as they are saved.
func (h *history) entries() []entry { return append([]entry{h.first}, h.later...) }

// outOfMemory returns what is known of the lack of memory for which the kernel killed the process, and what
// the process held; nil if it did not, or nothing is known.
func (h *history) outOfMemory() (*kill.OutOfMemory, *kill.Memory) {
	for i := len(h.later) - 1; i >= 0; i-- {
		if s := &h.later[i]; s.Cause == kill.CauseOOM {
			return s.OutOfMemory, s.Memory
		}
	}
	if h.first.Cause == kill.CauseOOM {
		return h.first.OutOfMemory, h.first.Memory
	}
	return nil, nil
}

// explains reports whether the history has a fatal signal of that number itself, not only
// the report of a death by it.
func (h *history) explains(number kill.Signal) bool {
	matches := func(s entry) bool { return s.Signal == number && !s.Reported && s.fatal() }
	return matches(h.first) || slices.ContainsFunc(h.later, matches)
}

// add adds a signal, and omits one if there are more than limit then. It reports false for
// a signal before the first fatal one, which does not count, nor does one that may not have reached
// the process if that one did. Signals may arrive out of order.
func (h *history) add(s entry, limit int) bool {
	if s.Time.Before(h.first.Time) {
		if !s.fatal() || h.certain() && !s.certain() {
			return false
		}
		h.first, s = s, h.first
	}
	at := len(h.later)
	for at > 0 && h.later[at-1].Time.After(s.Time) {
		at--
	}
	h.later = slices.Insert(h.later, at, s)
	if h.len() > limit {
		h.omitted++
		h.omittedSignals += max(h.later[limit/2-1].Count, 1)
		h.later = slices.Delete(h.later, limit/2-1, limit/2)
	}
	return true
}

// replace puts a signal in the place of the kernel's report that the process dies of it,
// and reports whether there was one. A process does not die of a signal that was refused or
// sent only afterwards.
func (h *history) replace(s entry) bool {
	if !s.certain() {
		return false
	}
	reported := func(other entry) bool {
		return other.Reported && other.Signal == s.Signal && !s.Time.After(other.Time)
	}
	if reported(h.first) {
		h.first = s
		return true
	}
	at := slices.IndexFunc(h.later, reported)
	if at < 0 {
		return false
	}
	h.later = slices.Delete(h.later, at, at+1)
	return h.add(s, h.len()+1)
}
