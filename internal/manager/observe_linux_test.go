// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// systemctl is the unique name of a connection to the fake bus, of the process systemctlPID.
	systemctl    = ":1.30"
	systemctlPID = 4242
	managerName  = systemdName + ".Manager"
)

func requestFacts(f attribution.Fact) *attribution.Request { return f.Request }

// observing returns a host whose bus shows its calls. systemctl is a process of a user.
func observing(t *testing.T, user uint32) (*fakeHost, *fakeBus) {
	t.Helper()
	h := newFakeHost(t)
	bus := h.newFakeBus(hostBus)
	bus.set("BecomeMonitor")
	bus.set(systemctl, credentials(systemctlPID, user))
	h.start()
	bus.awaitClient()
	eventually(t, func() bool { return h.Counts().Observed == 1 })
	return h, bus
}

func credentials(pid, user uint32) map[string]godbus.Variant {
	return map[string]godbus.Variant{
		"ProcessID": godbus.MakeVariant(pid), "UnixUserID": godbus.MakeVariant(user),
		"LinuxSecurityLabel": godbus.MakeVariant([]byte("unconfined\x00")),
	}
}

// shown shows a message of others to who monitors the bus.
func (b *fakeBus) shown(serial uint32, m *godbus.Message) {
	b.t.Helper()
	if len(m.Body) > 0 {
		m.Headers[godbus.FieldSignature] = godbus.MakeVariant(godbus.SignatureOf(m.Body...))
	}
	var data bytes.Buffer
	require.NoError(b.t, m.EncodeTo(&data, binary.LittleEndian))
	binary.LittleEndian.PutUint32(data.Bytes()[8:], serial)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.clients {
		if c.monitor {
			_, _ = c.Write(data.Bytes())
		}
	}
}

// call shows a call of systemctl.
func (b *fakeBus) call(serial uint32, flags godbus.Flags, destination, path, of, member string, arguments ...any) {
	b.t.Helper()
	m := &godbus.Message{Type: godbus.TypeMethodCall, Flags: flags, Body: arguments, Headers: map[godbus.HeaderField]godbus.Variant{
		godbus.FieldSender: godbus.MakeVariant(systemctl), godbus.FieldDestination: godbus.MakeVariant(destination),
		godbus.FieldPath: godbus.MakeVariant(godbus.ObjectPath(path)), godbus.FieldMember: godbus.MakeVariant(member),
	}}
	if of != "" {
		m.Headers[godbus.FieldInterface] = godbus.MakeVariant(of)
	}
	b.shown(serial, m)
}

// reply shows a reply to systemctl, which is an error if it has a name.
func (b *fakeBus) reply(sender string, to uint32, name string, body ...any) {
	b.t.Helper()
	m := &godbus.Message{Type: godbus.TypeMethodReply, Body: body, Headers: map[godbus.HeaderField]godbus.Variant{
		godbus.FieldSender: godbus.MakeVariant(sender), godbus.FieldDestination: godbus.MakeVariant(systemctl),
		godbus.FieldReplySerial: godbus.MakeVariant(to),
	}}
	if name != "" {
		m.Type = godbus.TypeError
		m.Headers[godbus.FieldErrorName] = godbus.MakeVariant(name)
	}
	b.shown(1000, m)
}

// of returns the request of systemctl with a call.
func of(call attribution.Call, user uint32) attribution.Request {
	return attribution.Request{
		Manager: hostPID, Call: &call, Requester: kill.Process{PID: systemctlPID, User: kill.User{ID: kill.NewID(user)}},
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	const unit, job = unitsPath + "mysql_2eservice", godbus.ObjectPath(jobsPath + "7")
	type call struct {
		destination, path, of, member string
		arguments, reply              []any
		want                          attribution.Call
	}
	for name, test := range map[string]call{
		"StopUnit": {
			systemdName, systemdPath, managerName, "StopUnit",
			[]any{mysql, "replace"},
			[]any{job},
			attribution.Call{Member: "StopUnit", Object: mysql, Job: 7},
		},
		"to a unique name": {
			systemdOwner, systemdPath, managerName, "RestartUnit",
			[]any{mysql, "replace"},
			[]any{job},
			attribution.Call{Member: "RestartUnit", Object: mysql, Job: 7},
		},
		"without an interface": {
			systemdName, systemdPath, "", "RestartUnit",
			[]any{mysql, "replace"},
			[]any{job},
			attribution.Call{Member: "RestartUnit", Object: mysql, Job: 7},
		},
		"of a unit": {
			systemdName, unit, systemdName + ".Unit", "Restart",
			[]any{"replace"},
			[]any{job},
			attribution.Call{Member: "RestartUnit", Object: mysql, Job: 7},
		},
		"of a unit without an interface": {
			systemdName, unit, "", "Kill", []any{"all", int32(9)}, nil, attribution.Call{Member: "KillUnit", Object: mysql, Signal: kill.SIGKILL},
		},
		"EnqueueUnitJob": {
			systemdName, systemdPath, managerName, "EnqueueUnitJob",
			[]any{mysql, "stop", "fail"},
			[]any{uint32(7), job, mysql, godbus.ObjectPath(unit), "stop", []string{}},
			attribution.Call{Member: "StopUnit", Object: mysql, Job: 7},
		},
		"KillUnit": {
			systemdName, systemdPath, managerName, "KillUnit",
			[]any{mysql, "main", int32(15)},
			nil,
			attribution.Call{Member: "KillUnit", Object: mysql, Signal: kill.SIGTERM},
		},
		"QueueSignalUnit": {
			systemdName, systemdPath, managerName, "QueueSignalUnit",
			[]any{mysql, "main", int32(10), int32(3)},
			nil,
			attribution.Call{Member: "QueueSignalUnit", Object: mysql, Signal: 10},
		},
		"TerminateSession": {
			logindName, logindPath, logindName + ".Manager", "TerminateSession",
			[]any{"21"},
			nil,
			attribution.Call{Member: "TerminateSession", Object: "21"},
		},
		"of a session": {
			logindName, logindPath + "/session/_321", logindName + ".Session", "Kill",
			[]any{"all", int32(9)},
			nil,
			attribution.Call{Member: "KillSession", Object: "21", Signal: kill.SIGKILL},
		},
		"KillUser": {
			logindName, logindPath, logindName + ".Manager", "KillUser",
			[]any{uint32(1000), int32(9)},
			nil,
			attribution.Call{Member: "KillUser", Object: "1000", Signal: kill.SIGKILL},
		},
		"of a user": {
			logindName, logindPath + "/user/_1000", logindName + ".User", "Terminate", nil, nil,
			attribution.Call{Member: "TerminateUser", Object: "1000"},
		},
		"PowerOff": {
			logindName, logindPath, logindName + ".Manager", "PowerOffWithFlags", []any{uint64(0)}, nil, attribution.Call{Member: "PowerOff"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const user = 1000
			h, bus := observing(t, user)
			began := time.Now()
			bus.call(5, 0, test.destination, test.path, test.of, test.member, test.arguments...)
			owner := map[bool]string{true: logindOwner, false: systemdOwner}[test.destination == logindName]
			bus.reply(owner, 5, "", test.reply...)
			request := await(h, requestFacts, func(attribution.Request) bool { return true })
			assert.WithinRange(t, request.Time, began, time.Now())
			request.Time = time.Time{}
			assert.Equal(t, of(test.want, user), request)
		})
	}
}

// TestCallsThatAreNotObeyed shows calls that systemd refuses, that are about nothing, or whose replies are forged.
func TestCallsThatAreNotObeyed(t *testing.T) {
	t.Parallel()
	h, bus := observing(t, 1000)
	stop := func(serial uint32, flags godbus.Flags) {
		bus.call(serial, flags, systemdName, systemdPath, managerName, "StopUnit", mysql, "replace")
	}
	stop(1, 0)
	bus.reply(systemdOwner, 1, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "no")
	stop(2, 0)
	bus.reply(busName, 2, denied, "no")
	stop(3, 0)
	bus.reply(":1.66", 3, "", godbus.ObjectPath(jobsPath+"7"))
	bus.reply(oomdOwner, 3, "")
	stop(4, godbus.FlagNoReplyExpected) // and he is not root
	bus.call(5, 0, systemdName, systemdPath, managerName, "StopUnit", "no unit", "replace")
	bus.call(6, 0, systemdName, systemdPath, managerName, "StopUnit", uint32(7))
	bus.call(7, 0, systemdName, systemdPath, managerName, "GetUnit", mysql)
	bus.call(8, 0, "org.example.other", systemdPath, managerName, "StopUnit", mysql, "replace")
	bus.call(9, 0, logindName, logindPath+"/session/self", logindName+".Session", "Terminate")
	bus.call(10, 0, systemdName, systemdPath, logindName+".Manager", "PowerOff", true)
	for serial := uint32(5); serial <= 10; serial++ {
		bus.reply(systemdOwner, serial, "")
	}
	stop(20, 0)
	bus.reply(systemdOwner, 20, "", godbus.ObjectPath(jobsPath+"20"))
	await(h, requestFacts, func(r attribution.Request) bool { return r.Call.Job == 20 })
	for _, r := range told(h, requestFacts) {
		assert.Equal(t, uint32(20), r.Call.Job, "%+v", r.Call)
	}
	assert.Equal(t, int64(2), h.Counts().Refused)
}

func TestCallOfRootWithoutReply(t *testing.T) {
	t.Parallel()
	h, bus := observing(t, 0)
	bus.call(5, godbus.FlagNoReplyExpected, systemdName, systemdPath, managerName, "StopUnit", mysql, "replace")
	request := await(h, requestFacts, func(attribution.Request) bool { return true })
	assert.Equal(t, mysql, request.Call.Object)
}

// TestCallerThatGoesAtOnce has a caller be gone when its call is seen, after it was asked for when it connected.
func TestCallerThatGoesAtOnce(t *testing.T) {
	t.Parallel()
	h, bus := observing(t, 0)
	h.write("proc/4242/loginuid", "1000")
	h.write("proc/4242/sessionid", "21\n")
	bus.signal(busName, busPath, busName+".NameOwnerChanged", systemctl, "", systemctl)
	eventually(t, func() bool { return bus.called(systemctl) == 1 })
	bus.jobNew(systemdOwner, 7, mysql)
	await(h, jobFacts, func(attribution.Job) bool { return true }) // so that the answer before it was handled
	require.NoError(t, os.RemoveAll(filepath.Join(h.root, "proc/4242")))
	bus.forget(systemctl)
	bus.signal(busName, busPath, busName+".NameOwnerChanged", systemctl, systemctl, "")
	bus.call(5, 0, systemdName, systemdPath, managerName, "StopUnit", mysql, "replace")
	bus.reply(systemdOwner, 5, "", godbus.ObjectPath(jobsPath+"7"))
	request := await(h, requestFacts, func(attribution.Request) bool { return true })
	assert.Equal(t, kill.Process{
		PID: systemctlPID, User: kill.User{ID: kill.NewID(0)}, Login: kill.User{ID: kill.NewID(1000)}, Session: kill.NewID(21),
	}, request.Requester)
}

// TestCallerOfReusedPid has a caller leave his connection to another process, and his pid to one of another user.
func TestCallerOfReusedPid(t *testing.T) {
	t.Parallel()
	h, bus := observing(t, 0)
	h.write("proc/4242/loginuid", "1000")
	h.write("proc/4242/sessionid", "21\n")
	h.write("proc/4242/status", "Name:\tvim\nUid:\t1000\t1000\t1000\t1000\n")
	bus.call(5, 0, systemdName, systemdPath, managerName, "StopUnit", mysql, "replace")
	bus.reply(systemdOwner, 5, "", godbus.ObjectPath(jobsPath+"7"))
	eventually(t, func() bool { return h.Counts().Unnamed == 1 })
	assert.Empty(t, told(h, requestFacts))
}

func TestCallerIsGone(t *testing.T) {
	t.Parallel()
	h, bus := observing(t, 0)
	bus.forget(systemctl)
	bus.call(5, 0, systemdName, systemdPath, managerName, "StopUnit", mysql, "replace")
	bus.reply(systemdOwner, 5, "", godbus.ObjectPath(jobsPath+"7"))
	eventually(t, func() bool { return h.Counts().Unnamed == 1 })
	assert.Empty(t, told(h, requestFacts))
}

// TestManyCalls has somebody call without end; systemd does not answer.
func TestManyCalls(t *testing.T) {
	t.Parallel()
	h, bus := observing(t, 0)
	for serial := range uint32(maxPendingOfCaller + 10) {
		bus.call(serial+1, 0, systemdName, systemdPath, managerName, "StopUnit", mysql, "replace")
	}
	eventually(t, func() bool { return h.Counts().Dropped == 10 })
	bus.reply(systemdOwner, 3, "", godbus.ObjectPath(jobsPath+"7"))
	await(h, requestFacts, func(attribution.Request) bool { return true })
	assert.Equal(t, 1, bus.called(systemctl), "one connection is asked about once")
}

// TestCallsOfManyConnections has one user have as many calls wait as are remembered, over many connections: those of others are
// seen all the same.
func TestCallsOfManyConnections(t *testing.T) {
	t.Parallel()
	w := New(Config{})
	o := &observer{link: newLink(&manager{watcher: w}, true), pending: map[string]map[uint32]*pendingCall{}}
	begun := time.Now()
	call := func(sender string, serial, user uint32) bool {
		return o.remember(sender, serial, &pendingCall{at: begun.Add(time.Duration(serial)), caller: &caller{pid: 5, user: kill.NewID(user)}})
	}
	require.True(t, call(":root", 1, 0))
	for n := range maxPending - 1 {
		require.True(t, call(fmt.Sprint(":eve", n/maxPendingOfCaller), uint32(n+2), 1000))
	}
	assert.True(t, call(":bob", 1, 1001), "another user's")
	assert.True(t, call(":root", 2, 0), "root's")
	assert.Len(t, o.pending[":root"], 2)
	assert.Len(t, o.pending[":bob"], 1)
	assert.Equal(t, maxPending, o.count)
	assert.Equal(t, int64(2), w.Counts().Dropped)
}

// TestCallsOfManyUsers has one user have calls wait as very many sub-uids: those of others are seen all the same.
func TestCallsOfManyUsers(t *testing.T) {
	t.Parallel()
	o := &observer{link: newLink(&manager{watcher: New(Config{})}, true), pending: map[string]map[uint32]*pendingCall{}}
	begun := time.Now()
	call := func(n int, user, login uint32) bool {
		at := &pendingCall{at: begun.Add(time.Duration(n)), caller: &caller{pid: 5, user: kill.NewID(user), login: kill.NewID(login)}}
		return o.remember(fmt.Sprint(":", n), 1, at)
	}
	require.True(t, call(0, 1000, 1000))
	for n := range 2 * maxPending {
		require.True(t, call(n+1, uint32(100_000+n), 1001))
	}
	assert.Len(t, o.pending[":0"], 1, "alice's is the oldest")
	assert.Equal(t, maxPending, o.count)
}

// TestNoRoomForCalls has all that wait be root's.
func TestNoRoomForCalls(t *testing.T) {
	t.Parallel()
	o := &observer{link: newLink(&manager{watcher: New(Config{})}, true), pending: map[string]map[uint32]*pendingCall{}}
	call := func(n int, user uint32) bool {
		return o.remember(fmt.Sprint(":", n), 1, &pendingCall{at: time.Now(), caller: &caller{user: kill.NewID(user)}})
	}
	for n := range maxPending {
		require.True(t, call(n, 0))
	}
	assert.False(t, call(maxPending, 1000))
}

// TestBusThatDoesNotShow has a bus refuse to show its calls, which is reported once.
func TestBusThatDoesNotShow(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	problems := func() int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.problems)
	}
	eventually(t, func() bool { return problems() == 1 })
	bus.disconnect()
	eventually(t, func() bool { return bus.called("BecomeMonitor") == 2 })
	h.stop()
	assert.Equal(t, 1, problems())
	assert.Contains(t, h.problems[0].Error(), "behind.conf")
	assert.Zero(t, h.Counts().Observed)
}

// TestCallersOfOthersBuses has the bus of a user, who may only name processes of his own, and that of a container,
// whose names for processes are not ours.
func TestCallersOfOthersBuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		manager int
		pid     uint32
		named   bool
	}{
		"a user's own process": {alice, systemctlPID, true},
		"another user's":       {alice, 4343, false},
		"of nobody":            {alice, 999_999, false},
		"of a container":       {container, systemctlPID, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFakeHost(t)
			path := h.container(container) + "/" + hostBus
			if test.manager == alice {
				h.process(alice, "88", "/usr/lib/systemd/systemd", "../..")
				path = "run/user/1000/bus"
			}
			h.write("proc/4242/status", fmt.Sprintf("Uid:\t0\t%d\t0\t0\nNSpid:\t4242\n", os.Getuid()))
			h.write("proc/4343/status", fmt.Sprintf("Uid:\t0\t%d\t0\t0\nNSpid:\t4343\n", os.Getuid()+1))
			bus := h.newFakeBus(path)
			bus.set("BecomeMonitor")
			bus.set(systemctl, credentials(test.pid, 0))
			h.start()
			h.Watch(test.manager)
			bus.awaitClient()
			eventually(t, func() bool { return h.Counts().Observed == 1 })
			bus.call(5, 0, systemdName, systemdPath, managerName, "StopUnit", mysql, "replace")
			bus.reply(systemdOwner, 5, "", godbus.ObjectPath(jobsPath+"7"))
			if !test.named {
				eventually(t, func() bool { return h.Counts().Unnamed == 1 })
				assert.Empty(t, told(h, requestFacts))
				return
			}
			request := await(h, requestFacts, func(attribution.Request) bool { return true })
			assert.Equal(t, test.manager, request.Manager)
			assert.Equal(t, kill.NewID(uint32(os.Getuid())), request.Requester.User.ID)
		})
	}
}
