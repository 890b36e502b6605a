// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// signed is a session as logind's bus has it.
func signed(id string) map[string]godbus.Variant {
	type user struct {
		ID   uint32
		Path godbus.ObjectPath
	}
	return map[string]godbus.Variant{
		"Id": godbus.MakeVariant(id), "User": godbus.MakeVariant(user{1000, "/u"}), "Name": godbus.MakeVariant("alice"),
		"Timestamp": godbus.MakeVariant(uint64(1_700_000_000_000_000)), "TTY": godbus.MakeVariant("pts/3"),
		"RemoteHost": godbus.MakeVariant("10.0.0.5"), "Service": godbus.MakeVariant("sshd"),
		"Class": godbus.MakeVariant("user"), "Leader": godbus.MakeVariant(uint32(4711)), "Audit": godbus.MakeVariant(uint32(21)),
	}
}

// aliceLogin is the same as a fact.
func aliceLogin(id string) attribution.Login {
	return attribution.Login{
		Time:    time.UnixMicro(1_700_000_000_000_000),
		Session: kill.Session{ID: id, Service: "sshd", TTY: "pts/3", UserName: "alice", Address: "10.0.0.5"},
		User:    kill.User{ID: kill.ID{Value: 1000, Known: true}, Name: "alice"},
		Leader:  4711, Audit: kill.ID{Value: 21, Known: true},
	}
}

const aliceFile = "# This is private data. Do not parse.\nUID=1000\nUSER=alice\nACTIVE=1\nREMOTE=1\nREMOTE_HOST=10.0.0.5\nSERVICE=sshd\n" +
	"TTY=pts/3\nLEADER=4711\nAUDIT=21\nCLASS=user\nREALTIME=1700000000000000\n"

func TestLogins(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	bus := h.newFakeBus(hostBus)
	type listed struct {
		ID   string
		UID  uint32
		User string
		Seat string
		Path godbus.ObjectPath
	}
	h.write("run/systemd/sessions/20", aliceFile)
	bus.set("ListSessions", []listed{{"20", 1000, "alice", "", "/session/20"}})
	h.start()
	assert.Equal(t, aliceLogin("20"), await(h, loginFacts, func(l attribution.Login) bool { return l.Session.ID == "20" }))

	h.write("run/systemd/sessions/21", aliceFile)
	manager := logindName + ".Manager."
	bus.signal(logindOwner, logindPath, manager+"SessionNew", "21", godbus.ObjectPath("/session/21"))
	await(h, loginFacts, func(l attribution.Login) bool { return l.Session.ID == "21" })

	bus.set("GetAll", signed("22")) // without a file
	bus.signal(logindOwner, logindPath, manager+"SessionNew", "22", godbus.ObjectPath("/session/22"))
	assert.Equal(t, aliceLogin("22"), await(h, loginFacts, func(l attribution.Login) bool { return l.Session.ID == "22" }))

	bus.set("GetAll", signed("of another"))
	bus.signal(logindOwner, logindPath, manager+"SessionNew", "23", godbus.ObjectPath("/session/23"))
	bus.signal(logindOwner, logindPath, manager+"SessionNew", "../../etc", godbus.ObjectPath("/session/24"))
	bus.signal(logindOwner, logindPath, manager+"SessionRemoved", "21", godbus.ObjectPath("/session/21"))
	await(h, func(f attribution.Fact) *attribution.Logout { return f.Logout }, func(l attribution.Logout) bool { return l.ID == "21" })
	assert.Len(t, told(h, loginFacts), 3)

	bus.signal(logindOwner, logindPath, manager+"PrepareForShutdown", true)
	bus.signal(logindOwner, logindPath, manager+"PrepareForShutdown", false)
	shutdowns := func(f attribution.Fact) *attribution.Shutdown { return f.Shutdown }
	await(h, shutdowns, func(s attribution.Shutdown) bool { return s.Canceled && s.Manager == 0 })
	assert.Len(t, told(h, shutdowns), 2)
}

func TestPressure(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	const killed = oomdName + ".Manager.Killed"
	bus.signal(oomdOwner, "/org/freedesktop/oom1", killed, "/system.slice/a.service", "memory-used")
	bus.signal(oomdOwner, "/org/freedesktop/oom1", killed, "/system.slice/b.service", "memory-pressure")
	pressures := func(f attribution.Fact) *attribution.Pressure { return f.Pressure }
	await(h, pressures, func(p attribution.Pressure) bool { return p.Cgroup == "/system.slice/b.service" && !p.Swap })
	await(h, pressures, func(p attribution.Pressure) bool { return p.Cgroup == "/system.slice/a.service" && p.Swap })
}

// TestLoginsOfUser has a user give himself the name of logind on his own bus.
func TestLoginsOfUser(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	h.process(alice, "88", "/usr/lib/systemd/systemd", "../..")
	bus := h.newFakeBus("run/user/1000/bus")
	h.start()
	h.Watch(alice)
	bus.awaitClient()
	bus.set("GetAll", signed("21"))
	bus.signal(logindOwner, logindPath, logindName+".Manager.SessionNew", "21", godbus.ObjectPath("/session/21"))
	bus.signal(logindOwner, logindPath, logindName+".Manager.PrepareForShutdown", true)
	bus.jobNew(systemdOwner, 7, mysql)
	await(h, jobFacts, func(attribution.Job) bool { return true })
	assert.Empty(t, told(h, loginFacts))
	_, ok := h.Session(alice, "21")
	assert.False(t, ok)
}

// TestLoginsOfContainer has the logind of a container describe a session.
func TestLoginsOfContainer(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	root := h.container(container)
	h.write(root+"/run/systemd/sessions/21", "UID=0\nUSER=root\n") // which is not read
	bus := h.newFakeBus(root + "/" + hostBus)
	h.start()
	h.Watch(container)
	bus.awaitClient()
	bus.set("GetAll", signed("21"))
	bus.signal(logindOwner, logindPath, logindName+".Manager.SessionNew", "21", godbus.ObjectPath("/session/21"))
	login := await(h, loginFacts, func(attribution.Login) bool { return true })
	want := aliceLogin("21")
	want.Manager, want.Leader = container, 0 // which pid that is on the host is not known
	assert.Equal(t, want, login)
	found, ok := h.Session(container, "21")
	assert.True(t, ok)
	assert.Equal(t, want, found)
	_, ok = h.Session(0, "21")
	assert.False(t, ok)
	bus.signal(oomdOwner, "/org/freedesktop/oom1", oomdName+".Manager.Killed", "/system.slice/a.service", "memory-used")
	bus.jobNew(systemdOwner, 7, mysql)
	await(h, jobFacts, func(attribution.Job) bool { return true })
	assert.Empty(t, told(h, func(f attribution.Fact) *attribution.Pressure { return f.Pressure }))
	h.Unwatch(container)
	eventually(t, func() bool { _, ok := h.Session(container, "21"); return !ok })
}
