// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import "sync/atomic"

// Counts says what a Watcher has done since it was made.
type Counts struct {
	// Connected is how many systemds it listens to now, Observed how many of them show who calls them.
	Connected, Observed int64
	// Facts are those that were told.
	Facts int64
	// Connections are those that were made, Disconnected those that have ended without our doing.
	Connections, Disconnected int64
	// Dropped are messages that were too long, or more than are handled in a second. Rested counts the times
	// that a systemd other than the host's was not read because of that.
	Dropped, Rested int64
	// Malformed are messages and files of sessions that are not as they should be.
	Malformed int64
	// Failed are questions that systemd did not answer, or not in time.
	Failed int64
	// Refused are calls to systemd that were seen, and that it refused, or never answered.
	Refused int64
	// Unnamed are calls that were seen and obeyed, but whose caller could not be found out.
	Unnamed int64
	// Unwatched counts how often a systemd found no place among those that are listened to, because there are too many.
	Unwatched int64
}

type counters struct {
	connected, observed, facts, connections, disconnected, dropped, rested, malformed, failed, refused,
	unnamed, unwatched atomic.Int64
}

// Counts returns what the Watcher has done.
func (w *Watcher) Counts() Counts {
	c := &w.counters
	return Counts{
		Connected: c.connected.Load(), Observed: c.observed.Load(), Facts: c.facts.Load(),
		Connections: c.connections.Load(), Disconnected: c.disconnected.Load(),
		Dropped: c.dropped.Load(), Rested: c.rested.Load(), Malformed: c.malformed.Load(), Failed: c.failed.Load(),
		Refused: c.refused.Load(), Unnamed: c.unnamed.Load(), Unwatched: c.unwatched.Load(),
	}
}
