// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package progress

import "time"

const (
	// sampleEvery and samples make the rate that of the last ten seconds: long enough to be
	// steady, short enough to adapt when plain files follow compressed ones.
	sampleEvery = time.Second
	samples     = 10
)

// rate measures how fast bytes are read.
type rate struct {
	// past holds earlier samples, oldest first.
	past []sample
	last sample
}

type sample struct {
	time time.Time
	done int64
}

func newRate(start time.Time) rate {
	past := make([]sample, 1, samples)
	past[0].time = start
	return rate{past: past, last: past[0]}
}

func (r *rate) add(now time.Time, done int64) {
	r.last = sample{now, done}
	if now.Sub(r.past[len(r.past)-1].time) < sampleEvery {
		return
	}
	if len(r.past) == samples {
		r.past = append(r.past[:0], r.past[1:]...)
	}
	r.past = append(r.past, r.last)
}

// perSecond returns the bytes per second; 0 if not known.
func (r *rate) perSecond() float64 {
	seconds := r.last.time.Sub(r.past[0].time).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(r.last.done-r.past[0].done) / seconds
}
