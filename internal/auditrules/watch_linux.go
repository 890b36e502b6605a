// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// recordDelay is how long the record of a change may take to arrive, from which we learn who
	// has made it.
	recordDelay = time.Second
	// maxHindrances is how many hindrances are reported within restorationWindow. Somebody who
	// adds and removes a rule again and again would fill the backend.
	maxHindrances = 20
)

// watch finds what hinders the rules, and reports it each time that it comes.
type watch struct {
	changes *Changes
	applies func(daemon int) bool
	logger  *zap.Logger
	now     func() time.Time
	limit   limit
	// looked is when the last look began; zero before the first.
	looked time.Time
	// present is what hindered the rules at the last look, waiting that of it which is not reported
	// yet.
	present map[kill.Tamper]bool
	waiting map[kill.Tamper]wait
	// refused is true once the kernel has refused to answer, as it will go on to do.
	refused bool
}

// wait is the time between since and found, in which a hindrance came.
type wait struct{ since, found time.Time }

func newWatch(g *Guard) *watch {
	return &watch{
		changes: g.Changes, applies: g.Applies, logger: g.Logger, now: time.Now, limit: limit{now: time.Now, most: maxHindrances},
		present: make(map[kill.Tamper]bool), waiting: make(map[kill.Tamper]wait),
	}
}

// look returns an event for each hindrance that is new. Those of the first look were there before.
func (w *watch) look(m *Manager) []*kill.Event {
	if w.refused {
		return nil
	}
	began := w.now()
	found, daemon, err := m.hindrances()
	switch {
	case err != nil:
		w.failed(err)
		return nil
	case w.applies != nil && !w.applies(daemon):
		return nil
	}
	blind := slices.ContainsFunc(found, func(h hindrance) bool { return h.blinds })
	present := make(map[kill.Tamper]bool)
	var events []*kill.Event
	for _, h := range found {
		if e := w.told(h, blind); e != nil && !present[h.Tamper] {
			events = append(events, e)
		}
		present[h.Tamper] = true
	}
	for tamper := range w.waiting {
		if !present[tamper] {
			delete(w.waiting, tamper)
		}
	}
	w.present, w.looked = present, began
	return w.limited(events)
}

// told returns the event of a hindrance; nil if it was reported, or if a record may still say who
// did it.
func (w *watch) told(h hindrance, blind bool) *kill.Event {
	came, waits := w.waiting[h.Tamper]
	switch {
	case w.looked.IsZero():
		return kill.Found(w.now(), h.Tamper)
	case !waits && w.present[h.Tamper]:
		return nil
	case !waits:
		came = wait{since: w.looked, found: w.now()}
	}
	delete(w.waiting, h.Tamper)
	if w.changes.reported(came.since, h.Tamper) {
		return nil
	}
	// While records are lost, that of the rule may be, and another one be taken for it.
	if adder := w.changes.adder(came.since, h.list, h.key); adder != nil && !blind {
		e, tamper := *adder, h.Tamper
		e.Tamper = &tamper
		return &e
	}
	if w.now().Sub(came.found) < recordDelay {
		w.waiting[h.Tamper] = came
		return nil
	}
	return kill.Found(w.now(), h.Tamper)
}

// limited returns those of the events that are not too many.
func (w *watch) limited(events []*kill.Event) []*kill.Event {
	kept := slices.DeleteFunc(events, func(*kill.Event) bool { return !w.limit.allow() })
	if dropped := len(events) - len(kept); dropped > 0 {
		w.logger.Error("audit is hindered again and again, so not all of that is reported", zap.Int("events", dropped))
	}
	return kept
}

// failed logs that the kernel does not say what hinders the rules. Whoever only reads records may
// not ask, and need not.
func (w *watch) failed(err error) {
	w.refused = auditcontrol.Refused(err)
	w.logger.Debug("cannot find out whether audit rules are hindered; that requires CAP_AUDIT_CONTROL", zap.Error(err))
}
