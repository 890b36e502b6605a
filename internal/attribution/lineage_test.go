// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// titles are the command lines of processes, which may change.
type titles struct {
	known
	of       map[int]string
	programs uint64
	asked    int
}

func (p *titles) run(pid int, line string) {
	p.of[pid] = words(line)
	p.programs++
}

func (p *titles) Programs() uint64 { return p.programs }

func (p *titles) Titled(of *kill.Process, last []kill.Ancestor) []kill.Ancestor {
	p.asked++
	all := slices.Clone(of.Ancestry)
	for i := range all {
		if all[i].Title == "" {
			all[i].Title = p.of[all[i].PID]
		}
	}
	if slices.Equal(all, last) {
		return last
	}
	return all
}

// lineageTest is a sender whose login is known.
func lineageTest() (*Table, *titles, kill.Process) {
	processes := &titles{known: known{}, of: map[int]string{}}
	processes.run(91, "/bin/sh /root/cleanup.sh")
	processes.run(90, "-bash")
	table := New(Config{Processes: processes})
	f := login(0, "17", 1000, "alice", "10.0.0.5")
	table.Learn(&f)
	untitled := func(a kill.Ancestor) kill.Ancestor { a.Title = ""; return a }
	sender := process(300, "pkill mariadbd", 0, 1000, "/user.slice/user-1000.slice/session-17.scope", untitled(script), untitled(bash))
	return table, processes, *sender
}

func explainedFor(table *Table, at time.Duration, sender *kill.Process) *kill.Event {
	e := sends(at, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
	e.Sender = *sender
	table.Explain(e)
	return e
}

// What is behind a sender is found out once, and events share it, so that whoever writes it does so once.
func TestSteadySender(t *testing.T) { //nolint:paralleltest // it counts allocations
	table, processes, sender := lineageTest()
	first := explainedFor(table, 0, &sender)
	require.NotNil(t, first.Behind)
	assert.Equal(t, words("/bin/sh /root/cleanup.sh"), first.Behind.Initiator.Title)
	assert.Equal(t, "10.0.0.5", first.Behind.Session.Address)
	asked := processes.asked
	again := *first
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		again.Sender = sender
		table.Explain(&again)
	}))
	assert.Equal(t, asked, processes.asked)

	for at := range time.Duration(10) { // also when it is looked at again
		again := explainedFor(table, at*lineageFor, &sender)
		assert.Same(t, first.Behind, again.Behind)
		assert.Same(t, &first.Sender.Ancestry[0], &again.Sender.Ancestry[0])
	}
	processes.run(4242, "something else")
	assert.Same(t, first.Behind, explainedFor(table, 0, &sender).Behind)
}

// What changes is told at once, and an event that was explained before keeps what was true then.
func TestSenderChanges(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(table *Table, processes *titles, sender *kill.Process)
		begun  string
		from   string
	}{
		"nothing": {func(*Table, *titles, *kill.Process) {}, "/bin/sh /root/cleanup.sh", "10.0.0.5"},
		"a parent runs another script": {func(_ *Table, p *titles, _ *kill.Process) {
			p.run(91, "/bin/sh /root/other.sh")
		}, "/bin/sh /root/other.sh", "10.0.0.5"},
		"it has another parent": {func(_ *Table, _ *titles, s *kill.Process) {
			s.Ancestry = []kill.Ancestor{{PID: 1, Command: "systemd"}}
		}, "", "10.0.0.5"},
		"it logs in as another user": {func(table *Table, _ *titles, s *kill.Process) {
			f := login(0, "18", 1001, "bob", "10.0.0.6")
			table.Learn(&f)
			s.Login.ID, s.Session = kill.NewID(1001), kill.NewID(18)
		}, "/bin/sh /root/cleanup.sh", "10.0.0.6"},
		"it logs in as the same user": {func(table *Table, _ *titles, s *kill.Process) {
			f := login(0, "18", 1000, "alice", "10.0.0.7")
			table.Learn(&f)
			s.Session = kill.NewID(18)
		}, "/bin/sh /root/cleanup.sh", "10.0.0.7"},
		"it moves to another session": {func(table *Table, _ *titles, s *kill.Process) {
			f := login(0, "c2", 1000, "alice", "10.0.0.8")
			table.Learn(&f)
			moved := *s.Instance
			moved.Cgroup = "/user.slice/user-1000.slice/session-c2.scope"
			s.Session, s.Instance = kill.ID{}, &moved
		}, "/bin/sh /root/cleanup.sh", "10.0.0.8"},
		"it runs another program": {func(_ *Table, p *titles, s *kill.Process) {
			p.run(300, "kill 5932")
			next := *s.Instance
			s.Command, s.Instance = "kill", &next
		}, "/bin/sh /root/cleanup.sh", "10.0.0.5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, processes, sender := lineageTest()
			before := explainedFor(table, 0, &sender)
			test.change(table, processes, &sender)
			after := explainedFor(table, ms, &sender)
			begun := ""
			if i := after.Behind.Initiator; i != nil {
				begun = i.Title
			}
			assert.Equal(t, words(test.begun), begun)
			assert.Equal(t, test.from, after.Behind.Session.Address)
			table.Explain(before) // as if it had waited
			assert.Equal(t, words("/bin/sh /root/cleanup.sh"), before.Behind.Initiator.Title)
			assert.Equal(t, words("/bin/sh /root/cleanup.sh"), before.Sender.Ancestry[0].Title)
			assert.Equal(t, "10.0.0.5", before.Behind.Session.Address)
		})
	}
}

// Whatever happens in whatever order, a table that has a memory says the same as one that has none.
func TestLineagesAsWithoutMemory(t *testing.T) {
	t.Parallel()
	table, processes, first := lineageTest()
	forgetful := New(Config{Processes: processes})
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	senders := make([]kill.Process, 8)
	lists := map[int][]kill.Ancestor{}
	for i := range senders {
		senders[i] = first
		senders[i].PID += i
		senders[i].Instance = &kill.Instance{SinceBoot: time.Duration(i), Cgroup: first.Instance.Cgroup}
		senders[i].Ancestry = slices.Clone(first.Ancestry)
		lists[i] = senders[i].Ancestry
	}
	f := login(0, "17", 1000, "alice", "10.0.0.5")
	forgetful.Learn(&f)
	for step := range 5000 {
		i := random.IntN(len(senders))
		s := &senders[i]
		switch random.IntN(6) {
		case 0:
			processes.run(90+random.IntN(2), "/bin/sh /root/"+strconv.Itoa(random.IntN(3))+".sh")
		case 1:
			id := 17 + random.IntN(3)
			user := 1000 + uint32(id%2)
			f := login(0, strconv.Itoa(id), user, "user"+strconv.Itoa(int(user)), "10.0.0."+strconv.Itoa(id))
			table.Learn(&f)
			forgetful.Learn(&f)
			s.Session, s.Login.ID = kill.NewID(uint32(id)), kill.NewID(user)
		case 2:
			moved := *s.Instance
			s.Instance = &moved
		case 3:
			s.Ancestry = slices.Clone(lists[random.IntN(len(lists))])
		}
		got := explainedFor(table, time.Duration(step)*time.Millisecond, s)
		clear(forgetful.lineages)
		want := explainedFor(forgetful, time.Duration(step)*time.Millisecond, s)
		require.Equal(t, want.Behind, got.Behind)
		require.Equal(t, want.Sender.Ancestry, got.Sender.Ancestry)
	}
}

func TestLineagesAreBounded(t *testing.T) {
	t.Parallel()
	table, _, sender := lineageTest()
	for i := range 3 * maxLineages {
		s := sender
		s.PID += i
		s.Ancestry = slices.Clone(sender.Ancestry)
		require.NotNil(t, explainedFor(table, 0, &s).Behind)
		require.LessOrEqual(t, len(table.lineages), maxLineages+2)
	}
}
