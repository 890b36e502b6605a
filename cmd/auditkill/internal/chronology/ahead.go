// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package chronology

import (
	"iter"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// batch is how many events are passed on at a time, ahead how many batches may wait: enough
	// to keep two processors busy, and no more.
	batch = 128
	ahead = 2
)

// Ahead lets another goroutine find the next events while the caller uses those before.
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

// gather sends events until there are no more, or until enough is closed.
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
