// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap/zapcore"
)

// TestProcessTable has an audit log with two processes that the host knows more about: this one,
// and a child of it.
func TestProcessTable(t *testing.T) {
	t.Parallel()
	needProcesses(t)

	victim, path := startVictim(t)
	log := newAuditLog(t)
	f := newFixture(t, log.path)
	f.start(t)
	record := awaitRecord(t, f, func() { log.killNow(t, victim) }, func(record plog.LogRecord) bool {
		return text(record, "kill.target.executable.path") != "" && text(record, "process.creation.time") != ""
	})
	assert.Equal(t, path, text(record, "kill.target.executable.path"))
	assert.Equal(t, "sleep 600", text(record, "kill.target.title"))
	for _, key := range []string{"kill.target.start_time", "process.creation.time"} {
		born, err := time.Parse("2006-01-02T15:04:05.000Z", text(record, key))
		require.NoError(t, err, key)
		assert.WithinRange(t, born, time.Now().Add(-time.Hour), time.Now(), key)
	}
	ancestry, ok := record.Attributes().Get("kill.sender.ancestry")
	require.True(t, ok)
	assert.Regexp(t, fmt.Sprintf(`^.+\[%d\]$`, os.Getppid()), ancestry.Slice().At(0).Str())
	assert.Positive(t, f.metric(t, "otelcol_receiver_audit_kill_processes"))
	assert.Zero(t, f.metric(t, "otelcol_receiver_audit_kill_processes_evicted"))
}

// TestFilterByPath needs a path to decide what is wanted: the names in the audit log match in both
// cases.
func TestFilterByPath(t *testing.T) {
	t.Parallel()
	needProcesses(t)

	victim, path := startVictim(t)
	t.Run("same", func(t *testing.T) {
		t.Parallel()
		log := newAuditLog(t)
		f := newFixture(t, log.path)
		f.config.Targets = []NameGlob{NameGlob(path)}
		f.start(t)
		awaitRecord(t, f, func() { log.killNow(t, victim) }, func(record plog.LogRecord) bool {
			return text(record, "kill.target.executable.path") == path
		})
		assert.Zero(t, f.metric(t, "otelcol_receiver_audit_kill_filtered"))
	})
	t.Run("another", func(t *testing.T) {
		t.Parallel()
		log := newAuditLog(t)
		f := newFixture(t, log.path)
		f.config.Targets = []NameGlob{NameGlob("/nowhere/" + filepath.Base(path))}
		f.start(t)
		require.Eventually(t, func() bool {
			log.killNow(t, victim)
			return f.metric(t, "otelcol_receiver_audit_kill_filtered") > 0
		}, soon, often)
	})
}

// TestNoProcesses has a root_path without a /proc. What is in the log is still reported.
func TestNoProcesses(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	f := newFixture(t, log.path)
	f.config.RootPath = t.TempDir()
	f.start(t)
	log.kill(1)
	f.sink.await(t, 1)
	told := f.logged.FilterLevelExact(zapcore.WarnLevel).All()
	require.Len(t, told, 1)
	assert.Equal(t, "events will describe processes only by what is in the audit records", told[0].Message)
	assert.Contains(t, told[0].ContextMap()["error"], filepath.Join(f.config.RootPath, "proc"))
}

// startVictim starts a process that lives until the test ends, and returns the
// path of its program.
func startVictim(t *testing.T) (pid int, path string) {
	t.Helper()
	command := exec.Command("sleep", "600")
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		assert.NoError(t, command.Process.Kill())
		_ = command.Wait() // it was killed
	})
	path, err := filepath.EvalSymlinks(command.Path)
	require.NoError(t, err)
	return command.Process.Pid, path
}

// killNow appends an event in which this process signals another one.
func (l *auditLog) killNow(t *testing.T, target int) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	command, err := os.ReadFile("/proc/self/comm")
	require.NoError(t, err)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.serial++
	now := time.Now()
	id := fmt.Sprintf("msg=audit(%d.%03d:%d):", now.Unix(), now.UnixMilli()%1000, l.serial)
	l.append(fmt.Sprintf("type=SYSCALL %s arch=c000003e syscall=62 success=yes exit=0 a0=%x a1=9 a2=0 a3=0 items=0 ppid=%d pid=%d "+
		"auid=500 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts3 ses=1 comm=%q exe=%q key=\"audit_kill\"\n"+
		"type=OBJ_PID %s opid=%d oauid=-1 ouid=0 oses=-1 ocomm=\"sleep\"\ntype=PROCTITLE %s proctitle=\"test\"\n",
		id, target, os.Getppid(), os.Getpid(), string(command[:len(command)-1]), self, id, target, id))
}

// awaitRecord acts until a log record arrives that is as it should be. In the first hundredth of a
// second of a process, it cannot be distinguished from the one before with the same pid.
func awaitRecord(t *testing.T, f *fixture, act func(), wanted func(plog.LogRecord) bool) plog.LogRecord {
	t.Helper()
	var found plog.LogRecord
	require.Eventually(t, func() bool {
		act()
		for _, record := range f.sink.records() {
			if wanted(record) {
				found = record
				return true
			}
		}
		return false
	}, soon, 10*often)
	return found
}
