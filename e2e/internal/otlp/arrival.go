// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// AwaitAll waits until the sink has accepted every wanted log record.
func AwaitAll(t *testing.T, sink *Sink, want []Key) {
	t.Helper()
	var missing []Key
	arrived := assert.Eventually(t, func() bool {
		missing = lacking(want, sink.Records())
		return len(missing) == 0
	}, harness.Patience, 200*time.Millisecond)
	require.True(t, arrived, "%d log records never arrived, the first is %+v", len(missing), missing[:min(1, len(missing))])
}

// lacking returns the wanted log records that are missing.
func lacking(want []Key, got []Record) []Key {
	there := make(map[Key]bool)
	for i := range got {
		there[got[i].Key()] = true
	}
	return slices.DeleteFunc(slices.Clone(want), func(k Key) bool { return there[k] })
}

// AssertConsistent checks that exactly the wanted log records arrived, and that log
// records have the same uid if and only if they are duplicates.
func AssertConsistent(t *testing.T, got []Record, want []Key) {
	t.Helper()
	byKey := make(map[Key]Record)
	uids := make(map[any]Key)
	for _, r := range got {
		// The only attribute that may differ: a rotation renames the file.
		delete(r.Attributes, "log.file.path")
		k := r.Key()
		if first, seen := byKey[k]; seen {
			require.Equal(t, first, r, "a duplicate equals the first delivery")
		}
		byKey[k] = r
		uid := r.Attributes["log.record.uid"]
		if other, seen := uids[uid]; seen {
			require.Equal(t, other, k, "log records of the same uid")
		}
		uids[uid] = k
	}
	assert.Len(t, slices.Collect(maps.Keys(byKey)), len(want), "distinct log records")
	assert.Empty(t, lacking(want, got), "log records that never arrived")
	assert.Len(t, uids, len(byKey), "each log record has its own uid")
}
