// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// What cannot be taken back before the next boot, or takes one. These tests need
// a machine of their own, which `make test-kernels` emulates.

// bootsVariable says how often the machine is turned on for the test.
const bootsVariable = "AUDITKILL_E2E_BOOTS"

// needMachine skips a test on a machine that others use as well.
func needMachine(t *testing.T) {
	t.Helper()
	if os.Getenv(bootsVariable) == "" {
		skip(t, "it takes a machine of its own: make test-kernels")
	}
	needAudit(t)
}

// Whoever locks the rules before they are there keeps signals from being recorded
// until the next boot: all that depends on them says so, and ebpf does not care.
func TestRulesAreLocked(t *testing.T) {
	needMachine(t)
	auditctl(t, "-e", "2")
	require.Contains(t, auditctl(t, append([]string{"-a"}, strings.Fields(auditRules[0])...)...), "immutable")
	const until = "until the next boot"

	t.Run("netlink", func(t *testing.T) {
		sink := newSink(t, "grpc")
		c := startLive(t, `{netlink: {}}`, sink)
		c.says("the audit rules are locked " + until)
		s := newSender(t, nativeSender(t))
		s.unreported(orders.Order{Call: "kill", PID: s.start(1, false)[0], Signal: int(unix.SIGTERM)})
		c.running()
		c.stop()
		assert.Empty(t, sink.records(), "nothing is recorded, and nothing made up")
	})
	t.Run("ebpf", func(t *testing.T) {
		sink := newSink(t, "grpc")
		c := startLive(t, `{ebpf: {}}`, sink)
		s := newSender(t, nativeSender(t))
		s.send(orders.Order{Call: "kill", PID: s.start(1, false)[0], Signal: int(unix.SIGTERM)}, s.inside+1)
		awaitSent(t, sink, []*sender{s})
		c.stop()
	})
	for command, code := range map[string]int{"doctor": 0, "rules --check": 1} {
		t.Run(command, func(t *testing.T) {
			program := exec.CommandContext(t.Context(), companion, strings.Fields(command)...) //nolint:gosec // as listed
			said, _ := program.CombinedOutput()
			assert.Equal(t, code, program.ProcessState.ExitCode(), "%s", said)
			assert.Contains(t, strings.Join(strings.Fields(string(said)), " "), "locked "+until)
		})
	}
	assert.Equal(t, "2", auditStatus(t)["enabled"])
	assert.Equal(t, "No rules\n", auditctl(t, "-l"))
}

// TestHostRunsOutOfMemory has a process take all memory of the machine.
func TestHostRunsOutOfMemory(t *testing.T) {
	needMachine(t)
	sink := newSink(t, "grpc")
	c := startLive(t, `{ebpf: {}}`, sink)
	hog, eat := newHog(t)
	require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", hog.Process.Pid), []byte("1000"), 0))
	eat()
	r := struck(t, sink, "kill.signal", hog.Process.Pid)
	c.running()
	c.stop()
	assert.Equal(t, fmt.Sprintf("the kernel sent SIGKILL to %s[%d] (out of memory)", filepath.Base(os.Args[0]), hog.Process.Pid), r.Body)
	assertAttributes(t, r, map[string]any{"kill.cause": "oom", "kill.target.executable.path": os.Args[0], "kill.complete": true})
}

// rebootDirectory is on the disk of the machine. It is not there at the first boot.
const rebootDirectory = "/var/lib/auditkill-reboot"

// TestReboot is run at two boots of the same machine. auditd appends to its log of
// the first one, whose serials and pids begin again.
func TestReboot(t *testing.T) {
	needMachine(t)
	require.Equal(t, "2", os.Getenv(bootsVariable), "the machine is turned on twice")
	again := true
	if _, err := os.Stat(rebootDirectory); errors.Is(err, os.ErrNotExist) {
		again = false
		require.NoError(t, os.MkdirAll(filepath.Join(rebootDirectory, "log"), 0o700))
	}
	t.Run("file", func(t *testing.T) { rebootFile(t, again) })
	t.Run("outcome", func(t *testing.T) { rebootOutcome(t, again) })
}

// rebootSignals is how many signals are sent at each occasion: while the collector
// runs before the reboot, while it does not run, and after the reboot.
const rebootSignals = 50

// rebootFile sends while the collector follows the log, and while it does not.
func rebootFile(t *testing.T, again bool) {
	t.Helper()
	useAudit(t)
	daemon := newAuditd(t, "log_format = ENRICHED")
	daemon.log = filepath.Join(rebootDirectory, "log", "audit.log")
	require.NoError(t, os.WriteFile(filepath.Join(daemon.directory, "auditd.conf"),
		fmt.Appendf(nil, auditdConfig, daemon.log, filepath.Join(daemon.directory, "plugins.d"), "log_format = ENRICHED"), 0o640))
	daemon.run()
	daemon.load()
	auditctl(t, "-e", "1")
	s := newSender(t, nativeSender(t))
	victim := s.start(1, false)[0]
	send := func() {
		s.send(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGCONT), Times: rebootSignals}, victim)
	}
	sink := newSink(t, "grpc")
	c := start(t, config{
		receiver:   fmt.Sprintf("{file: {path: %q, start_at: beginning}, storage: file_storage, signals: [CONT]}", daemon.log),
		exporter:   sink.exporter,
		extensions: fileStorage(filepath.Join(rebootDirectory, "checkpoint")),
	})
	signals := func() (all []record) {
		for _, r := range sink.records() {
			if r.Event == "kill.signal" {
				all = append(all, r)
			}
		}
		return all
	}
	if !again {
		send()
		eventually(t, func() bool { return len(signals()) == rebootSignals }, "what was sent is delivered")
		c.stop()
		send()
		written := func() bool {
			log, err := os.ReadFile(daemon.log)
			return err == nil && strings.Count(string(log), "type=OBJ_PID") == 2*rebootSignals
		}
		eventually(t, written, "auditd has written what comes after the reboot")
		require.NoError(t, os.WriteFile(filepath.Join(rebootDirectory, "sender"), []byte(strconv.Itoa(s.pid)), 0o600))
		return
	}
	eventually(t, func() bool { return len(signals()) >= rebootSignals }, "what was missed is delivered")
	send()
	eventually(t, func() bool { return len(signals()) >= 2*rebootSignals }, "what is sent is delivered")
	c.stop()
	before, err := os.ReadFile(filepath.Join(rebootDirectory, "sender"))
	require.NoError(t, err)
	of := make(map[string]int)
	for i, r := range signals() {
		of[fmt.Sprint(r.Attributes["process.pid"])]++
		if i < rebootSignals {
			assert.Equal(t, string(before), fmt.Sprint(r.Attributes["process.pid"]), "the older ones come first")
			assertAttributes(t, r, map[string]any{"kill.target.executable.path": nil, "kill.target.start_time": nil})
		}
	}
	if string(before) == strconv.Itoa(s.pid) {
		assert.Equal(t, map[string]int{string(before): 2 * rebootSignals}, of)
	} else {
		assert.Equal(t, map[string]int{string(before): rebootSignals, strconv.Itoa(s.pid): rebootSignals}, of, "each once")
	}
}

// rebootOutcome leaves a process alive that was struck, and starts another one with
// its pid after the reboot, which is struck in its turn.
func rebootOutcome(t *testing.T, again bool) {
	t.Helper()
	s := &stage{t: t, sink: newSink(t, "grpc"), program: nativeSender(t)}
	s.config = config{
		receiver: "{ebpf: {}, storage: file_storage}", exporter: s.sink.exporter,
		extensions: fileStorage(filepath.Join(rebootDirectory, "outcomes")),
	}
	path := filepath.Join(rebootDirectory, "target")
	if !again {
		s.begin()
		s.soft = newSender(t, s.program)
		target := startScript(t, "resists", resists, true)
		s.term(target)
		s.awaitSignals(target)
		s.c.stop()
		require.NoError(t, os.WriteFile(path, []byte(strconv.Itoa(target.pid)), 0o600))
		return
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	pid := number(string(text))
	other := withPID(t, pid)
	s.begin()
	outcomes := func() []record { return s.told(pid, "kill.outcome") }
	eventually(t, func() bool { return len(outcomes()) == 1 }, "the outcome of the process before the reboot")
	assertAttributes(t, outcomes()[0], map[string]any{"kill.outcome": "ended", "kill.target.name": "resists"})
	s.soft = newSender(t, s.program)
	s.kill(other)
	eventually(t, func() bool { return len(outcomes()) == 2 }, "the outcome of the process after the reboot")
	s.c.stop()
	assertAttributes(t, outcomes()[1], map[string]any{"kill.outcome": "killed", "kill.target.name": "another"})
}

// withPID starts a process that has a certain pid.
func withPID(t *testing.T, pid int) *target {
	t.Helper()
	for {
		require.NoError(t, os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0))
		if target := startScript(t, "another", dies, true); target.pid == pid {
			return target
		}
	}
}
