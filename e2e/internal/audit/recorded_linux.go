// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"path"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The kernel records only tasks, that is threads, that were started after audit was first on since
// boot, even if it is off again (kernel/auditsc.c, audit_alloc). The test process may be older.
// Therefore signals that must be recorded are sent by processes that start while the test has the
// audit system.

// audited has the names of the tests that have the audit system, early those of the tests that
// started a sender without having it.
var audited, early sync.Map

// wake makes the kernel record the processes that start from now on. It fails if the test has
// started a sender already.
func wake(t *testing.T, before map[string]string) {
	t.Helper()
	require.False(t, isIn(t, &early), "call audit.Use before starting senders: the kernel may not record those that run already")
	if before["enabled"] == "0" {
		Auditctl(t, "-e", "1")
		Auditctl(t, "-e", "0")
	}
	put(t, &audited)
}

// NoteSender must be called before a test starts a process that sends signals.
func NoteSender(t *testing.T) {
	t.Helper()
	if !isIn(t, &audited) {
		put(t, &early)
	}
}

// put adds a test, and removes it when it ends.
func put(t *testing.T, tests *sync.Map) {
	t.Helper()
	tests.Store(t.Name(), nil)
	t.Cleanup(func() { tests.Delete(t.Name()) })
}

// isIn reports whether a test or one of its parents is in tests.
func isIn(t *testing.T, tests *sync.Map) bool {
	t.Helper()
	for name := t.Name(); name != "."; name = path.Dir(name) {
		if _, ok := tests.Load(name); ok {
			return true
		}
	}
	return false
}
