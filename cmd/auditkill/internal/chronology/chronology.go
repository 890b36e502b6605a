// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package chronology merges the events of several logs into one stream.
package chronology

import (
	"iter"
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Merged returns the events of several logs in order. Each log must be in order.
func Merged(logs ...iter.Seq[*kill.Event]) iter.Seq[*kill.Event] {
	if len(logs) == 1 {
		return logs[0]
	}
	return func(yield func(*kill.Event) bool) {
		var heads []head
		for _, log := range logs {
			next, stop := iter.Pull(log)
			defer stop()
			if e, ok := next(); ok {
				heads = append(heads, head{e, next})
			}
		}
		for len(heads) > 0 {
			first := 0
			for i := range heads {
				if heads[i].event.Time.Before(heads[first].event.Time) {
					first = i
				}
			}
			if !yield(heads[first].event) {
				return
			}
			if e, ok := heads[first].next(); ok {
				heads[first].event = e
			} else {
				heads = slices.Delete(heads, first, first+1)
			}
		}
	}
}

// head is the next event of a log.
type head struct {
	event *kill.Event
	next  func() (*kill.Event, bool)
}
