// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNobodyDrivesOutWhatOthersDo(t *testing.T) {
	t.Parallel()
	config := usual()
	config.MaxOpen = 100
	f := &telling{table: NewTable(config), now: noon, last: map[string]*Report{}}
	f.add(rolling(2, "alice", "10.0.0.5")...)
	f.add(at(0, "h", 2, oom("/x")), at(1, "h", 3, oom("/x")))
	for n := range int64(10_000) {
		f.add(at(1, "h", 100+n, sentBy(100_000+n, "kill", "1000")))
	}
	assert.LessOrEqual(t, len(f.table.all), config.MaxOpen)
	assert.Positive(t, f.table.Counts().Evicted)
	f.end()
	require.Len(t, f.last, 2)
	for _, r := range f.last {
		assert.True(t, r.Complete, r.Sentence())
	}
}

// TestNobodyDrivesOutByRecords has somebody signal few processes very often, or have very many hosts: what others have done in
// that time stays, open or closed.
func TestNobodyDrivesOutByRecords(t *testing.T) {
	t.Parallel()
	for name, flood := range map[string]func(n, k int) *Record{
		"one process": func(n, k int) *Record {
			return at(1+float64(k)/1000, "x", int64(n+1), login(fmt.Sprint("user", n), "10.6.6.6", ""), sentBy(int64(k+10), "kill", "1000"))
		},
		"no process": func(n, k int) *Record {
			return at(1+float64(k)/1000+float64(n)/1e6, fmt.Sprint("x", k), 0, login(fmt.Sprint("user", n), "10.6.6.6", ""), sentBy(int64(k+10), "kill", "1000"))
		},
	} {
		for state, seconds := range map[string]float64{"open": 0, "closed": -100} {
			t.Run(name+" "+state, func(t *testing.T) {
				t.Parallel()
				config := usual()
				config.MaxMembers = 100
				table := NewTable(config)
				for pid := range int64(90) {
					table.Add(at(seconds, "victim", pid+1, sentBy(50, "kill", "0")), noon)
				}
				mine := table.byUID[table.hasher.sum("victim-id", at(seconds, "victim", 1).UID)]
				if state == "closed" {
					table.Tick(noon.Add(time.Minute))
					require.True(t, mine.closed)
				}
				for n := range 40 {
					for k := range recordsPerMember * config.MaxMembers {
						table.Add(flood(n, k), noon.Add(time.Minute))
					}
				}
				assert.True(t, table.present(mine))
				assert.LessOrEqual(t, table.size, membersPerTable*config.MaxMembers)
			})
		}
	}
}
