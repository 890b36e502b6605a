// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestIDMap(t *testing.T) {
	t.Parallel()
	const all = "         0          0 4294967295\n"
	for name, test := range map[string]struct {
		text    string
		initial bool
		// ids maps users of the host to users inside; -1 is none.
		ids map[uint32]int64
	}{
		"of the host":        {text: all, initial: true, ids: map[uint32]int64{0: 0, 1000: 1000, 4294967294: 4294967294}},
		"of a container":     {text: "0 100000 65536\n", ids: map[uint32]int64{99999: -1, 100000: 0, 100999: 999, 165535: 65535, 165536: -1, 0: -1}},
		"without root":       {text: "0 1000 1\n1 100000 65536\n", ids: map[uint32]int64{1000: 0, 100000: 1, 1001: -1}},
		"one user, as it is": {text: "1000 1000 1\n", ids: map[uint32]int64{1000: 1000, 0: -1}},
		"PrivateUsers=":      {text: "0 0 1\n102 102 1\n", ids: map[uint32]int64{0: 0, 102: 102, 103: -1}},
		"up to the last":     {text: "0 4294967290 5\n", ids: map[uint32]int64{4294967294: 4, 4294967295: -1, 3: -1}},
		"none yet":           {ids: map[uint32]int64{0: -1}},
		"rubbish":            {text: "a b c\n" + all, ids: map[uint32]int64{0: -1}},
		"a negative number":  {text: "0 -1 5\n", ids: map[uint32]int64{0: -1}},
		"cut":                {text: "0 100000 65536\n1 2", ids: map[uint32]int64{100001: 1, 2: -1}},
		"more than are read": {text: strings.Repeat("5 5 1\n", maxExtents) + "9 9 1\n", ids: map[uint32]int64{5: 5, 9: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := parseIDMap([]byte(test.text))
			assert.Equal(t, test.initial, m.initial())
			for id, want := range test.ids {
				inside, ok := m.inside(id)
				assert.Equal(t, want >= 0, ok, id)
				assert.Equal(t, uint32(max(want, 0)), inside, id)
			}
		})
	}
}

func FuzzParseIDMap(f *testing.F) {
	f.Add([]byte("0 0 4294967295\n"), uint32(7))
	f.Add([]byte("0 100000 65536\n65536 1000 1\n"), uint32(100070))
	f.Add([]byte("0 4294967295 4294967295\n"), uint32(4294967295))
	f.Fuzz(func(t *testing.T, data []byte, id uint32) {
		m := parseIDMap(data)
		assert.LessOrEqual(t, len(m), maxExtents)
		if inside, ok := m.inside(id); ok && m.initial() {
			assert.Equal(t, id, inside)
		}
	})
}

func TestParseOwnUsers(t *testing.T) {
	t.Parallel()
	var many, wide strings.Builder
	for i := range 2 * maxSpaceUsers {
		fmt.Fprintf(&many, "u%d:x:%d:\n", i, i)
	}
	for i := range maxSpaceUsers {
		fmt.Fprintf(&wide, "u%d:%s:%d:\n", i, strings.Repeat("x", 1000), i)
	}
	for name, test := range map[string]struct {
		text string
		want map[uint32]string
		size int
	}{
		"usual":               {text: "root:x:0:0::/:/bin/sh\nweb:x:70:70::/:/\n", want: map[uint32]string{0: "root", 70: "web"}},
		"no line end":         {text: "web:x:70:70::/:/", want: map[uint32]string{70: "web"}},
		"the first counts":    {text: "root:x:0:0\nmallory:x:0:0\n", want: map[uint32]string{0: "root"}},
		"nothing":             {want: map[uint32]string{}},
		"an environment":      {text: "PATH=/bin:/usr/bin\x00SECRET=a:b\x00", want: map[uint32]string{}},
		"a name that is long": {text: strings.Repeat("x", maxUserName+1) + ":x:5:5\nok:x:6:6\n", want: map[uint32]string{6: "ok"}},
		"control characters":  {text: "\x1b[2Jroot:x:5:5:\nok\t:x:7:7:\n", want: map[uint32]string{}},
		"too many":            {text: many.String(), size: maxSpaceUsers},
		"too long":            {text: wide.String()[:maxSpaceFile], size: 64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			names := parseOwnUsers([]byte(test.text))
			if test.want != nil {
				assert.Equal(t, test.want, names)
				return
			}
			assert.InDelta(t, test.size, len(names), 4)
		})
	}
}

func FuzzParseOwnUsers(f *testing.F) {
	f.Add([]byte("root:x:0:0::/:/bin/sh\nweb:x:70:70::/:/\n"))
	f.Add([]byte("a:b:4294967296:\n:x:1:\n#c:x:2:\n\xff:x:3:\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		names := parseOwnUsers(data)
		assert.LessOrEqual(t, len(names), maxSpaceUsers)
		for _, name := range names {
			assert.NotEmpty(t, name)
			assert.LessOrEqual(t, len(name), maxUserName)
		}
	})
}

// answers is a reader that has read its file.
func answers(users kill.Whose, file version, names map[uint32]string) func() reader {
	return func() reader {
		return func(last version) reading {
			if file == last {
				return reading{users: users, file: file}
			}
			return reading{users, file, names}
		}
	}
}

func TestSpaces(t *testing.T) {
	t.Parallel()
	s := newSpaces()
	id, file := spaceID{namespace: 7, owner: 5}, version{fileID: fileID{1, 2}, size: 3}
	assert.True(t, s.stale(id, 0))
	assert.Equal(t, kill.WhoseOther, s.ask(id, 0, spaceFor, answers(kill.WhoseOther, file, map[uint32]string{70: "web"})))
	assert.Equal(t, "web", s.name(id, 70))
	assert.Empty(t, s.name(id, 71))
	assert.Empty(t, s.name(spaceID{}, 70))
	assert.False(t, s.stale(id, 0))

	s.ask(id, spaceFor/2, spaceFor, func() reader { assert.Fail(t, "read again too soon"); return nil })
	assert.True(t, s.stale(id, spaceFor))
	s.ask(id, spaceFor, spaceFor, answers(kill.WhoseOther, file, nil))
	assert.Equal(t, "web", s.name(id, 70), "the file is the same")
	file.status++
	s.ask(id, 2*spaceFor, spaceFor, answers(kill.WhoseOther, file, map[uint32]string{70: "www"}))
	assert.Equal(t, "www", s.name(id, 70), "the file was written")
	assert.Equal(t, kill.WhoseHost, s.ask(id, 3*spaceFor, spaceFor, answers(kill.WhoseHost, version{}, nil)))
	assert.Empty(t, s.name(id, 70), "it is the host's now")
	assert.Equal(t, kill.WhoseUnknown, s.ask(spaceID{namespace: 8, owner: 5}, 0, spaceFor, func() reader { return nil }), "the process is gone")
}

// One user's databases take no room from another's.
func TestSpacesAreBounded(t *testing.T) {
	t.Parallel()
	s := newSpaces()
	first := spaceID{namespace: 1, owner: 1}
	s.ask(first, 0, spaceFor, answers(kill.WhoseOther, version{size: 1}, map[uint32]string{70: "web"}))
	for i := range uint32(3 * maxSpaces) {
		s.ask(spaceID{namespace: 10 + i, owner: 2}, 0, spaceFor, answers(kill.WhoseOther, version{size: 1}, nil))
	}
	assert.Len(t, s.known, maxSpaces)
	assert.Equal(t, "web", s.name(first, 70))
}

// A file system that never answers costs one short wait, and only its owner's names.
func TestSpacesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSpaces()
		release := make(chan struct{})
		stuck := func() reader {
			return func(version) reading { <-release; return reading{users: kill.WhoseOther} }
		}
		begin := time.Now()
		for i := range uint32(20) {
			assert.Equal(t, kill.WhoseUnknown, s.ask(spaceID{namespace: i, owner: 1000}, 0, spaceFor, stuck))
		}
		assert.Equal(t, readerPatience, time.Since(begin))
		assert.EqualValues(t, 1, s.readers.Load())
		s.ask(spaceID{namespace: 900, owner: 1000}, 2*suspension, spaceFor, stuck)
		assert.EqualValues(t, 1, s.readers.Load(), "he gets no other reader while one waits for him")
		another := spaceID{namespace: 1000}
		s.ask(another, 0, spaceFor, answers(kill.WhoseOther, version{}, nil))
		synctest.Wait()
		assert.Equal(t, kill.WhoseOther, s.ask(another, 0, spaceFor, nil), "another user's, who was not waited for")

		for i := range uint32(20) {
			s.ask(spaceID{namespace: 2000 + i, owner: 2000 + i}, 0, spaceFor, stuck)
		}
		assert.EqualValues(t, maxReaders, s.readers.Load())
		assert.Equal(t, readerPatience, time.Since(begin), "once is enough")

		close(release)
		synctest.Wait()
		assert.Zero(t, s.readers.Load())
		assert.Equal(t, kill.WhoseOther, s.ask(spaceID{owner: 1000}, 0, spaceFor, nil), "the answer came late")
		assert.Equal(t, kill.WhoseOther, s.ask(spaceID{namespace: 5000, owner: 1000}, suspension, spaceFor, answers(kill.WhoseOther, version{}, nil)))
		for i := range uint32(10 * maxSuspended) {
			s.suspended[i] = suspension
		}
		release = make(chan struct{})
		s.ask(spaceID{namespace: 6000, owner: 1 << 20}, 2*suspension, spaceFor, stuck)
		assert.Equal(t, 1, len(s.suspended), "bounded") //nolint:testifylint // it would print them all
		close(release)
		synctest.Wait()
	})
}

// Whoever holds up others does not wait at all, and finds out later.
func TestSpacesThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Config{})
		s := &table.homes.spaces
		release, id := make(chan struct{}), spaceID{namespace: 1, owner: 1000}
		slow := func() reader {
			return func(version) reading {
				<-release
				return reading{users: kill.WhoseOther, names: map[uint32]string{70: "web"}}
			}
		}
		begin, done := time.Now(), table.hurry()
		assert.Equal(t, kill.WhoseUnknown, s.ask(id, 0, spaceFor, slow))
		done()
		assert.Zero(t, time.Since(begin))
		assert.Empty(t, s.suspended, "nothing is held against him that nobody has waited for")
		close(release)
		synctest.Wait()
		assert.Equal(t, kill.WhoseOther, s.ask(id, 0, spaceFor, nil))
		assert.Equal(t, "web", s.name(id, 70))
		assert.False(t, s.hurried)
	})
}

// Whose the names of a process are, by its control group, if its files were not seen.
func TestWhoseByCgroup(t *testing.T) {
	t.Parallel()
	host, other := kill.Home{Users: kill.WhoseHost, Program: kill.WhoseHost}, kill.Home{
		Users: kill.WhoseOther, Program: kill.WhoseOther, PIDs: kill.WhoseOther,
	}
	container, service := new(cgroups).newPlace("/docker/"+containerA), new(cgroups).newPlace("/system.slice/mysql.service")
	now, before := &program{}, &program{command: "before"}
	for name, test := range map[string]struct {
		e       entry
		program *program
		want    kill.Home
	}{
		"a service, seen":           {e: entry{place: service, home: home{Home: host}}, want: host},
		"a service, not seen":       {e: entry{place: service}},
		"a container, seen":         {e: entry{place: container, home: home{Home: host}}, want: kill.Home{Users: kill.WhoseHost, Program: kill.WhoseHost, PIDs: kill.WhoseOther}},
		"a container, not seen":     {e: entry{place: container}, want: other},
		"a container, presumed":     {e: entry{place: container, home: home{Home: host, presumed: true}}, want: other},
		"a container with our pids": {e: entry{place: container, home: home{Home: kill.Home{PIDs: kill.WhoseHost}}}, want: kill.Home{Users: kill.WhoseOther, Program: kill.WhoseOther, PIDs: kill.WhoseHost}},
		"no group":                  {e: entry{home: home{Home: host}}, want: host},
		"what it ran before":        {e: entry{home: home{Home: host}}, program: before, want: kill.Home{Users: kill.WhoseHost}},
		"before, in a container":    {e: entry{place: container, home: home{Home: host}}, program: before, want: kill.Home{Users: kill.WhoseHost, Program: kill.WhoseOther, PIDs: kill.WhoseOther}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.e.program = now
			if test.program == nil {
				test.program = now
			}
			assert.Equal(t, test.want, test.e.whose(test.program))
		})
	}
}

// Before anything of the host was seen, a program that leaves at once is what was seen of others in its namespaces.
func TestArriveBeforeTheHost(t *testing.T) {
	t.Parallel()
	h := newHomes("")
	seen := func(users kill.Whose, native bool) *entry {
		return &entry{home: home{Home: kill.Home{Users: users}, native: native}}
	}
	h.learn(seen(kill.WhoseOther, false), Namespaces{Mount: 2, Root: 11})
	h.learn(seen(kill.WhoseHost, false), Namespaces{Mount: 3, Root: 12})
	assert.True(t, h.foreign(Namespaces{Mount: 2, Root: 11}))
	for _, unknown := range []Namespaces{{Mount: 2, Root: 12}, {Mount: 3, Root: 12}, {Mount: 2, Root: 11, UserLevel: 1}} {
		assert.False(t, h.foreign(unknown), unknown)
	}
	assert.Zero(t, h.known)
	h.learn(seen(kill.WhoseHost, true), Namespaces{Mount: 1, Root: 10})
	assert.Equal(t, Namespaces{Mount: 1, Root: 10}, h.known)
	for n := range 2 * maxOthers {
		h.learn(seen(kill.WhoseOther, false), Namespaces{Mount: 9, Root: uint64(n)})
	}
	assert.LessOrEqual(t, len(h.others), maxOthers)
	assert.True(t, h.foreign(Namespaces{Mount: 9, Root: 2*maxOthers - 1}))
}

// Neither a user with a namespace of his own nor a service's process that has left its mounts changes whose the files of others are.
func TestNobodyTeachesWhoseFiles(t *testing.T) {
	t.Parallel()
	h := newHomes("")
	host, service, user := Namespaces{Mount: 1, Root: 10}, Namespaces{Mount: 2, Root: 10}, Namespaces{Mount: 1, Root: 66, UserLevel: 1}
	other := &entry{home: home{Home: kill.Home{Users: kill.WhoseOther}}}
	native := &entry{home: home{Home: kill.Home{Users: kill.WhoseHost}, native: true}}
	h.learn(other, service) // before the host is known
	h.learn(native, host)
	h.learn(native, user)
	h.learn(other, service)
	assert.Equal(t, host, h.known)
	assert.False(t, h.foreign(service))
}

// The host's names are for the host's users.
func TestUsersOfOthers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		whose    kill.Whose
		recorded bool
		want     string
	}{
		"of the host":                     {kill.WhoseHost, false, "mysql"},
		"of the host, by audit":           {kill.WhoseHost, true, "mysql"},
		"of a container":                  {kill.WhoseOther, false, ""},
		"of a container, by audit":        {kill.WhoseOther, true, ""},
		"not known, though the kernel is": {kill.WhoseUnknown, false, ""},
		"not known, by audit":             {kill.WhoseUnknown, true, "mysql"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			users, _, _ := newTestUsers(t, "mysql:x:102:105::/:/\n")
			id := kill.User{ID: kill.NewID(102)}
			told := kill.User{ID: kill.NewID(103), Name: "told by auditd"}
			e := &kill.Event{Sender: kill.Process{User: id, RealUser: id, SavedUser: told, Login: id, Home: kill.Home{Users: test.whose}}}
			e.Audit.Recorded = test.recorded
			*e.AddTarget() = kill.Process{User: id, Home: kill.Home{Users: test.whose}}
			users.Fill(e)
			for _, user := range []kill.User{e.Sender.User, e.Sender.RealUser, e.Sender.Login, e.Targets[0].User} {
				assert.Equal(t, test.want, user.Name)
			}
			if test.whose == kill.WhoseOther {
				assert.Empty(t, e.Sender.SavedUser.Name, "auditd knows the host's users only")
			} else {
				assert.Equal(t, "told by auditd", e.Sender.SavedUser.Name)
			}
		})
	}
}

// A process that leaves at once cannot claim to be of the host from within a user namespace.
func TestArriveWithoutALook(t *testing.T) {
	t.Parallel()
	table := NewTable(Config{Root: t.TempDir()}) // where there is no /proc
	table.homes.known = Namespaces{Mount: 1, Root: 10}
	for name, test := range map[string]struct {
		namespaces Namespaces
		want       kill.Whose
	}{
		"the host's":                {Namespaces{Mount: 1, Root: 10}, kill.WhoseHost},
		"a chroot":                  {Namespaces{Mount: 1, Root: 11}, kill.WhoseOther},
		"a service's":               {Namespaces{Mount: 2, Root: 10}, kill.WhoseHost},
		"a user's":                  {Namespaces{Mount: 2, Root: 10, UserLevel: 1}, kill.WhoseOther},
		"a user's, the same mounts": {Namespaces{Mount: 1, Root: 10, UserLevel: 1}, kill.WhoseOther},
		"not reported":              {Namespaces{}, kill.WhoseUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			key := Key{PID: 7, Start: time.Second}
			table.Exec(Exec{Key: key, Command: "nginx", Executable: "/usr/sbin/nginx", Namespaces: test.namespaces})
			instance, executable := table.Identify(key, CgroupID{})
			require.NotNil(t, instance)
			assert.Equal(t, "/usr/sbin/nginx", executable)
			assert.Equal(t, test.want, instance.Home.Program)
			assert.Equal(t, test.want, instance.Home.Users)
		})
	}
}
