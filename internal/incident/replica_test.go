// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReplicas has two tables get the same records in different orders, as those of two collectors behind the same gateways: what
// they report has the same ids.
func TestReplicas(t *testing.T) {
	t.Parallel()
	config := persistent()
	config.Delay = 5 * time.Second
	for seed := range uint64(20) {
		records := rolling(20, "alice", "10.0.0.5")
		for _, r := range rolling(20, "bob", "10.0.0.6") {
			r.UID += "bob"
			r.Target.PID++
			r.Requester.PID += 1000
			r.Initiator.PID += 1000
			r.Session += "b"
			records = append(records, r)
		}
		r := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // the same in each run
		var replicas [2]map[string]*Report
		for n := range replicas {
			r.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
			f, kept := &telling{table: NewTable(config), now: noon, last: map[string]*Report{}}, stored{}
			f.add(records[:25]...)
			assert.Empty(t, f.all, "it waits")
			if n == 1 { // this one is restarted
				f.table = kept.restarted(t, f.table)
			}
			f.add(records[25:]...).pass(5 * time.Second)
			require.Len(t, f.all, 2)
			f.end()
			replicas[n] = f.last
		}
		for id, report := range replicas[0] {
			require.Contains(t, replicas[1], id)
			assert.Equal(t, report.Sentence(), replicas[1][id].Sentence())
			assert.Equal(t, 20, report.TargetCount)
		}
	}
}

// TestTheIDStays has an earlier member come after the incident was reported.
func TestTheIDStays(t *testing.T) {
	t.Parallel()
	f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
	f.add(at(10, "a", 7, restart("x.service")), at(11, "b", 7, restart("x.service")), at(1, "c", 7, restart("x.service")))
	reports := f.end()
	require.Len(t, reports, 1, fmt.Sprint(reports))
	assert.Equal(t, f.all[0].ID, reports[0].ID)
	assert.Equal(t, 3, reports[0].TargetCount)
}

// TestDelay has an incident wait before it is told, also one that ends before, and one of a table that ends.
func TestDelay(t *testing.T) {
	t.Parallel()
	config := usual()
	config.Delay = time.Minute
	f := &telling{table: NewTable(config), now: noon, last: map[string]*Report{}}
	f.add(at(0, "a", 7, restart("x.service")), at(1, "b", 7, restart("x.service"))).pass(29 * time.Second)
	assert.Empty(t, f.all)
	f.pass(2 * time.Second)
	require.Len(t, f.all, 1, "it was closed")
	assert.Equal(t, Closed, f.all[0].State)
	f.add(at(100, "a", 7, restart("x.service"), func(r *Record) { r.Target.Start = "later" }), at(101, "b", 8, restart("x.service")))
	f.table.End()
	assert.Len(t, f.table.Reports(), 1)
}
