// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

// kernelThread is PF_KTHREAD of include/linux/sched.h.
const kernelThread = 0x00200000

// fakeHost is a tree of files that looks like a host, at a time that only the test changes.
type fakeHost struct {
	t      *testing.T
	root   string
	uptime time.Duration
	table  *Table
	// last is the last pid given out, born the number of births.
	last, born int
}

// fakeProcess is what /proc shows about a process.
type fakeProcess struct {
	command, executable, commandLine, cgroup string
	parent                                   int
	start                                    time.Duration
	state                                    string
	user, login, session                     uint32
	threads                                  []string
}

// fakeWall is the wall clock's time at the fake host's boot.
var fakeWall = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// newFakeHost returns a host whose pids are those of this namespace, unless nested.
func newFakeHost(t *testing.T, nested bool) *fakeHost {
	t.Helper()
	h := &fakeHost{t: t, root: t.TempDir(), uptime: 1000 * time.Second}
	h.write("proc/self/status", "Name:\tcollector\nNSpid:\t100\n")
	if nested {
		h.write("proc/self/status", "Name:\tcollector\nNSpid:\t100\t1\n")
	}
	h.write("proc/2/stat", statLine(2, "kthreadd", "S", 0, kernelThread, 0))
	h.write("proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n")
	h.cursor(100)
	h.newTable(0)
	return h
}

func (h *fakeHost) newTable(limit int) {
	h.table = NewTable(Config{Root: h.root, Max: limit})
	h.table.boot = fakeWall
	h.table.host = "db1"
	h.table.now = func() time.Duration { return h.uptime }
	h.table.wall = func() time.Time { return h.at(h.uptime) }
}

// at is the wall clock's time at some time since boot.
func (*fakeHost) at(uptime time.Duration) time.Time { return fakeWall.Add(uptime) }

func (h *fakeHost) write(name, content string) {
	h.t.Helper()
	path := filepath.Join(h.root, name)
	require.NoError(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(h.t, os.WriteFile(path, []byte(content), 0o600))
}

// cursor gives out pids up to the given one, with as many births.
func (h *fakeHost) cursor(pid int) {
	h.t.Helper()
	h.births(h.born + max(1, pid-h.last))
	h.last = pid
	h.write("proc/loadavg", fmt.Sprintf("0.08 0.21 0.61 2/84 %d\n", pid))
}

// births sets how many processes have been created.
func (h *fakeHost) births(n int) {
	h.t.Helper()
	h.born = n
	h.write("proc/stat", fmt.Sprintf("cpu  1 2 3\nctxt 4\nbtime 5\nprocesses %d\nprocs_running 1\n", n))
}

// runs adds a process with a pid.
func (h *fakeHost) runs(pid int, p fakeProcess) {
	h.t.Helper()
	h.ends(pid)
	if p.state == "" {
		p.state = "S"
	}
	dir := "proc/" + strconv.Itoa(pid)
	h.write(dir+"/stat", statLine(pid, p.command, p.state, p.parent, 0, uint64(p.start/procstat.Tick)))
	h.write(dir+"/cmdline", p.commandLine)
	h.write(dir+"/cgroup", "0::"+p.cgroup+"\n")
	h.write(dir+"/status", fmt.Sprintf("Name:\tx\nTgid:\t%d\nUid:\t%d\t0\t0\t0\n", pid, p.user))
	h.write(dir+"/loginuid", strconv.FormatUint(uint64(p.login), 10))
	h.write(dir+"/sessionid", strconv.FormatUint(uint64(p.session), 10))
	for i, name := range p.threads {
		h.write(fmt.Sprintf("%s/task/%d/comm", dir, pid+i), name+"\n")
	}
	if p.executable != "" {
		require.NoError(h.t, os.Symlink(p.executable, filepath.Join(h.root, dir, "exe")))
	}
}

// ends removes a process.
func (h *fakeHost) ends(pid int) {
	h.t.Helper()
	require.NoError(h.t, os.RemoveAll(filepath.Join(h.root, "proc", strconv.Itoa(pid))))
}

// scan lets some time pass and scans again.
func (h *fakeHost) scan() {
	h.t.Helper()
	h.uptime += time.Second
	require.NoError(h.t, h.table.scan())
}

// signal is an event of the audit system in which only the target is known.
func (h *fakeHost) signal(uptime time.Duration, target kill.Process) *kill.Event {
	e := &kill.Event{Kind: kill.KindSignal, Time: h.at(uptime).Truncate(time.Millisecond)}
	*e.AddTarget() = target
	return e
}
