// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package chronology

import (
	"iter"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// batch is how many events are handed over at once, ahead how many batches wait: as
	// much as keeps two processors busy, and no more.
	batch = 128
	ahead = 2
)

// Ahead has the events found by another goroutine while those before are used.
func Ahead(events iter.Seq[*kill.Event]) iter.Seq[*kill.Event] {
	return func(yield func(*kill.Event) bool) {
		batches, enough, ended := make(chan []*kill.Event, ahead), make(chan struct{}), make(chan struct{})
		defer func() {
			close(enough)
			<-ended
		}()
		go func() {
			defer close(ended)
			defer close(batches)
			gather(events, batches, enough)
		}()
		for events := range batches {
			for _, e := range events {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// gather sends events until there are no more, or enough.
func gather(events iter.Seq[*kill.Event], batches chan<- []*kill.Event, enough <-chan struct{}) {
	var gathered []*kill.Event
	send := func() bool {
		select {
		case batches <- gathered:
			gathered = nil
			return true
		case <-enough:
			return false
		}
	}
	for e := range events {
		if gathered = append(gathered, e); len(gathered) == batch && !send() {
			return
		}
	}
	if len(gathered) > 0 {
		send()
	}
}
