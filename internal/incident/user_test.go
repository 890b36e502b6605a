// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestANameIsNotAlwaysKnown has some records of a session not have the user's name, as who tells them cannot look it up.
func TestANameIsNotAlwaysKnown(t *testing.T) {
	t.Parallel()
	who := func(id, name, session string) func(*Record) {
		return func(r *Record) { r.UserID, r.UserName, r.Session = id, name, session }
	}
	signal := func(seconds float64, host string, who func(*Record)) *Record {
		return at(seconds, host, int64(7+seconds), sentBy(int64(50+seconds), "kill", "1000"), begunBy(60, "cleanup.sh", "sh"), who)
	}
	alice, nameless := who("1000", "alice", "4"), who("1000", "", "4")
	for name, tt := range map[string]struct {
		records []*Record
		want    int
	}{
		"one session":            {[]*Record{signal(0, "a", alice), signal(1, "a", alice), signal(2, "a", nameless), signal(3, "a", nameless)}, 1},
		"two sessions":           {[]*Record{signal(0, "a", alice), signal(1, "a", alice), signal(2, "a", who("1000", "", "5")), signal(3, "a", who("1000", "", "5"))}, 2},
		"two hosts":              {[]*Record{signal(0, "a", alice), signal(1, "a", alice), signal(2, "b", nameless), signal(3, "b", nameless)}, 2},
		"somebody else":          {[]*Record{signal(0, "a", alice), signal(1, "a", alice), signal(2, "a", who("1001", "", "4")), signal(3, "a", who("1001", "", "4"))}, 2},
		"another name of the id": {[]*Record{signal(0, "a", alice), signal(1, "a", alice), signal(2, "a", who("1000", "bob", "4")), signal(3, "a", who("1000", "bob", "4"))}, 2},
	} {
		permutations(tt.records, func(records []*Record) {
			f, kept := &telling{table: NewTable(persistent()), now: noon, last: map[string]*Report{}}, stored{}
			f.add(records[:2]...)
			f.table = kept.restarted(t, f.table)
			f.add(records[2:]...)
			check(t, f.table)
			reports := alone(f.end())
			require.Len(t, reports, tt.want, name)
			for _, r := range reports {
				assert.Equal(t, 4/tt.want, r.TargetCount, name)
			}
		})
	}
}

// TestNamesOfAMerger has two incidents of one session become one, of which one does not have the user's name; who has another is not joined.
func TestNamesOfAMerger(t *testing.T) {
	t.Parallel()
	who := func(name string) func(*Record) {
		return func(r *Record) { r.UserID, r.UserName, r.Session = "1000", name, "4" }
	}
	for _, names := range [][2]string{{"alice", ""}, {"", "alice"}} {
		a := &incident{users: single{Value: (&Record{UserID: "1000", UserName: names[0]}).user()}}
		b := &incident{users: single{Value: (&Record{UserID: "1000", UserName: names[1]}).user()}}
		a.absorbUsers(b)
		assert.Equal(t, single{Value: "alice"}, a.users)
	}
	table := NewTable(usual())
	for n, name := range []string{"", "alice", ""} {
		table.Add(at(float64(n), "a", int64(7+n), sentBy(int64(50+n), "kill", "1000"), who(name)), noon)
	}
	require.Len(t, table.all, 1)
	for i := range table.all {
		assert.True(t, i.contradicts(at(4, "a", 20, who("bob"))))
		assert.False(t, i.contradicts(at(4, "a", 20, who("alice"))))
	}
}
