// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Events share the parents of a sender with their command lines until one of them runs another program.
func TestTitledIsShared(t *testing.T) {
	t.Parallel()
	table := NewTable(Config{Root: t.TempDir()})
	parent, child := Key{PID: 90, Start: time.Second}, Key{PID: 91, Start: 2 * time.Second}
	exec := func(key Key, line string) {
		before := table.Programs()
		table.Exec(Exec{Key: key, Parent: 90, Command: "sh", Executable: "/bin/sh", CommandLine: line})
		assert.NotEqual(t, before, table.Programs())
	}
	exec(parent, "sh\x00a.sh")
	table.Fork(parent, child)
	sender := &kill.Process{
		PID: 91, Instance: &kill.Instance{SinceBoot: child.Start}, Ancestry: []kill.Ancestor{{PID: 90, Command: "sh"}, {PID: 1, Command: "init"}},
	}
	first := table.Titled(sender, nil)
	require.Equal(t, []kill.Ancestor{{PID: 90, Command: "sh", Title: "sh\x00a.sh"}, {PID: 1, Command: "init"}}, first)
	assert.Empty(t, sender.Ancestry[0].Title, "events share the original, too")
	assert.Same(t, &first[0], &table.Titled(sender, first)[0])

	exec(child, "kill\x001")
	assert.Same(t, &first[0], &table.Titled(sender, first)[0])
	exec(parent, "sh\x00b.sh")
	second := table.Titled(sender, first)
	assert.Equal(t, "sh\x00b.sh", second[0].Title)
	assert.Equal(t, "sh\x00a.sh", first[0].Title)

	before := table.Programs()
	table.Doubt()
	assert.NotEqual(t, before, table.Programs())
	untitled := table.Titled(sender, second)
	assert.Same(t, &sender.Ancestry[0], &untitled[0], "nothing is known any more")
	assert.Same(t, &second[0], &table.Titled(&kill.Process{PID: 91, Instance: sender.Instance, Ancestry: second}, nil)[0])
}

// A process that is found with the same parents again has the same list.
func TestAncestryIsShared(t *testing.T) {
	t.Parallel()
	e := &entry{}
	list := func(name string) []kill.Ancestor { return []kill.Ancestor{{PID: 90, Command: name}} }
	first := e.sharing(list("sh"))
	assert.Same(t, &first[0], &e.sharing(list("sh"))[0])
	second := e.sharing(list("bash"))
	assert.Equal(t, "bash", second[0].Command)
	assert.Equal(t, "sh", first[0].Command)
	assert.Empty(t, e.sharing(nil))
}

// What one process runs may be in doubt alone.
func TestChanged(t *testing.T) {
	t.Parallel()
	table := NewTable(Config{Root: t.TempDir()})
	one, other := Key{PID: 90, Start: time.Second}, Key{PID: 91, Start: 2 * time.Second}
	for _, key := range []Key{one, other} {
		table.Exec(Exec{Key: key, Parent: 1, Command: "sh", Executable: "/bin/sh"})
	}
	before := table.Programs()
	table.Changed(one, Session{Number: 3, User: 1000})
	assert.NotEqual(t, before, table.Programs())
	_, executable := table.Identify(one, CgroupID{})
	assert.Empty(t, executable)
	_, executable = table.Identify(other, CgroupID{})
	assert.Equal(t, "/bin/sh", executable)
}
