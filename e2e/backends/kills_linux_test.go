// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// crime is a signal from one process to another about which the test knows everything.
type crime struct {
	sender *process.Sender
	target *process.Target
	// name, executable and user are those of the target.
	name, executable string
	user             int
	call             string
	signal           syscall.Signal
	errno            syscall.Errno
	// began and ended are the times just before and after the call.
	began, ended time.Time
}

// String identifies a crime by its sender and target, which no other crime shares.
func (c *crime) String() string { return fmt.Sprintf("%d by %d", c.target.PID, c.sender.PID) }

type crimes []*crime

// commit commits crimes: some one after the other, one of them without success, and many at the
// same time. Most of the targets are called mysqld.
func commit(t *testing.T) crimes {
	t.Helper()
	program := process.NativeSender(t)
	root, nobody := process.NewSender(t, program), process.NewSender(t, program, process.AsUser)
	root.Rename("mykill")
	all := crimes{
		{sender: root, name: "mysqld", call: "kill", signal: unix.SIGKILL},
		{sender: nobody, name: "mysqld", call: "tgkill", signal: unix.SIGTERM, user: harness.NobodyID},
		{sender: nobody, name: "mysqld", call: "kill", signal: unix.SIGKILL, errno: unix.EPERM},
		{sender: root, name: "postgres", call: "kill", signal: unix.SIGKILL},
	}
	var atOnce crimes
	for range 4 {
		s := process.NewSender(t, program)
		for _, call := range []string{"kill", "rt_sigqueueinfo", "pidfd_send_signal"} {
			atOnce = append(atOnce, &crime{sender: s, name: "mysqld", call: call, signal: unix.SIGTERM})
		}
	}
	for _, c := range append(all, atOnce...) {
		c.prepare(t)
	}
	for _, c := range all {
		c.commit()
	}
	var busy sync.WaitGroup
	for i := 0; i < len(atOnce); i += 3 {
		busy.Go(func() {
			for _, c := range atOnce[i : i+3] {
				c.commit()
			}
		})
	}
	busy.Wait()
	return append(all, atOnce...)
}

// prepare starts the target.
func (c *crime) prepare(t *testing.T) {
	t.Helper()
	path := filepath.Join(harness.PublicDir(t), c.name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\necho ready; read -r line\n"), 0o755))
	command := exec.Command(path) //nolint:gosec // was just written
	harness.Attributes(command).Credential = &syscall.Credential{Uid: uint32(c.user), Gid: uint32(c.user)}
	c.target = process.StartTarget(t, command, true)
	var err error
	c.executable, err = os.Readlink(fmt.Sprintf("/proc/%d/exe", c.target.PID))
	require.NoError(t, err)
}

func (c *crime) commit() {
	order := orders.Order{Call: c.call, PID: c.target.PID, Thread: c.target.PID, Signal: int(c.signal)}
	c.began = time.Now()
	truth := c.sender.Order(order)
	c.ended = time.Now()
	require.Len(c.sender.T, truth, 1)
	require.Equal(c.sender.T, int(c.errno), truth[0].Errno, "%s", c)
}

// truth returns what a kind of event must report about the crimes against mysqld.
func (c crimes) truth(event string) map[string]map[string]string {
	rows := make(map[string]map[string]string)
	for _, crime := range c {
		if crime.name != "mysqld" || event == "kill.outcome" && crime.errno != 0 {
			continue
		}
		row := crime.everywhere()
		row["event.name"] = event
		if event == "kill.signal" {
			maps.Copy(row, crime.attempt())
		} else {
			maps.Copy(row, crime.outcome())
		}
		rows[crime.String()] = undotted(row)
	}
	return rows
}

// undotted replaces the dots in names of attributes, as Loki does, so that rows of all backends compare.
func undotted(row map[string]string) map[string]string {
	plain := make(map[string]string, len(row))
	for name, value := range row {
		plain[strings.ReplaceAll(name, ".", "_")] = value
	}
	return plain
}

// senderUser returns the user id of the sender.
func (c *crime) senderUser() int {
	if credential := c.sender.Command.SysProcAttr.Credential; credential != nil {
		return int(credential.Uid)
	}
	return 0
}

// everywhere returns what every event about a crime reports.
func (c *crime) everywhere() map[string]string {
	host, _ := os.Hostname() // a wrong name fails the comparison
	path, sender := c.sender.Command.Path, c.senderUser()
	return map[string]string{
		"host.name": host, "service.name": "auditkill",
		"kill.source": "ebpf", "kill.complete": "true", "kill.origin": "user",
		"kill.signal.name": unix.SignalName(c.signal), "kill.signal.number": strconv.Itoa(int(c.signal)),
		"kill.target.pid": strconv.Itoa(c.target.PID), "kill.target.name": c.name,
		"kill.target.executable.path": c.executable, "kill.target.user.id": strconv.Itoa(c.user),
		"process.pid": strconv.Itoa(c.sender.PID), "process.parent_pid": strconv.Itoa(os.Getpid()),
		"process.command": c.sender.Name, "process.executable.path": path,
		"process.executable.name": filepath.Base(path), "process.user.id": strconv.Itoa(sender),
		"process.real_user.id": strconv.Itoa(sender), "process.title": path,
	}
}

// attempt returns what kill.signal reports in addition.
func (c *crime) attempt() map[string]string {
	row := map[string]string{
		"kill.syscall": c.call, "kill.scope": process.ScopeOf(orders.Order{Call: c.call, PID: c.target.PID}), "kill.target.count": "1",
		"_msg": fmt.Sprintf("%s[%d] (%s, uid %d) sent %s to %s[%d]", c.sender.Name, c.sender.PID, c.sender.Command.Path, c.senderUser(),
			unix.SignalName(c.signal), c.name, c.target.PID),
	}
	if c.errno == 0 {
		row["kill.result"], row["kill.delivery"] = "success", "delivered"
		return row
	}
	row["kill.result"], row["error.type"] = "failure", unix.ErrnoName(c.errno)
	row["_msg"] += ": " + unix.ErrnoName(c.errno)
	return row
}

// outcome returns what kill.outcome reports in addition: no target survives.
func (c *crime) outcome() map[string]string {
	return map[string]string{
		"kill.outcome": "killed", "kill.exit.signal.name": unix.SignalName(c.signal), "kill.escalated": "false",
		"kill.last_sender.pid": strconv.Itoa(c.sender.PID), "kill.last_sender.name": c.sender.Name,
	}
}

// match returns the rows about these crimes, by crime, without those about other signals on this machine.
func (c crimes) match(rows []map[string]string) map[string]map[string]string {
	found := make(map[string]map[string]string)
	for _, row := range rows {
		row = undotted(row)
		name := row["kill_target_pid"] + " by " + row["process_pid"]
		for _, crime := range c {
			if crime.String() == name {
				found[name] = row
			}
		}
	}
	return found
}

// withoutInitiator returns a row's sentence without what has begun it, which depends on who runs the tests: it must be
// one of our own parents, and where the attributes say.
func withoutInitiator(t *testing.T, row map[string]string, want string) string {
	t.Helper()
	begun := fmt.Sprintf("%s[%s]", row["kill_initiator_name"], row["kill_initiator_pid"])
	assert.Contains(t, row["kill_sender_ancestry"], begun)
	before, failed, refused := strings.Cut(want, ": ")
	if refused {
		failed = ": " + failed
	}
	pattern := regexp.QuoteMeta(before) + ", begun by " + regexp.QuoteMeta(begun) + `( \(.*\))?` + regexp.QuoteMeta(failed)
	if !assert.Regexp(t, "^"+pattern+"$", row["_msg"]) {
		return row["_msg"]
	}
	return want
}

// compare checks that the rows have what must be reported.
func (c crimes) compare(t *testing.T, want, got map[string]map[string]string) {
	t.Helper()
	assert.Len(t, got, len(want))
	for _, crime := range c {
		attributes, row := want[crime.String()], got[crime.String()]
		if attributes == nil {
			assert.Nil(t, row, "%s", crime)
			continue
		}
		if want, told := attributes["_msg"], row["kill_initiator_pid"]; want != "" && told != "" {
			row["_msg"] = withoutInitiator(t, row, want)
		}
		assert.Subset(t, row, attributes, "%s", crime)
		assert.Contains(t, row["kill_sender_ancestry"], fmt.Sprintf("[%d]", os.Getpid()), "%s", crime)
		if row["event_name"] == "kill.signal" {
			// The kernel has a different clock. The collector compared it with this one some time ago.
			const drift = 10 * time.Millisecond
			assert.WithinRange(t, backend.TimeOf(t, row), crime.began.Add(-drift), crime.ended.Add(drift), "%s", crime)
		}
	}
}
