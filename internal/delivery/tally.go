// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/series"
)

// tally counts the events of a batch. The metrics get them at its end, because a storm has
// many events in a batch.
type tally struct {
	filtered int64
	events   map[kill.Kind]int64

	allFiltered series.Counter
	allEvents   map[kill.Kind]series.Counter
}

func newTally(s *Settings) *tally {
	t := &tally{
		events:      map[kill.Kind]int64{},
		allFiltered: s.Series.Counter(s.Telemetry.ReceiverAuditKillFiltered),
		allEvents:   map[kill.Kind]series.Counter{},
	}
	for _, kind := range kill.Kinds() {
		t.allEvents[kind] = s.Series.Counter(s.Telemetry.ReceiverAuditKillEvents, attribute.String("event.name", string(kind)))
	}
	return t
}

// report adds the counts to the metrics, and starts anew.
func (t *tally) report(ctx context.Context) {
	if t.filtered > 0 {
		t.allFiltered.Add(ctx, t.filtered)
		t.filtered = 0
	}
	for kind, n := range t.events {
		t.allEvents[kind].Add(ctx, n)
	}
	clear(t.events)
}
