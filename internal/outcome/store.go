// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// saved is what is kept over a restart of the collector.
type saved struct {
	// Boot is the id of the boot in which the processes lived.
	Boot     string
	Episodes []savedEpisode
	Calls    []callStory
}

type savedEpisode struct {
	PID   int
	Start time.Duration
	Call  kill.Span
	story
}

// Save returns what Restore needs.
func (t *Table) Save() ([]byte, error) {
	s := saved{Boot: t.config.BootID}
	for _, ep := range t.episodes() {
		kept := savedEpisode{PID: ep.pid, Start: ep.start, story: ep.story}
		if ep.call != nil {
			kept.Call = ep.call.Span
		}
		s.Episodes = append(s.Episodes, kept)
	}
	for _, c := range t.calls {
		s.Calls = append(s.Calls, c.callStory)
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("saving the processes that are followed: %w", err)
	}
	t.changed = false
	return data, nil
}

// episodes returns all that are open, those that began first before the others.
func (t *Table) episodes() []*episode {
	all := make([]*episode, 0, t.ended.Len()+t.waiting.Len())
	for place := t.ended.Front(); place != nil; place = place.Next() {
		all = append(all, place.Value.(*episode))
	}
	for place := t.waiting.Front(); place != nil; place = place.Next() {
		all = append(all, place.Value.(*episode))
	}
	return all
}

// Restore goes on with what was saved before the collector was restarted. Of a process
// that has ended meanwhile nobody knows how.
func (t *Table) Restore(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("reading which processes were followed: %w", err)
	}
	for _, c := range s.Calls {
		if c.Event != nil && c.Verdicts != nil {
			t.calls[c.Span] = &call{callStory: c}
		}
	}
	for i := range s.Episodes {
		t.restore(&s.Episodes[i], s.Boot == t.config.BootID)
	}
	for span, c := range t.calls {
		if c.open == 0 {
			delete(t.calls, span)
		}
	}
	t.changed = true
	return nil
}

func (t *Table) restore(kept *savedEpisode, sameBoot bool) {
	now := t.now()
	ep := &episode{
		pid: kept.PID, start: kept.Start, restored: true, due: t.dueAt(now, kept.Began), story: kept.story,
	}
	if len(ep.Signals) == 0 || ep.Signals[0].Sender == nil || t.open[ep.pid] != nil || t.waiting.Len() >= MaxWatched {
		return
	}
	if ep.call = t.calls[kept.Call]; ep.call != nil {
		ep.call.open++
	}
	ended := ep.Ended
	ep.Ended = time.Time{}
	t.watch(ep)
	switch {
	case !ended.IsZero():
		t.end(ep, ended, ep.Exit, ep.LastName)
	case !sameBoot || t.config.Exits.Resume(ep.pid, ep.start) != nil:
		t.end(ep, now, kill.Exit{}, "")
	}
}
