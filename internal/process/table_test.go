// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

// newToldTable returns a table without /proc, so that it knows only what is reported to it.
func newToldTable(t *testing.T, limit int) *Table {
	t.Helper()
	table := NewTable(Config{Root: t.TempDir(), Max: limit})
	table.boot = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	table.now, table.wall = func() time.Duration { return time.Hour }, func() time.Time { return table.boot.Add(time.Hour) }
	return table
}

// A host without a clock of its own begins in 1970. Once its clock is set, the start times of processes are right,
// also of those that were known before.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	table := newToldTable(t, 0)
	boot, wall := table.boot, time.Unix(3600, 0)
	table.boot, table.wall = time.Unix(0, 0), func() time.Time { return wall }
	tell(table)
	before, _ := table.Identify(parentKey, serviceID)
	assert.Equal(t, 1970, before.Start.UTC().Year())
	wall = boot.Add(time.Hour)
	after, _ := table.Identify(parentKey, serviceID)
	assert.Equal(t, boot.Add(5*time.Second), after.Start)
	assert.Equal(t, before.SinceBoot, after.SinceBoot)
	assert.Equal(t, 1970, before.Start.UTC().Year(), "events that were emitted do not change")

	wall = wall.Add(2*time.Second + clockStep/2) // adjusted, and some time later
	table.now = func() time.Duration { return time.Hour + 2*time.Second }
	again, _ := table.Identify(parentKey, serviceID)
	assert.Same(t, after, again, "while the clock is only adjusted, the start time stays")
}

const service = "/system.slice/mysql.service"

var (
	serviceID = CgroupID{ID: 4711}
	parentKey = Key{PID: 100, Start: 5*time.Second + 123}
	childKey  = Key{PID: 101, Start: 6*time.Second + 9*time.Millisecond}
)

// tell reports that a parent runs bash in a service.
func tell(table *Table) {
	table.MadeCgroup(serviceID, service)
	table.Exec(Exec{
		Key: parentKey, Parent: 1, Command: "bash", Executable: "/bin/bash", CommandLine: "bash\x00-x\x00", Cgroup: serviceID,
	})
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	table := newToldTable(t, 0)
	tell(table)
	want := &kill.Instance{
		Start: table.boot.Add(5 * time.Second), SinceBoot: 5 * time.Second, CommandLine: "bash\x00-x\x00", Cgroup: service, Unit: "mysql.service",
	}
	instance, executable := table.Identify(parentKey, serviceID)
	assert.Equal(t, want, instance)
	assert.Equal(t, "/bin/bash", executable)
	again, _ := table.Identify(Key{PID: 100, Start: 5 * time.Second}, CgroupID{})
	assert.Same(t, instance, again, "events share it")

	// A child runs its parent's program until it runs its own.
	table.Fork(parentKey, childKey)
	want.Start, want.SinceBoot = table.boot.Add(6*time.Second), 6*time.Second
	instance, executable = table.Identify(childKey, serviceID)
	assert.Equal(t, want, instance)
	assert.Equal(t, "/bin/bash", executable)
	table.Exec(Exec{Key: childKey, Parent: 100, Command: "sleep", Executable: "/bin/sleep", CommandLine: "sleep\x001\x00", Cgroup: serviceID})
	instance, executable = table.Identify(childKey, serviceID)
	assert.Equal(t, "sleep\x001\x00", instance.CommandLine)
	assert.Equal(t, "/bin/sleep", executable)

	// Ended processes are remembered.
	child := &kill.Process{PID: childKey.PID, Instance: &kill.Instance{SinceBoot: childKey.Start}}
	now := time.Now()
	assert.False(t, table.LeftBefore(child, now), "it lives")
	table.Exit(childKey, now)
	assert.True(t, table.LeftBefore(child, now.Add(1)))
	assert.False(t, table.LeftBefore(child, now))
	assert.False(t, table.LeftBefore(&kill.Process{PID: childKey.PID}, now.Add(1)), "it may be any that had the pid")
	dead, executable := table.Identify(childKey, serviceID)
	assert.Same(t, instance, dead)
	assert.Equal(t, "/bin/sleep", executable)
}

func TestIdentifyNeverPassesOnANameToTheNextLife(t *testing.T) {
	t.Parallel()
	for name, exits := range map[string]bool{"end told": true, "end lost": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := newToldTable(t, 0)
			tell(table)
			if exits {
				table.Exit(parentKey, time.Now())
			}
			next := Key{PID: parentKey.PID, Start: parentKey.Start + procstat.Tick}
			instance, executable := table.Identify(next, CgroupID{})
			assert.Empty(t, executable)
			assert.Equal(t, &kill.Instance{Start: table.boot.Add(5*time.Second + procstat.Tick), SinceBoot: 5*time.Second + procstat.Tick}, instance)

			table.Fork(childKey, next) // by a parent that is not known
			_, executable = table.Identify(next, CgroupID{})
			assert.Empty(t, executable)

			_, executable = table.Identify(parentKey, serviceID)
			assert.Equal(t, "/bin/bash", executable, "a late event of the former life")
		})
	}
}

func TestIdentifyTheUnknown(t *testing.T) {
	t.Parallel()
	table := newToldTable(t, 0)
	instance, executable := table.Identify(Key{}, CgroupID{})
	assert.Nil(t, instance, "the kernel itself")
	assert.Empty(t, executable)

	table.MadeCgroup(serviceID, service)
	instance, executable = table.Identify(parentKey, serviceID)
	assert.Empty(t, executable)
	assert.Equal(t, &kill.Instance{Start: table.boot.Add(5 * time.Second), SinceBoot: 5 * time.Second, Cgroup: service, Unit: "mysql.service"}, instance)

	assert.True(t, table.memory.find(parentKey.rounded()).gone, "its end would go unreported")

	// The event is late, or its records came out of order.
	tell(table)
	_, executable = table.Identify(parentKey, serviceID)
	assert.Equal(t, "/bin/bash", executable)
	_, known := table.Lookup(parentKey.PID)
	assert.True(t, known, "it lives after all")
}

func TestIdentifyFollowsTheControlGroup(t *testing.T) {
	t.Parallel()
	table := newToldTable(t, 0)
	tell(table)
	before, _ := table.Identify(parentKey, serviceID)
	container := CgroupID{Hierarchy: 4, ID: 4712}

	unknown, _ := table.Identify(parentKey, container)
	assert.Empty(t, unknown.Cgroup, "it has left the old one")
	assert.Empty(t, unknown.Unit)

	table.MadeCgroup(container, "/docker/"+containerA)
	after, _ := table.Identify(parentKey, container)
	assert.Equal(t, containerA, after.Container)
	assert.Equal(t, service, before.Cgroup, "events keep what they were given")
	again, _ := table.Identify(parentKey, container)
	assert.Same(t, after, again)
}

func TestForkInheritsTheControlGroup(t *testing.T) {
	t.Parallel()
	table := newToldTable(t, 0)
	tell(table)
	table.Fork(parentKey, childKey)
	instance, _ := table.Identify(childKey, CgroupID{})
	assert.Equal(t, service, instance.Cgroup)
}

func TestExecWithoutAControlGroup(t *testing.T) {
	t.Parallel()
	table := newToldTable(t, 0)
	tell(table)
	table.Exec(Exec{Key: parentKey, Command: "sleep", Executable: "/bin/sleep"})
	instance, _ := table.Identify(parentKey, CgroupID{})
	assert.Equal(t, service, instance.Cgroup, "it is where it was")
}

func TestExecIsBounded(t *testing.T) {
	t.Parallel()
	table := newToldTable(t, 0)
	table.Exec(Exec{Key: parentKey, Executable: "/bin/x (deleted)", CommandLine: strings.Repeat("x", 2*maxCommandLine)})
	instance, executable := table.Identify(parentKey, CgroupID{})
	assert.Len(t, instance.CommandLine, maxCommandLine)
	assert.Equal(t, "/bin/x", executable)
}

func TestLookupOfWhatWasTold(t *testing.T) {
	t.Parallel()
	table := newToldTable(t, 0)
	_, known := table.Lookup(parentKey.PID)
	assert.False(t, known)
	tell(table)
	instance, _ := table.Identify(parentKey, serviceID)
	who, known := table.Lookup(parentKey.PID)
	assert.True(t, known)
	assert.Equal(t, Known{
		Key: parentKey.rounded(), Parent: 1, Command: "bash", Executable: "/bin/bash", Instance: instance,
	}, who)
	table.Exit(parentKey, time.Now())
	_, known = table.Lookup(parentKey.PID)
	assert.False(t, known, "no process has the pid")
}

func TestTableIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	table := newToldTable(t, 64)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 2000 {
				key := Key{PID: 1 + (i*7+worker)%100, Start: time.Duration(i/10) * procstat.Tick}
				child := Key{PID: key.PID + 1, Start: key.Start}
				table.Fork(key, child)
				table.Exec(Exec{Key: child, Executable: "/bin/x"})
				table.Identify(key, CgroupID{ID: uint64(i % 3)})
				table.MadeCgroup(CgroupID{ID: uint64(i % 5)}, service)
				table.Lookup(key.PID)
				table.Fill(&kill.Event{Time: time.Now(), Sender: kill.Process{PID: key.PID, Command: "x"}})
				table.Exit(child, time.Now())
			}
		})
	}
	group.Wait()
	assert.LessOrEqual(t, table.Counts().Size, 64)
}
