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

// AwaitAll waits until every wanted log record has been taken.
func AwaitAll(t *testing.T, sink *Sink, want []Key) {
	t.Helper()
	var missing []Key
	arrived := assert.Eventually(t, func() bool {
		missing = lacking(want, sink.Records())
		return len(missing) == 0
	}, harness.Patience, 200*time.Millisecond)
	require.True(t, arrived, "%d log records never arrived, the first is %+v", len(missing), missing[:min(1, len(missing))])
}

// lacking returns the wanted log records that are not there.
func lacking(want []Key, got []Record) []Key {
	there := make(map[Key]bool)
	for i := range got {
		there[got[i].Key()] = true
	}
	return slices.DeleteFunc(slices.Clone(want), func(k Key) bool { return there[k] })
}

// AssertConsistent checks that the log records are those wanted and no others,
// and that their uids tell which of them are the same.
func AssertConsistent(t *testing.T, got []Record, want []Key) {
	t.Helper()
	byKey := make(map[Key]Record)
	uids := make(map[any]Key)
	for _, r := range got {
		// The one thing that may differ: the file has another name after a rotation.
		delete(r.Attributes, "log.file.path")
		k := r.Key()
		if first, seen := byKey[k]; seen {
			require.Equal(t, first, r, "a log record delivered twice is the same both times")
		}
		byKey[k] = r
		uid := r.Attributes["log.record.uid"]
		if other, seen := uids[uid]; seen {
			require.Equal(t, other, k, "log records of the same uid")
		}
		uids[uid] = k
	}
	assert.Len(t, slices.Collect(maps.Keys(byKey)), len(want), "log records, each counted once")
	assert.Empty(t, lacking(want, got), "log records that never arrived")
	assert.Len(t, uids, len(byKey), "one uid for each")
}
