// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

func BenchmarkIdentifyKnown(b *testing.B) {
	table := newLiveTable(b)
	require.NoError(b, table.Prime())
	id := CgroupID{ID: 4711}
	table.MadeCgroup(id, service)
	key := lifeOf(b, table, os.Getpid())
	b.ReportAllocs()
	for b.Loop() {
		table.Identify(key, id)
	}
}

// BenchmarkIdentifyUnknown is a flood of processes that were never reported.
func BenchmarkIdentifyUnknown(b *testing.B) {
	table := newLiveTable(b)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		table.Identify(Key{PID: 1 + i%32768, Start: time.Duration(i) * procstat.Tick}, CgroupID{})
	}
}

func BenchmarkForkExecExit(b *testing.B) {
	table := newLiveTable(b)
	id := CgroupID{ID: 4711}
	table.MadeCgroup(id, service)
	parent := Key{PID: 1}
	table.Exec(Exec{Key: parent, Command: "init", Executable: "/sbin/init", Cgroup: id})
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		child := Key{PID: 2 + i%32768, Start: time.Duration(i) * procstat.Tick}
		table.Fork(parent, child)
		table.Exec(Exec{Key: child, Parent: 1, Command: "true", Executable: "/bin/true", CommandLine: "true\x00", Cgroup: id})
		table.Exit(child, time.Now())
	}
}

// BenchmarkFillTable fills the event of a known process that signals itself.
func BenchmarkFillTable(b *testing.B) {
	self, err := os.Executable()
	require.NoError(b, err)
	for name, test := range map[string]struct {
		ago   time.Duration
		batch bool
	}{"looked at since": {ago: time.Second}, "to be looked at": {}, "looked at in the batch": {batch: true}} {
		b.Run(name, func(b *testing.B) {
			table := newLiveTable(b)
			require.NoError(b, table.Prime())
			who, ok := table.Lookup(os.Getpid())
			require.True(b, ok)
			require.Eventually(b, func() bool { return SinceBoot() > who.Start+2*time.Second }, patience, time.Millisecond)
			table.refresh(os.Getpid())
			start := time.Now()
			e := &kill.Event{Sender: kill.Process{PID: os.Getpid(), ParentPID: os.Getppid(), Executable: self}}
			e.AddTarget()
			if test.batch {
				table.Batch()
			}
			b.ReportAllocs()
			for b.Loop() {
				e.Time = start.Add(-test.ago)
				if test.ago == 0 {
					e.Time = time.Now()
				}
				e.Sender.Instance, e.Sender.Ancestry = nil, nil
				e.Targets[0] = kill.Process{PID: os.Getpid(), Command: who.Command}
				table.Fill(e)
			}
			require.NotNil(b, e.Targets[0].Instance)
			require.NotEmpty(b, e.Sender.Ancestry)
		})
	}
}

func BenchmarkPrime(b *testing.B) {
	processes := 0
	b.ReportAllocs()
	for b.Loop() {
		table := newLiveTable(b)
		require.NoError(b, table.Prime())
		processes = table.Counts().Size
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(processes), "ns/process")
}

// BenchmarkScanIdle scans a host on which no process was created, BenchmarkScan one on which one was.
func BenchmarkScanIdle(b *testing.B) {
	table := newLiveTable(b)
	require.NoError(b, table.Prime())
	b.ReportAllocs()
	for b.Loop() {
		_ = table.scan()
	}
}

func BenchmarkScan(b *testing.B) {
	table := newLiveTable(b)
	require.NoError(b, table.Prime())
	b.ReportAllocs()
	for b.Loop() {
		table.scanned.cursor--
		_ = table.scan()
	}
}
