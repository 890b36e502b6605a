// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// BenchmarkHold is what a signal that is no manager's costs, while nothing waits and while something does, and what the
// end of a process costs.
func BenchmarkHold(b *testing.B) {
	signal := byHand(1)
	signal.Event.Sender.Ancestry = []kill.Ancestor{{PID: 90, Command: "bash"}, {PID: 80, Command: "sshd"}}
	signal.Event.Time = time.Now()
	b.Run("nothing waits", func(b *testing.B) {
		tested, now := newBehindTest(), time.Now()
		b.ReportAllocs()
		for b.Loop() {
			if tested.hold(signal, now) {
				b.Fatal("it waits")
			}
		}
	})
	b.Run("something waits", func(b *testing.B) {
		tested, now := newBehindTest(), time.Now()
		tested.hold(bySystemd(2, "a.service"), now)
		b.ReportAllocs()
		for b.Loop() {
			if tested.hold(signal, now) {
				b.Fatal("it waits")
			}
		}
	})
	b.Run("an end", func(b *testing.B) {
		tested, now, ends := newBehindTest(), time.Now(), endOf(1)
		b.ReportAllocs()
		for b.Loop() {
			if tested.hold(ends, now) {
				b.Fatal("it waits")
			}
		}
	})
	b.Run("disabled", func(b *testing.B) {
		var none *behind
		now := time.Now()
		for b.Loop() {
			if none.hold(signal, now) {
				b.Fatal("it waits")
			}
		}
	})
}
