// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGiven(t *testing.T) {
	t.Parallel()
	at := func(cursor, births int) snapshot { return snapshot{cursor: cursor, births: births} }
	for name, test := range map[string]struct {
		pid      int
		from, to snapshot
		want     bool
	}{
		"nothing happened":          {50, at(50, 900), at(50, 900), false},
		"passed":                    {51, at(50, 900), at(52, 902), true},
		"the last":                  {52, at(50, 900), at(52, 902), true},
		"the first was before":      {50, at(50, 900), at(52, 902), false},
		"not yet":                   {53, at(50, 900), at(52, 902), false},
		"used ones are passed over": {53, at(50, 900), at(52, 901), false},
		"round the end, above":      {32000, at(31000, 900), at(400, 901), true},
		"round the end, below":      {399, at(31000, 900), at(400, 901), true},
		"round the end, between":    {5000, at(31000, 900), at(400, 901), false},
		"all the way round":         {5000, at(400, 900), at(401, 40000), true},
		"turned back":               {40, at(50, 900), at(52, 912), true},
		"turned back to the same":   {50, at(50, 900), at(50, 901), true},
		"from where is not known":   {50, at(0, 900), at(50, 900), true},
		"to where is not known":     {50, at(50, 900), at(0, 900), true},
		"births were not known":     {50, at(50, 0), at(50, 900), true},
		"births are not known":      {50, at(50, 900), at(50, 0), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, mayBeNew(test.pid, test.from, test.to))
		})
	}
}

// FuzzGiven compares mayBeNew with a kernel that gives out pids one by one.
func FuzzGiven(f *testing.F) {
	f.Add(uint16(40), uint16(50), uint16(3))
	f.Add(uint16(399), uint16(31000), uint16(3000))
	f.Fuzz(func(t *testing.T, pid, cursor, births uint16) {
		const first, last = 300, 32767
		from := snapshot{cursor: first + int(cursor)%(last-first), births: 1}
		to := from
		was := false
		for range births {
			to.cursor++
			if to.cursor > last {
				to.cursor = first
			}
			to.births++
			was = was || to.cursor == int(pid)
		}
		assert.True(t, mayBeNew(int(pid), from, to) || !was)
	})
}

func TestScanLooksOnlyWhereSomebodyMayBeNew(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	h.runs(50, mysqld)
	h.runs(150, mysqld)
	require.NoError(t, h.table.Prime())
	entry := func(pid int) *entry { return h.table.memory.newest[pid] }
	assert.Equal(t, "mysqld", entry(50).program.command)

	// Both pids belong to other processes, but only one of them can have been given out.
	next := fakeProcess{command: "next", start: 900 * time.Second}
	h.runs(50, next)
	h.runs(150, next)
	h.scan()
	assert.Equal(t, "mysqld", entry(150).program.command, "no process was born")
	h.cursor(200)
	h.scan()
	assert.Equal(t, "mysqld", entry(50).program.command, "not within what was given out")
	assert.Equal(t, "next", entry(150).program.command)
	assert.True(t, entry(150).older.gone)
	assert.Equal(t, "mysqld", entry(150).older.program.command)

	// The cursor does not account for all births, so every process is checked.
	h.births(h.born + 1000)
	h.scan()
	assert.Equal(t, "next", entry(50).program.command)
}

func TestScanNoticesTheEnd(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	h.runs(50, mysqld)
	require.NoError(t, h.table.Prime())
	h.ends(50)
	h.cursor(101)
	h.scan()
	assert.True(t, h.table.memory.newest[50].gone)
	assert.Equal(t, 2, h.table.Counts().Size, "it is remembered, beside kthreadd")
}

func TestScanLooksAgainAtTheYoung(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	child := bash
	child.start = h.uptime - 20*time.Millisecond
	h.runs(50, child)
	require.NoError(t, h.table.Prime())
	child.command, child.commandLine = "make", "make\x00"
	h.runs(50, child)
	h.uptime += time.Second
	h.cursor(101)
	h.scan()
	assert.Equal(t, "make", h.table.memory.newest[50].program.command, "it was between fork and exec")
	child.command = "later"
	h.runs(50, child)
	h.cursor(102)
	h.scan()
	assert.Equal(t, "make", h.table.memory.newest[50].program.command, "it has settled")
}

func TestLookFollowsTheControlGroup(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	h.runs(3936, mysqld)
	require.NoError(t, h.table.Prime())
	before, _ := h.table.Identify(Key{PID: 3936, Start: mysqld.start}, CgroupID{})
	moved := mysqld
	moved.cgroup, moved.commandLine = "/user.slice/user-500.slice/session-3.scope", "mysqld: a title\x00\x00\x00"
	h.runs(3936, moved)
	h.uptime += freshFor
	who, ok := h.table.Lookup(3936)
	require.True(t, ok)
	assert.Equal(t, "session-3.scope", who.Instance.Unit)
	assert.Equal(t, "mysqld: a title\x00", who.Instance.CommandLine)
	assert.Equal(t, "mysql.service", before.Unit, "events keep what they were given")
}

func TestLookup(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	p := mysqld
	p.user, p.login, p.session = 102, 500, 3
	h.runs(3936, p)
	want := Known{
		Key: Key{PID: 3936, Start: p.start}, Parent: 1, Command: "mysqld", Executable: "/usr/sbin/mysqld",
		Instance: mysqldInstance, RealUser: parseID("102"), Login: parseID("500"), Session: parseID("3"),
	}
	who, ok := h.table.Lookup(3936)
	assert.True(t, ok)
	assert.Equal(t, want, who)

	p.user = 103
	h.runs(3936, p)
	who, _ = h.table.Lookup(3936)
	assert.Equal(t, want, who, "a storm of questions asks /proc once")
	h.uptime += ownerFor
	who, _ = h.table.Lookup(3936)
	assert.Equal(t, parseID("103"), who.RealUser)

	h.ends(3936)
	h.uptime += ownerFor
	_, ok = h.table.Lookup(3936)
	assert.False(t, ok)
}

func TestQuestionsAreBounded(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	h.runs(3936, mysqld)
	h.table.reads = budget{}
	_, ok := h.table.Lookup(3936)
	assert.False(t, ok)
	key := Key{PID: 3936, Start: mysqld.start}
	instance, executable := h.table.Identify(key, CgroupID{})
	assert.Equal(t, h.at(mysqld.start), instance.Start)
	assert.Empty(t, executable)

	h.table.reads = budget{perSecond: 1}
	instance, executable = h.table.Identify(key, CgroupID{})
	assert.Equal(t, mysqldInstance, instance, "it was not given up")
	assert.Equal(t, "/usr/sbin/mysqld", executable)
	assert.False(t, h.table.reads.take())
}

func TestWhatTheKernelToldIsNotOverwritten(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	key := Key{PID: 3936, Start: mysqld.start}
	h.runs(3936, mysqld)
	h.table.Exec(Exec{Key: key, Parent: 7, Command: "told", Executable: "/told"})
	require.NoError(t, h.table.Prime())
	_, executable := h.table.Identify(key, CgroupID{})
	assert.Equal(t, "/told", executable)
	who, ok := h.table.Lookup(3936)
	assert.True(t, ok)
	assert.Equal(t, "/told", who.Executable)
	assert.Equal(t, "mysqld", who.Command, "it may rename itself")

	// Reported to have ended before /proc was read, where it is still ending.
	gone := Key{PID: 3937, Start: mysqld.start}
	h.table.Exit(gone, time.Now())
	h.runs(3937, mysqld)
	h.cursor(200)
	h.scan()
	assert.True(t, h.table.memory.find(gone).gone)

	// Read in /proc before it was reported.
	child := Key{PID: 3938, Start: mysqld.start}
	h.runs(3938, mysqld)
	h.cursor(300)
	h.scan()
	h.table.Fork(key, child)
	_, executable = h.table.Identify(child, CgroupID{})
	assert.Equal(t, "/usr/sbin/mysqld", executable)
}

func TestPrimeForgetsNobodyWhoWasToldMeanwhile(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	h.table.round++ // a scan has begun
	h.table.Exec(Exec{Key: Key{PID: 5000, Start: h.uptime}, Executable: "/new"})
	h.table.settle(h.table.snapshot())
	assert.False(t, h.table.memory.newest[5000].gone)
}

func TestNestedReader(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, true)
	h.runs(50, mysqld)
	require.NoError(t, h.table.Prime())
	next := mysqld
	next.start += time.Second
	h.runs(50, next)
	h.scan()
	newest := h.table.memory.newest[50]
	assert.Equal(t, next.start, newest.Start, "loadavg is about another namespace, so every process is checked")
}

func TestPIDsOfAnotherNamespace(t *testing.T) {
	t.Parallel()
	namespace := func(h *fakeHost, name string) {
		h.write("proc/self/status", "NSpid:\t1\n")
		require.NoError(t, os.MkdirAll(filepath.Join(h.root, "proc/self/ns"), 0o755))
		require.NoError(t, os.Symlink(name, filepath.Join(h.root, "proc/self/ns/pid")))
	}
	for name, test := range map[string]struct {
		prepare func(h *fakeHost)
		host    bool
	}{
		"a program is pid 2": {prepare: func(h *fakeHost) { h.runs(2, mysqld) }},
		"nobody is pid 2":    {prepare: func(h *fakeHost) { h.ends(2) }},
		"ours is a container's": {prepare: func(h *fakeHost) {
			h.ends(2)
			namespace(h, "pid:[4026532000]")
		}},
		"ours is the host's, with hidepid": {host: true, prepare: func(h *fakeHost) {
			h.ends(2)
			namespace(h, initialPIDNamespace)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFakeHost(t, true)
			h.runs(50, mysqld)
			test.prepare(h)
			h.newTable(0)
			err := h.table.Prime()
			_, ok := h.table.Lookup(50)
			if test.host {
				require.NoError(t, err)
				assert.True(t, ok)
				return
			}
			require.ErrorIs(t, err, errOtherNamespace)
			require.ErrorContains(t, err, h.root+"/proc shows the processes of a container")
			assert.False(t, ok, "its pid is another's on the host")
		})
	}
}

func TestNoProc(t *testing.T) {
	t.Parallel()
	table := NewTable(Config{Root: filepath.Join(t.TempDir(), "nowhere")})
	err := table.Prime()
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "nowhere/proc")
}

func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	for pid := 10; pid < 30; pid++ {
		h.runs(pid, mysqld)
	}
	h.newTable(5)
	require.NoError(t, h.table.Prime())
	assert.Equal(t, Counts{Size: 5, Evicted: 16}, h.table.Counts())
}

func TestControlGroupsOfAHost(t *testing.T) {
	t.Parallel()
	inode := func(h *fakeHost, path string) uint64 {
		n, _, ok := inodeOf(filepath.Join(h.root, "sys/fs/cgroup", path))
		require.True(t, ok)
		return n
	}
	made := func(h *fakeHost, paths ...string) {
		for _, path := range paths {
			h.write("sys/fs/cgroup/"+path+"/cgroup.procs", "")
		}
	}
	t.Run("v2", func(t *testing.T) {
		t.Parallel()
		h := newFakeHost(t, false)
		made(h, "", "system.slice", "system.slice/mysql.service")
		h.newTable(0)
		require.NoError(t, h.table.Prime())
		found := h.table.cgroups.find(CgroupID{0, inode(h, "system.slice/mysql.service")})
		require.NotNil(t, found)
		assert.Equal(t, place{path: service, unit: "mysql.service"}, *found)
		assert.Equal(t, "/", h.table.cgroups.find(CgroupID{0, inode(h, "")}).path)
	})
	t.Run("v1", func(t *testing.T) {
		t.Parallel()
		h := newFakeHost(t, false)
		h.write("proc/cgroups", "memory\t4\t1\t1\npids\t8\t1\t1\ncpu\t1\t1\t1\n")
		made(h, "memory/docker/"+containerA, "pids/docker/"+containerA, "unified/init.scope", "cpu/x")
		h.newTable(0)
		require.NoError(t, h.table.Prime())
		for hierarchy, path := range map[int]string{4: "memory/docker/" + containerA, 8: "pids/docker/" + containerA} {
			found := h.table.cgroups.find(CgroupID{hierarchy, inode(h, path)})
			require.NotNil(t, found, path)
			assert.Equal(t, containerA, found.container)
		}
		assert.NotNil(t, h.table.cgroups.find(CgroupID{0, inode(h, "unified/init.scope")}))
		assert.Nil(t, h.table.cgroups.find(CgroupID{1, inode(h, "cpu/x")}), "no such id is ever reported")
	})
	t.Run("what was told is newer", func(t *testing.T) {
		t.Parallel()
		h := newFakeHost(t, false)
		made(h, "old")
		id := CgroupID{0, inode(h, "old")}
		h.table.MadeCgroup(id, "/new")
		require.NoError(t, h.table.Prime())
		assert.Equal(t, "/new", h.table.cgroups.find(id).path)
	})
}

func TestControlGroupsAreBounded(t *testing.T) {
	t.Parallel()
	c := newCgroups("/", nil)
	for i := range maxCgroups + 10 {
		c.add(CgroupID{ID: uint64(i)}, fmt.Sprintf("/%d", i))
	}
	assert.Len(t, c.places, maxCgroups)
	assert.NotNil(t, c.find(CgroupID{ID: maxCgroups + 9}))

	root := t.TempDir()
	require.NoError(t, os.MkdirAll(root+strings.Repeat("/x", 2*maxCgroupDepth), 0o755))
	assert.Len(t, walkCgroups(0, root), maxCgroupDepth+1)
}
