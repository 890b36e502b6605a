// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"runtime"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/outcome"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func BenchmarkWatch(b *testing.B) {
	w := runningWatcher(b)
	target := run(b, "sleep", "1000").target()
	b.Run("and unwatch", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := w.Watch(target); err != nil {
				b.Fatal(err)
			}
			w.Unwatch(target.PID)
		}
	})
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := w.Watch(target); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpenWatches measures what the largest number of watches costs while no process
// ends, beside what Go's runtime costs anyway. All watch one process, which spares starting
// 4096.
func BenchmarkOpenWatches(b *testing.B) {
	p := run(b, "sleep", "1000")
	for name, count := range map[string]int{"none": 0, "all": outcome.MaxWatches} {
		b.Run(name, func(b *testing.B) {
			w := runningWatcher(b)
			before := int64(heap())
			for i := range count {
				pidfd, err := unix.PidfdOpen(p.pid(), 0)
				require.NoError(b, err)
				require.NoError(b, w.add(&watch{pid: -i - 1, start: p.start, pidfd: pidfd}))
			}
			taken := int64(heap()) - before
			spent := processorTime(b)
			for b.Loop() {
				time.Sleep(100 * time.Millisecond) // the cost of doing nothing is measured
			}
			b.ReportMetric(float64(taken), "heap-B")
			b.ReportMetric(float64((processorTime(b)-spent).Microseconds())/b.Elapsed().Seconds(), "cpu-us/s")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
