// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package audittest lends the kernel's audit system, of which there is only one, to one
// test at a time, and restores it afterwards. It also sends signals for tests that expect
// the kernel to record them.
package audittest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
)

const (
	// lockFile is held by the test that uses the audit system.
	lockFile = "/run/lock/auditkill-test.lock"
	// lockPatience is longer than the longest test that holds it.
	lockPatience = 20 * time.Minute
	// locked is the kernel's value of enabled after auditctl -e 2.
	locked = 2
)

// taken is true while a test of this process holds the audit system, which implies that
// audit has been on.
var taken atomic.Bool

// Kernel waits until no other test uses the audit system. At the end of the test it
// restores all settings and rules; a test that has left any changed then fails. Without the
// rights the test is skipped, except in CI.
//
// From then on the kernel records what newly started processes do, whether or not audit was
// ever on before. The test itself was started earlier: what is to be recorded has to be
// sent by a Sender, or by another process that the test starts.
func Kernel(t *testing.T) auditcontrol.Client {
	t.Helper()
	Root(t, "use the kernel's audit system")
	require.NoError(t, os.MkdirAll(filepath.Dir(lockFile), 0o750))
	lock, err := os.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, lock.Close()) })
	require.Eventually(t, func() bool { return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil },
		lockPatience, 100*time.Millisecond, "nobody else uses the audit system (%s)", lockFile)

	var kernel auditcontrol.Client
	before, err := kernel.GetStatus()
	if err != nil {
		Skip(t, "the kernel's audit system is out of reach (is CAP_AUDIT_CONTROL missing, or is this a container?): %v", err)
	}
	switch {
	case before.PID != 0 && !hasEnded(before.PID):
		Skip(t, "an audit daemon is running (pid %d); stop it to run this test", before.PID)
	case before.Enabled == locked:
		Skip(t, "the audit configuration is locked until the next boot (auditctl -e 2)")
	}
	rules, err := kernel.GetRules()
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, leftovers(kernel, before, rules), "the test has cleaned up")
		assert.NoError(t, restore(kernel, before, rules))
		taken.Store(false)
	})
	if before.Enabled == 0 {
		require.NoError(t, wake(kernel))
	}
	taken.Store(true)
	return kernel
}

// wake turns audit on and off again: the kernel gives an audit context only to tasks that
// are started after audit was first on since boot, even if it is off by then
// (kernel/auditsc.c, audit_alloc; kernel/audit.c, audit_ever_enabled).
func wake(kernel auditcontrol.Client) error {
	return errors.Join(kernel.SetEnabled(true, libaudit.WaitForReply), kernel.SetEnabled(false, libaudit.WaitForReply))
}

// hasEnded reports whether a daemon is gone, for example because a test has crashed and killed it.
func hasEnded(pid uint32) bool { return errors.Is(unix.Kill(int(pid), 0), unix.ESRCH) }

// Settings returns a status without its counters.
func Settings(status *libaudit.AuditStatus) libaudit.AuditStatus {
	s := *status
	s.Lost, s.Backlog, s.BacklogWaitTimeActual = 0, 0, 0
	return s
}

// leftovers returns an error if the audit system is not as it was before, except for the
// switch, which a test may leave on.
func leftovers(kernel auditcontrol.Client, before *libaudit.AuditStatus, rules [][]byte) error {
	after, err := kernel.GetStatus()
	if err != nil {
		return err
	}
	loaded, err := kernel.GetRules()
	if err != nil {
		return err
	}
	want, got := Settings(before), Settings(after)
	want.Enabled, got.Enabled = 0, 0
	if want.PID != 0 && hasEnded(want.PID) {
		want.PID = 0
	}
	if got != want {
		return fmt.Errorf("the settings are %+v and were %+v", got, want)
	}
	if !slices.EqualFunc(loaded, rules, bytes.Equal) {
		return fmt.Errorf("%d rules are loaded and %d were", len(loaded), len(rules))
	}
	return nil
}

func restore(kernel auditcontrol.Client, before *libaudit.AuditStatus, rules [][]byte) error {
	loaded, err := kernel.GetRules()
	errs := []error{err}
	for _, rule := range loaded {
		if !slices.ContainsFunc(rules, func(r []byte) bool { return bytes.Equal(r, rule) }) {
			errs = append(errs, kernel.DeleteRule(rule))
		}
	}
	return errors.Join(append(errs,
		kernel.SetBacklogLimit(before.BacklogLimit, libaudit.WaitForReply),
		kernel.SetBacklogWaitTime(int32(before.BacklogWaitTime), libaudit.WaitForReply),
		kernel.SetRateLimit(before.RateLimit, libaudit.WaitForReply),
		kernel.SetFailure(libaudit.FailureMode(before.Failure), libaudit.WaitForReply),
		kernel.SetEnabled(before.Enabled == 1, libaudit.WaitForReply))...)
}
