// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// awaitSentTo waits for the record of a signal of a sender to a process.
func awaitSentTo(t *testing.T, sink *otlp.Sink, sender, pid int) otlp.Record {
	t.Helper()
	return awaitRecord(t, sink, fmt.Sprintf("the signal to %d", pid), func(r otlp.Record) bool {
		return r.Event == "kill.signal" && r.Number("process.pid") == int64(sender) && r.Number("kill.target.pid") == int64(pid)
	})
}

// TestLandlockRefuses has a program that has confined itself signal a process outside, and then its whole process group, of
// which only some are outside. The kernel says of the group's signal that it has succeeded.
func TestLandlockRefuses(t *testing.T) {
	audit.Use(t)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{netlink: {}}`, sink)
	target := process.StartTarget(t, exec.CommandContext(t.Context(), "sh", "-c", "echo; exec sleep 600"), false)
	s := process.NewSender(t, process.NativeSender(t))
	outside := s.Victims[s.Start(1, false)[0]]
	if errno := s.Order(orders.Order{Call: orders.Confine})[0].Errno; errno != 0 {
		harness.Skip(t, "the kernel cannot confine signals: %v; it takes Landlock of Linux 6.12", syscall.Errno(errno))
	}
	inside := s.Victims[s.Start(1, false)[0]]
	assert.EqualValues(t, syscall.EPERM, s.Order(orders.Order{Call: "kill", PID: target.PID, Signal: int(syscall.SIGKILL)})[0].Errno)
	assert.Zero(t, s.Order(orders.Order{Call: "kill", Signal: int(syscall.SIGTERM)})[0].Errno, "one of the group is enough")

	for _, want := range []struct {
		pid    int
		signal string
		result string
	}{{target.PID, "SIGKILL", "failure"}, {outside, "SIGTERM", "failure"}, {inside, "SIGTERM", "success"}} {
		r := awaitSentTo(t, sink, s.PID, want.pid)
		assert.Equal(t, want.signal, r.Text("kill.signal.name"), r.Body)
		assert.Equal(t, want.result, r.Text("kill.result"), r.Body)
		if want.result == "failure" {
			assert.Equal(t, "EPERM", r.Text("error.type"), r.Body)
			assert.Regexp(t, ": EPERM$", r.Body)
		}
	}
	c.Stop()
}

// profile is one that forbids a program to signal others. AppArmor asks for that also within the program.
const profile = `profile confined /**/sender-* {
	file,
	capability,
	ptrace,
	unix,
	signal peer=confined,
}
`

// TestAppArmorRefuses has a program whose profile does not permit it signal a process.
func TestAppArmorRefuses(t *testing.T) {
	harness.NeedMachine(t, 1)
	audit.Use(t)
	path := filepath.Join(t.TempDir(), "profile")
	require.NoError(t, os.WriteFile(path, []byte(profile), 0o600))
	said, err := exec.CommandContext(t.Context(), "apparmor_parser", "--skip-cache", "--add", path).CombinedOutput() //nolint:gosec // ours
	require.NoError(t, err, "%s", said)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{netlink: {}}`, sink)
	target := process.StartTarget(t, exec.CommandContext(t.Context(), "sh", "-c", "echo; exec sleep 600"), false)
	s := process.NewSender(t, process.NativeSender(t))
	assert.EqualValues(t, syscall.EACCES, s.Order(orders.Order{Call: "kill", PID: target.PID, Signal: int(syscall.SIGKILL)})[0].Errno)
	r := awaitSentTo(t, sink, s.PID, target.PID)
	assert.Equal(t, "failure", r.Text("kill.result"), r.Body)
	assert.Equal(t, "EACCES", r.Text("error.type"), r.Body)
	assert.Regexp(t, ": EACCES$", r.Body)
	assert.Len(t, slices.DeleteFunc(sink.Records(), func(r otlp.Record) bool { return r.Event != "kill.signal" || r.Number("process.pid") != int64(s.PID) }), 1,
		"the system call and the denial are one attempt")
	c.Stop()
}
