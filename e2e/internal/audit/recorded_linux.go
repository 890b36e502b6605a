// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"path"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The kernel records only processes, even single threads, that were started once
// audit had been on since boot, be it off by then (kernel/auditsc.c, audit_alloc).
// The tests themselves may be older: what is to be recorded is sent by processes
// that are started when the test has the audit system.

// audited are the names of the tests that have it, early those of tests that have
// started a sender without.
var audited, early sync.Map

// wake makes the kernel record what is started from now on, and fails if a
// sender of the test runs already.
func wake(t *testing.T, before map[string]string) {
	t.Helper()
	require.False(t, isIn(t, &early), "take the audit system before senders are started: the kernel may not record these")
	if before["enabled"] == "0" {
		Auditctl(t, "-e", "1")
		Auditctl(t, "-e", "0")
	}
	put(t, &audited)
}

// NoteSender is called by whoever starts a process that is to send signals.
func NoteSender(t *testing.T) {
	t.Helper()
	if !isIn(t, &audited) {
		put(t, &early)
	}
}

// put adds a test until its end.
func put(t *testing.T, tests *sync.Map) {
	t.Helper()
	tests.Store(t.Name(), nil)
	t.Cleanup(func() { tests.Delete(t.Name()) })
}

// isIn reports whether a test is there, or one that it is a part of.
func isIn(t *testing.T, tests *sync.Map) bool {
	t.Helper()
	for name := t.Name(); name != "."; name = path.Dir(name) {
		if _, ok := tests.Load(name); ok {
			return true
		}
	}
	return false
}
