// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incidentlog

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/incident"
)

// TestUIDOfStates has states that differ in one thing: a backend that drops what it has already must not drop them.
func TestUIDOfStates(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range []incident.Report{
		{},
		{ID: "1"},
		{Complete: true},
		{Escalated: 1},
		{JoinedBy: []string{"user"}},
		{Shared: map[incident.Field]string{incident.UserName: "alice"}},
		{Path: []string{"bastion alice"}},
	} {
		assert.False(t, seen[uid(&r)], "%+v", r)
		seen[uid(&r)] = true
	}
}
