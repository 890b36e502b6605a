// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package chronology

import "iter"

const (
	// batch is how many events are passed on at a time, ahead how many batches may wait: enough
	// to keep two processors busy, and no more.
	batch = 128
	ahead = 2
)

// Ahead lets another goroutine find the next events while the caller uses those before.
func Ahead[E any](events iter.Seq[E]) iter.Seq[E] {
	return func(yield func(E) bool) {
		batches, enough, ended := make(chan []E, ahead), make(chan struct{}), make(chan struct{})
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
func gather[E any](events iter.Seq[E], batches chan<- []E, enough <-chan struct{}) {
	var gathered []E
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
