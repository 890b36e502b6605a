// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"cmp"
	"container/list"
	"encoding/json"
	"fmt"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// saved is what outlives a restart of the collector.
type saved struct {
	// Boot is the id of the boot that the processes belong to.
	Boot     string
	Episodes []savedEpisode
	Calls    []callState
	// Survivors have survived a signal. If they end later, nobody may be told that none was seen.
	Survivors []survivor
	// Senders are the senders of all signals, Behinds who and what is behind them, each once.
	Senders []*kill.Process
	Behinds []*kill.Behind `json:",omitempty"`
}

type survivor struct {
	PID   int
	Start time.Duration
	// Signals are those that it has survived; 0 if nothing is known of them.
	Signals numbers
}

type savedEpisode struct {
	PID   int
	Start time.Duration
	Call  kill.Span
	// Sent and LastSentBy stand in for the parts of the state that have pointers.
	Sent           []savedSent
	Omitted        int
	OmittedSignals int `json:",omitempty"`
	LastSentBy     int
	episodeState
}

// savedSent is a signal. Sender is an index of saved.Senders, Behind one of saved.Behinds plus 1; 0 if nothing
// is known to be behind it.
type savedSent struct {
	entry
	Sender int
	Behind int `json:",omitempty"`
}

// Save returns the state that Restore reads.
func (t *Table) Save() ([]byte, error) {
	s := saver{table: t, saved: saved{Boot: t.config.BootID}, senders: map[*kill.Process]int{}, behinds: map[*kill.Behind]int{}}
	for _, queue := range []*list.List{t.ended, t.gone, t.alive} {
		for at := queue.Front(); at != nil; at = at.Next() {
			ep := at.Value.(*episode)
			kept := savedEpisode{
				PID: ep.pid, Start: ep.start, Omitted: ep.signals.omitted, OmittedSignals: ep.signals.omittedSignals,
				LastSentBy: s.place(ep.LastSender), episodeState: ep.episodeState,
			}
			kept.Target = t.concealed(kept.Target)
			for _, sent := range ep.signals.entries() {
				kept.Sent = append(kept.Sent, savedSent{sent, s.place(sent.Sender), s.placeOfBehind(sent.Behind)})
			}
			if ep.call != nil {
				kept.Call = ep.call.Span
			}
			s.Episodes = append(s.Episodes, kept)
		}
	}
	for _, c := range t.calls {
		kept := c.callState
		e := *kept.Event
		e.Sender, e.Behind = t.concealed(e.Sender), t.concealedBehind(e.Behind)
		kept.Event = &e
		s.Calls = append(s.Calls, kept)
	}
	for _, who := range t.survivors.order {
		s.Survivors = append(s.Survivors, survivor{who.pid, who.start, t.survivors.known[who]})
	}
	data, err := json.Marshal(s.saved)
	if err != nil {
		return nil, fmt.Errorf("saving the processes that are watched: %w", err)
	}
	t.changed = false
	return data, nil
}

// sender returns the sender at an index; nil if the data are damaged.
func (s *saved) sender(place int) *kill.Process {
	if place < 0 || place >= len(s.Senders) {
		return nil
	}
	return s.Senders[place]
}

// behind returns who and what is behind a signal; nil if that is not known, or if the data are damaged.
func (s *saved) behind(place int) *kill.Behind {
	if place <= 0 || place > len(s.Behinds) {
		return nil
	}
	return s.Behinds[place-1]
}

// Restore resumes what was saved before the collector was restarted. How a process ended in
// the meantime is not known.
func (t *Table) Restore(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("reading which processes were watched: %w", err)
	}
	for _, c := range s.Calls {
		if c.Event != nil && c.Verdicts != nil {
			t.calls[c.Span] = &call{callState: c}
		}
	}
	if s.Boot == t.config.BootID {
		for _, who := range s.Survivors {
			t.survivors.remember(instance{who.PID, who.Start}, cmp.Or(who.Signals, anyNumber))
		}
	}
	for i := range s.Episodes {
		t.restore(&s, &s.Episodes[i])
	}
	for span, c := range t.calls {
		if c.open == 0 {
			delete(t.calls, span)
		}
	}
	t.changed = true
	return nil
}

func (t *Table) restore(s *saved, kept *savedEpisode) {
	signals, ok := s.history(kept)
	lastSender := s.sender(kept.LastSentBy)
	if !ok || lastSender == nil || t.open[kept.PID] != nil || t.watched.Load() >= MaxWatches {
		return
	}
	now := t.now()
	waited := min(max(now.Sub(signals.first.Time), 0), t.config.Timeout)
	ep := &episode{
		pid: kept.PID, start: kept.Start, missed: true, due: now.Add(t.config.Timeout - waited), episodeState: kept.episodeState,
	}
	ep.signals, ep.LastSender = signals, lastSender
	t.held += signals.len()
	if ep.call = t.calls[kept.Call]; ep.call != nil {
		ep.call.open++
	}
	ended := ep.Ended
	ep.Ended = time.Time{}
	t.watch(ep)
	switch {
	case !ended.IsZero():
		t.end(ep, ended, ep.Exit, ep.LastName)
	case s.Boot != t.config.BootID || t.config.Exits.Resume(ep.pid, ep.start) != nil:
		ep.unseen = true
		t.end(ep, now, kill.Exit{}, "")
	}
}

// history returns the signals of a saved episode; false if the data are damaged.
func (s *saved) history(kept *savedEpisode) (history, bool) {
	signals := make([]entry, 0, len(kept.Sent))
	for _, sent := range kept.Sent {
		sent.entry.Sender = s.sender(sent.Sender)
		if sent.entry.Sender == nil {
			return history{}, false
		}
		sent.entry.Behind = s.behind(sent.Behind)
		signals = append(signals, sent.entry)
	}
	return restoreHistory(signals, kept.Omitted, kept.OmittedSignals)
}
