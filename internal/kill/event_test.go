// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNewID(t *testing.T) {
	t.Parallel()
	assert.Equal(t, ID{Value: 0, Known: true}, NewID(0), "root is an id like any other")
	assert.Equal(t, ID{Value: 500, Known: true}, NewID(500))
	assert.False(t, NewID(4294967295).Known)
	assert.False(t, ID{}.Known, "a field nobody filled in is not root")
}

func TestResult(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		result            Result
		failed, succeeded bool
	}{
		"unknown": {Result{}, false, false},
		"success": {Success(), false, true},
		"failure": {Result{Known: true, Errno: 1, Error: "EPERM"}, true, false},
	} {
		assert.Equal(t, tt.failed, tt.result.Failed(), name)
		assert.Equal(t, tt.succeeded, tt.result.Succeeded(), name)
	}
}

func TestAddTarget(t *testing.T) {
	e := &Event{}
	e.AddTarget().PID = 1
	e.AddTarget().PID = 2
	assert.Equal(t, []Process{{PID: 1}, {PID: 2}}, e.Targets)

	one := testing.AllocsPerRun(100, func() {
		e := Event{}
		e.AddTarget().PID = 1
		assertPID(&e)
	})
	assert.LessOrEqual(t, one, 1.0, "the usual single target lives inside the event")
}

//go:noinline
func assertPID(e *Event) { _ = e.Targets[0].PID }

func TestScopeOf(t *testing.T) {
	t.Parallel()
	for pid, want := range map[int]struct {
		scope Scope
		named int
	}{7: {ScopeProcess, 7}, 0: {ScopeOwnProcessGroup, 0}, -1: {ScopeAll, 0}, -7: {ScopeProcessGroup, 7}} {
		scope, named := ScopeOf(pid)
		assert.Equal(t, want.scope, scope, pid)
		assert.Equal(t, want.named, named, pid)
	}
}
