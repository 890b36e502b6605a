// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
)

const (
	hostBus     = "run/dbus/system_bus_socket"
	hostPrivate = "run/systemd/private"
	mysql       = "mysql.service"
)

// listening returns a host whose Watcher listens to its bus.
func listening(t *testing.T) (*fakeHost, *fakeBus) {
	t.Helper()
	h := newFakeHost(t)
	bus := h.newFakeBus(hostBus)
	h.start()
	bus.awaitClient()
	return h, bus
}

// TestConnectionsFlood has somebody connect to the bus and leave it all the time: what systemd says is heard all the same.
func TestConnectionsFlood(t *testing.T) {
	t.Parallel()
	h, bus := observing(t, 0)
	for range hostBurst * 3 / 2 {
		bus.signal(busName, busPath, busName+".NameOwnerChanged", ":1.666", "", ":1.666")
	}
	for id := range uint32(100) {
		bus.jobNew(systemdOwner, id+1, mysql)
	}
	await(h, jobFacts, func(j attribution.Job) bool { return j.ID == 100 })
	jobs := 0
	for _, j := range told(h, jobFacts) {
		if j.ID > 0 && j.Type == "" {
			jobs++
		}
	}
	assert.GreaterOrEqual(t, jobs, 100)
}

func TestJobs(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	bus.set("JobType", godbus.MakeVariant("stop"))
	bus.jobNew(systemdOwner, 7, mysql)
	typed := await(h, jobFacts, func(j attribution.Job) bool { return j.Type == "stop" })
	bus.jobRemoved(7, mysql, "done")
	done := await(h, jobFacts, func(j attribution.Job) bool { return j.Done })
	assert.WithinDuration(t, time.Now(), done.Time, wait)
	typed.Time, done.Time = time.Time{}, time.Time{}
	assert.Equal(t, attribution.Job{Manager: hostPID, ID: 7, Unit: mysql, Type: "stop"}, typed)
	assert.Equal(t, attribution.Job{Manager: hostPID, ID: 7, Unit: mysql, Type: "stop", Done: true, Result: "done"}, done)
	jobs := told(h, jobFacts)
	require.Len(t, jobs, 3)
	assert.Empty(t, jobs[0].Type, "it is told before systemd has answered")
}

func TestJobsAtTheBeginning(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	bus := h.newFakeBus(hostBus)
	type listed struct {
		ID                uint32
		Unit, Type, State string
		Path, UnitPath    godbus.ObjectPath
	}
	bus.set("ListJobs", []listed{{3, mysql, "stop", "running", "/job/3", "/unit"}, {4, "no unit", "stop", "running", "/job/4", "/unit"}})
	h.start()
	job := await(h, jobFacts, func(attribution.Job) bool { return true })
	assert.Equal(t, "stop", job.Type)
	assert.Len(t, told(h, jobFacts), 1)
}

// TestRestart has systemd turn the restart into a start before it is asked.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, jobType := range map[string]string{"turned into a start": "start", "forgotten": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, bus := listening(t)
			bus.enters("active", "running", "success")
			bus.jobNew(systemdOwner, 7, mysql)
			bus.enters("deactivating", "stop-sigterm", "success")
			bus.enters("inactive", "dead", "success")
			bus.enters("active", "running", "success")
			await(h, unitFacts, func(u attribution.Unit) bool { return u.Active == "inactive" })
			if jobType != "" {
				bus.set("JobType", godbus.MakeVariant(jobType))
				bus.jobNew(systemdOwner, 8, mysql)
			}
			bus.jobRemoved(7, mysql, "done")
			job := await(h, jobFacts, func(j attribution.Job) bool { return j.Done })
			assert.Equal(t, "restart", job.Type)
		})
	}
}

// TestStartThatFails has a unit stopped by a job that was to start it, because that takes too long.
func TestStartThatFails(t *testing.T) {
	t.Parallel()
	at := &job{Job: attribution.Job{Unit: mysql}}
	all := &jobs{known: make(map[uint32]*job), current: make(map[string]*job)}
	all.remember(at)
	all.entered(mysql, "activating")
	all.entered(mysql, "deactivating")
	at.is("start")
	assert.Equal(t, "start", at.Type)
}

func TestStates(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	bus.set("TimeoutStopUSec", godbus.MakeVariant(uint64(90_000_000)))
	bus.set("GetAll", map[string]godbus.Variant{
		"Id": godbus.MakeVariant(mysql), "Names": godbus.MakeVariant([]string{mysql, "no unit", "mysqld.service"}),
		"Conflicts": godbus.MakeVariant([]string{"shutdown.target"}), "Job": godbus.MakeVariant([]any{uint32(7), godbus.ObjectPath("/a")}),
		"PartOf": godbus.MakeVariant([]string{"database.target"}), "Wants": godbus.MakeVariant([]string{"other.service"}),
	})
	bus.set("TimeoutStartUSec", godbus.MakeVariant(uint64(30_000_000)))
	bus.set("RuntimeMaxUSec", godbus.MakeVariant(uint64(math.MaxUint64)))
	bus.enters("active", "running", "success")
	bus.enters("deactivating", "stop-sigterm", "success")
	limited := await(h, unitFacts, func(u attribution.Unit) bool { return u.StopTimeout != 0 })
	assert.Equal(t, attribution.Unit{
		Time: limited.Time, Manager: hostPID, Name: mysql, Active: "deactivating", Sub: "stop-sigterm", Result: "success",
		StopTimeout: 90 * time.Second, Names: []string{mysql, "mysqld.service"}, Bases: []string{"database.target"}, Rivals: []string{"shutdown.target"},
	}, limited)
	bus.enters("deactivating", "stop-sigterm", "success") // again
	bus.enters("deactivating", "stop-sigkill", "timeout")
	killed := await(h, unitFacts, func(u attribution.Unit) bool { return u.StartTimeout != 0 })
	assert.Equal(t, attribution.Unit{
		Time: killed.Time, Manager: hostPID, Name: mysql, Active: "deactivating", Sub: "stop-sigkill", Result: "timeout",
		StopTimeout: 90 * time.Second, StartTimeout: 30 * time.Second, Names: []string{mysql, "mysqld.service"},
		Bases: []string{"database.target"}, Rivals: []string{"shutdown.target"},
	}, killed)
	assert.Equal(t, 1, bus.called("TimeoutStopUSec"), "once is enough")
	assert.Len(t, told(h, unitFacts), 5)
}

func TestWatchdog(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	bus.set("WatchdogUSec", godbus.MakeVariant(uint64(1_500_000)))
	bus.enters("deactivating", "stop-watchdog", "watchdog")
	limited := await(h, unitFacts, func(u attribution.Unit) bool { return u.Watchdog != 0 })
	assert.Equal(t, "watchdog", limited.Result)
	assert.Equal(t, 1500*time.Millisecond, limited.Watchdog)
	assert.Zero(t, limited.StopTimeout, "it was not to be had")
}

func TestTimeOfAState(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	then := time.Now().Add(-time.Second).Truncate(time.Microsecond)
	bus.signal(systemdOwner, unitsPath+"mysql_2eservice", properties+".PropertiesChanged", systemdName+".Unit", map[string]godbus.Variant{
		"SubState": godbus.MakeVariant("dead"), "StateChangeTimestamp": godbus.MakeVariant(uint64(then.UnixMicro())),
	}, []string{})
	assert.True(t, await(h, unitFacts, func(attribution.Unit) bool { return true }).Time.Equal(then))
	now := time.Now()
	for _, wrong := range []uint64{0, uint64(now.UnixMicro()) + 1000, math.MaxUint64} {
		assert.Equal(t, now, past(wrong, now))
	}
}

func TestForgetsAfterReload(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	bus.enters("deactivating", "stop-sigterm", "success")
	eventually(t, func() bool { return bus.called("TimeoutStopUSec") == 1 })
	bus.signal(systemdOwner, systemdPath, systemdName+".Manager.Reloading", false)
	bus.enters("deactivating", "stop-sigterm", "success")
	eventually(t, func() bool { return bus.called("TimeoutStopUSec") == 2 })
	assert.Zero(t, h.Counts().Malformed)
}

// TestSignalsOfOthers has another user of the bus send signals as if he were systemd.
func TestSignalsOfOthers(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	for _, sender := range []string{":1.66", logindOwner, "org.freedesktop.systemd1", ""} {
		bus.jobNew(sender, 6, "forged.service")
	}
	bus.signal(":1.66", busPath, busName+".NameOwnerChanged", systemdName, systemdOwner, ":1.66")
	bus.signal(systemdOwner, "/org/freedesktop/login1", logindName+".Manager.PrepareForShutdown", true)
	bus.jobNew(systemdOwner, 7, mysql)
	await(h, jobFacts, func(j attribution.Job) bool { return j.ID == 7 })
	assert.Len(t, h.facts, 1)
}

// TestSystemdChangesItsName has systemd lose its connection to the bus, and come back.
func TestSystemdChangesItsName(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	bus.signal(busName, busPath, busName+".NameOwnerChanged", systemdName, systemdOwner, "")
	bus.jobNew(systemdOwner, 6, "forged.service")
	bus.signal(busName, busPath, busName+".NameOwnerChanged", systemdName, "", ":1.50")
	eventually(t, func() bool { return bus.called("Subscribe") == 2 })
	bus.jobNew(":1.50", 7, mysql)
	await(h, jobFacts, func(j attribution.Job) bool { return j.ID == 7 })
	assert.Len(t, h.facts, 1)
}

func TestBadSignals(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	bus.jobNew(systemdOwner, 1, "no unit")
	bus.jobNew(systemdOwner, 2, strings.Repeat("x", 300)+".service")
	bus.signal(systemdOwner, systemdPath, systemdName+".Manager.JobNew", "three", "/job/3", mysql)
	bus.signal(systemdOwner, systemdPath, systemdName+".Manager.JobNew", uint32(3), godbus.ObjectPath(jobsPath+"4"), mysql)
	bus.signal(systemdOwner, systemdPath, systemdName+".Manager.JobNew")
	bus.signal(systemdOwner, "/elsewhere", properties+".PropertiesChanged", systemdName+".Unit", map[string]godbus.Variant{}, []string{})
	bus.signal(systemdOwner, unitsPath+"a_2eservice", properties+".PropertiesChanged", uint32(1))
	bus.jobNew(systemdOwner, 7, mysql)
	await(h, jobFacts, func(j attribution.Job) bool { return j.ID == 7 })
	assert.Len(t, h.facts, 1)
	assert.Equal(t, int64(6), h.Counts().Malformed)
}

// TestLinks has what was seen of systemd and dbus-daemon: root is refused by a user's bus, but not by his systemd, and
// systemd refuses whose pid it cannot see.
func TestLinks(t *testing.T) {
	t.Parallel()
	us := uint32(os.Geteuid())
	var ifRoot []string
	if us == 0 {
		ifRoot = []string{"run/user/1000/systemd/private"}
	}
	for name, test := range map[string]struct {
		of   process
		want []string
	}{
		"the host's":               {process{inner: hostPID, user: us}, []string{hostBus, hostPrivate}},
		"a container's":            {process{inner: hostPID, user: us + 1, nested: true}, []string{hostBus}},
		"our own":                  {process{inner: 7, user: us, innerUser: us}, nil},
		"a user's":                 {process{inner: 7, user: us + 1, innerUser: 1000}, ifRoot},
		"of a user of a container": {process{inner: 7, user: us + 1, innerUser: 1000, nested: true}, nil},
	} {
		if name == "our own" {
			ours := fmt.Sprintf("run/user/%d/", us)
			test.want = []string{ours + "bus", ours + "systemd/private"}
		}
		var got []string
		for _, l := range newManager(New(Config{}), &test.of).links() {
			got = append(got, l.socket())
		}
		assert.Equal(t, test.want, got, name)
	}
}

// TestHostsFiles has a program in a container that may inspect the host's init, but was given nothing else of the host.
func TestHostsFiles(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	root := filepath.Join(h.root, "proc/1/root")
	require.NoError(t, os.Remove(root))
	require.NoError(t, os.Symlink("../../elsewhere", root))
	h.newFakeBus("elsewhere/" + hostBus)
	of, err := openProcess(h.root, hostPID)
	require.NoError(t, err)
	defer of.close()
	_, err = of.dial(hostBus)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestRefusingBus has a bus that accepts connections, and closes them at once.
func TestRefusingBus(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	for range 4 {
		bus.disconnect()
		bus.awaitClient()
	}
	began := time.Now()
	bus.disconnect()
	bus.awaitClient()
	assert.Greater(t, time.Since(began), 2*firstDelay, "it is tried less and less often")
	h.stop()
}

func TestPrivateSocket(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	private := h.newFakeBus(hostPrivate)
	h.start()
	private.awaitClient()
	private.set("JobType", godbus.MakeVariant("stop"))
	private.jobNew("", 7, mysql)
	await(h, jobFacts, func(j attribution.Job) bool { return j.Type == "stop" })
	assert.Zero(t, private.called("Hello"), "there is no bus")
	bus := h.newFakeBus(hostBus)
	bus.awaitClient()
	bus.jobNew(systemdOwner, 8, mysql)
	await(h, jobFacts, func(j attribution.Job) bool { return j.ID == 8 })
}

func TestConnectsAgain(t *testing.T) {
	t.Parallel()
	h, bus := listening(t)
	bus.disconnect()
	bus.awaitClient()
	bus.jobNew(systemdOwner, 7, mysql)
	await(h, jobFacts, func(j attribution.Job) bool { return j.ID == 7 })
	counts := h.Counts()
	assert.Equal(t, []int64{1, 2, 1}, []int64{counts.Connected, counts.Connections, counts.Disconnected})
}

// TestContainers has systemds of a container and of a user, whose facts bear their names.
func TestContainers(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	inside := h.newFakeBus(h.container(container) + "/" + hostBus)
	h.process(alice, "88", "/usr/lib/systemd/systemd", "../..")
	users := h.newFakeBus("run/user/1000/bus")
	h.start()
	h.Watch(container)
	h.Watch(alice)
	h.Watch(alice)
	for pid, bus := range map[int]*fakeBus{container: inside, alice: users} {
		bus.awaitClient()
		bus.jobNew(systemdOwner, uint32(pid), mysql)
		job := await(h, jobFacts, func(j attribution.Job) bool { return j.ID == uint32(pid) })
		assert.Equal(t, pid, job.Manager)
	}
	h.Unwatch(alice)
	eventually(t, func() bool { return h.Counts().Connected == 1 })
	require.NoError(t, os.RemoveAll(filepath.Join(h.root, "proc/77")))
	eventually(t, func() bool { return h.Counts().Connected == 0 })
}

// TestLeavesContainer has links in a container lead out of it.
func TestLeavesContainer(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	bus := h.newFakeBus(hostBus)
	root := h.container(container)
	require.NoError(t, os.MkdirAll(filepath.Join(h.root, root, "run"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(h.root, "run/dbus"), filepath.Join(h.root, root, "run/dbus")))
	of, err := openProcess(h.root, container)
	require.NoError(t, err)
	defer of.close()
	_, err = of.dial(hostBus)
	require.Error(t, err)
	assert.Zero(t, bus.called("Hello"))
}

// TestHangingBuses has buses that accept a connection and say nothing, beside one that works.
func TestHangingBuses(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	silent := h.newFakeBus(h.container(container) + "/" + hostBus)
	silent.mute(true)
	refusing := h.newFakeBus(h.container(container+1) + "/" + hostBus)
	refusing.forget("Hello")
	bus := h.newFakeBus(hostBus)
	h.start()
	h.Watch(container)
	h.Watch(container + 1)
	bus.awaitClient()
	bus.jobNew(systemdOwner, 7, mysql)
	await(h, jobFacts, func(j attribution.Job) bool { return j.ID == 7 })
	began := time.Now()
	h.stop()
	assert.Less(t, time.Since(began), patience/2)
}

// TestFlood has a container send more than anybody needs, while the host's systemd goes on.
func TestFlood(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	flooding := h.newFakeBus(h.container(container) + "/" + hostBus)
	bus := h.newFakeBus(hostBus)
	h.start()
	h.Watch(container)
	flooding.awaitClient()
	bus.awaitClient()
	flooding.done.Go(func() { flooding.flood() })
	eventually(t, func() bool { return h.Counts().Rested > 0 })
	bus.jobNew(systemdOwner, 7, mysql)
	await(h, jobFacts, func(j attribution.Job) bool { return j.Manager == hostPID && j.ID == 7 })
	h.stop()
}

func TestNoSystemd(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	h.process(container, "77", "/usr/bin/bash", "../..")
	for _, pid := range []int{container, 99, 0, -1} {
		_, err := openProcess(h.root, pid)
		require.Error(t, err, pid)
	}
	require.NoError(t, os.Remove(filepath.Join(h.root, "proc/1/exe")))
	require.NoError(t, os.Symlink("/usr/lib/systemd/systemd (deleted)", filepath.Join(h.root, "proc/1/exe")))
	of, err := openProcess(h.root, hostPID)
	require.NoError(t, err, "an upgrade deletes the program of a systemd that runs")
	of.close()
}

func TestTooManySystemds(t *testing.T) {
	t.Parallel()
	w := New(Config{})
	for pid := range maxManagers + 5 {
		w.Watch(pid)
	}
	assert.Len(t, w.watched, maxManagers)
	assert.Equal(t, int64(4), w.Counts().Unwatched)
	w.Unwatch(3)
	w.Watch(maxManagers + 9)
	assert.Len(t, w.watched, maxManagers)
}
