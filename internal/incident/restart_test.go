// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// restarted returns a table that has read what another one has stored.
func (s stored) restarted(t *testing.T, table *Table) *Table {
	t.Helper()
	s.save(t, table)
	again := NewTable(table.config)
	require.NoError(t, again.Restore(s.get, noon))
	return again
}

// TestBastionAfterRestart has somebody come over a host that sends nothing more.
func TestBastionAfterRestart(t *testing.T) {
	t.Parallel()
	onBastion := []func(*Record){login("alice", "192.0.2.7", "3"), sentBy(5, "kill", "1000")}
	onDatabase := []func(*Record){login("alice", "10.0.0.1", "9"), sentBy(6, "pkill", "1000")}
	for name, restarts := range map[string]int{"none": 0, "one": 1, "two": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, kept := NewTable(persistent()), stored{}
			table.Add(at(0, "bastion", 1, onBastion...), noon)
			kept.save(t, table) // its addresses come later than the host itself
			table.Add(at(1, "bastion", 2, append(onBastion, addresses("10.0.0.1", "fe80::1"))...), noon)
			for range restarts {
				table = kept.restarted(t, table)
			}
			table.Add(at(2, "db-1", 3, onDatabase...), noon)
			table.Add(at(3, "db-1", 4, onDatabase...), noon)
			require.Len(t, table.Reports(), 1)
			assert.Equal(t, []string{"bastion", "db-1"}, table.Reports()[0].Path)
		})
	}
}

// TestAddressesAreForgotten has the addresses of a host stored as long as the host is known, whichever incident taught them.
func TestAddressesAreForgotten(t *testing.T) {
	t.Parallel()
	table, kept := NewTable(persistent()), stored{}
	table.Add(at(0, "a", 1, restart("x.service"), addresses("10.0.0.1")), noon)
	kept.save(t, table)
	before := len(kept)
	table.Add(at(0, "a", 2, restart("y.service")), noon.Add(Retention))
	table.Tick(noon.Add(Retention + 1)) // closes the first one
	table.Tick(noon.Add(2*Retention - 1))
	require.Len(t, table.all, 1)
	table = kept.restarted(t, table)
	assert.Len(t, kept, before)
	assert.Len(t, table.hosts.byAddress, 1)
	table.Tick(noon.Add(3 * Retention))
	table.Tick(noon.Add(5 * Retention))
	kept.save(t, table)
	assert.Len(t, kept, 1, "only the number of slots stays: %v", kept)
}

func TestPayerIsShort(t *testing.T) {
	t.Parallel()
	r := at(0, "a", 1, func(r *Record) { r.UserID = strings.Repeat("é\xff", 100_000) })
	assert.Less(t, len(r.Payer()), 4*longest)
	assert.True(t, utf8.ValidString(r.Payer()), "it is the same after a restart")
}

// TestMergeKeepsWhatIsKnown has one of two incidents know when their process was created, and what another source has told.
func TestMergeKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
	first, second := login("", "10.0.0.5", ""), login("", "10.0.0.6", "")
	f.add(at(0, "a", 7, first, begunBy(50, "first", "sh"), startless), at(1, "a", 7, second, sentBy(3, "kill", "0"), source("audit_file")))
	require.Len(t, f.table.all, 2, "they come from different addresses")
	f.add(at(2, "a", 10, begunBy(50, "first", "sh"), sentBy(3, "kill", "0"))) // joins the two
	require.Len(t, f.table.all, 1)
	for i := range f.table.all {
		known, _ := i.process(place{f.table.hosts.byID["a-id"], 7}, 0)
		assert.NotZero(t, known.start)
		signals := i.Signals
		assert.Equal(t, Repeated, f.table.Add(at(1.01, "a", 7, sentBy(3, "kill", "0")), noon))
		assert.Equal(t, signals, i.Signals)
	}
	f.add(at(120, "a", 7, outcome(kill.VerdictExited, false)))
	assert.Len(t, f.table.all, 1, "what follows much later is known by when the process was created")
}
