// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bufio"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// `watch -o json | head -1` ends with the line, not with the next signal, and cleans up.
func TestWatchThatNobodyReads(t *testing.T) {
	for name, source := range map[string]string{"ebpf": "ebpf", "netlink": "unicast"} {
		t.Run(name, func(t *testing.T) {
			kernel := audit(t)
			before, err := kernel.GetStatus()
			require.NoError(t, err)
			cmd := auditkill(t, "watch", "-o", "json", "--source", source)
			read, written, err := os.Pipe()
			require.NoError(t, err)
			cmd.Stdout = written
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill() }) // it should have ended
			require.NoError(t, written.Close())

			line := make(chan string)
			go func() {
				defer close(line)
				if lines := bufio.NewScanner(read); lines.Scan() {
					line <- lines.Text()
				}
			}()
			var first string
			require.Eventually(t, func() bool {
				v := newVictim(t)
				defer v.gone()
				v.kill(syscall.SIGTERM)
				select {
				case first = <-line:
					return true
				case <-time.After(250 * time.Millisecond):
					return false
				}
			}, limit, time.Millisecond)
			assert.Contains(t, first, `"event":"kill.`)
			require.NoError(t, read.Close())
			assert.NoError(t, cmd.Wait(), "it ends by itself, as if it was asked to")
			asBefore(t, kernel, before)
		})
	}
}

func TestWatchForAWhile(t *testing.T) {
	needRoot(t)
	w := launchWatch(t, nil, "--source", "ebpf", "--for", "1s")
	assert.Zero(t, w.wait())
	assert.NotContains(t, w.errors.String(), "cannot use")
}

func TestWatchIsTerminated(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{
		"kill": syscall.SIGTERM, `Ctrl-\`: syscall.SIGQUIT, "the terminal is closed": syscall.SIGHUP,
	} {
		t.Run(name, func(t *testing.T) {
			kernel := audit(t)
			before, err := kernel.GetStatus()
			require.NoError(t, err)
			w := startWatch(t, "--source", "unicast")
			w.signal(signal)
			assert.Zero(t, w.wait())
			asBefore(t, kernel, before)
		})
	}
}

// What is sent just before the end is still printed.
func TestWatchPrintsWhatIsInTheQueue(t *testing.T) {
	for name, source := range map[string]string{"ebpf": "ebpf", "netlink": "unicast"} {
		t.Run(name, func(t *testing.T) {
			audit(t)
			w := startWatch(t, "--source", source)
			v := newVictim(t)
			defer v.gone()
			v.kill(syscall.SIGTERM)
			w.signal(syscall.SIGINT)
			assert.Equal(t, "SIGTERM", w.next("kill.signal", v.pid).signal)
			assert.Zero(t, w.wait())
		})
	}
}

// Rules of a watch that was killed are taken away by the next one.
func TestWatchAfterOneThatWasKilled(t *testing.T) {
	kernel := audit(t)
	before, err := kernel.GetStatus()
	require.NoError(t, err)
	w := startWatch(t, "--source", "unicast")
	w.signal(syscall.SIGKILL)
	assert.Equal(t, -1, w.wait())
	left, err := kernel.GetRules()
	require.NoError(t, err)
	require.NotEmpty(t, left)

	w = startWatch(t, "--source", "unicast")
	during, err := kernel.GetRules()
	require.NoError(t, err)
	assert.Len(t, during, len(left), "its own ones")
	assert.Zero(t, w.end(), "it says: %s", &w.errors)
	rules, err := kernel.GetRules()
	require.NoError(t, err)
	assert.Empty(t, rules)
	// What the killed watch has set stays, which does no harm (netlinksource).
	require.NoError(t, kernel.SetBacklogWaitTime(int32(before.BacklogWaitTime), 1))
	require.NoError(t, kernel.SetBacklogLimit(before.BacklogLimit, 1))
}

// Without the rights it says which it lacks, and what works without.
func TestWatchWithoutRights(t *testing.T) {
	needRoot(t)
	credential := &syscall.Credential{Uid: nobody, Gid: nobody}
	closed := filepath.Join(t.TempDir(), "audit.log") // in a directory that only root may enter
	for name, tt := range map[string]struct {
		source string
		says   string
	}{
		"auto": {"auto", `^auditkill: no source can be used:
  ebpf                  it lacks CAP_BPF and CAP_PERFMON
  multicast or unicast  it lacks CAP_AUDIT_READ
  file                  .*permission denied
run it as root: sudo auditkill watch
without root, .auditkill watch --source file --file FILE. and .auditkill report FILE. read any audit log that you may read;
log_group in /etc/audit/auditd.conf names the group that may read the host's own
$`},
		"ebpf":      {"ebpf", `^auditkill: --source ebpf: it lacks CAP_BPF and CAP_PERFMON\nrun it as root: sudo auditkill watch\n`},
		"multicast": {"multicast", `^auditkill: --source multicast: it lacks CAP_AUDIT_READ\n`},
		"unicast":   {"unicast", `^auditkill: --source unicast: it lacks CAP_AUDIT_CONTROL\n`},
		"file":      {"file", `^auditkill: --source file: .*permission denied: run it as root or `},
	} {
		t.Run(name, func(t *testing.T) {
			w := launchWatch(t, credential, "--source", tt.source, "--file", closed)
			assert.Equal(t, exitFailure, w.wait())
			assert.Regexp(t, tt.says, w.errors.String())
		})
	}
}

// A user who may read the log sees what is written to it, and why there is no better source.
func TestWatchALogWithoutRights(t *testing.T) {
	needRoot(t)
	record, err := os.ReadFile("testdata/watch_audit.log")
	require.NoError(t, err)
	directory, err := os.MkdirTemp("", "auditkill-watch") //nolint:usetesting // that of the test is closed to others
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(directory)) })
	require.NoError(t, os.Chmod(directory, 0o755))
	path := filepath.Join(directory, "audit.log")
	log, err := os.Create(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, log.Close()) })

	w := launchWatch(t, &syscall.Credential{Uid: nobody, Gid: nobody}, "--file", path)
	require.Eventually(t, func() bool {
		_, err := log.Write(record)
		require.NoError(t, err)
		_, seen := w.find("kill.signal", 3936, 100*time.Millisecond)
		return seen
	}, limit, time.Millisecond)
	assert.Zero(t, w.end(), "it says: %s", &w.errors)
	assert.Equal(t, `auditkill: cannot use ebpf: it lacks CAP_BPF and CAP_PERFMON
auditkill: cannot use multicast or unicast: it lacks CAP_AUDIT_READ
auditkill: watching with file
`, w.errors.String())
}
