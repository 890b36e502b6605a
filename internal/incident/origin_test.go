// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// alone are the reports of what goes on in no other incident.
func alone(reports []*Report) []*Report {
	return slices.DeleteFunc(reports, func(r *Report) bool { return r.MergedInto != "" })
}

// permutations calls for each order of records.
func permutations(records []*Record, yield func([]*Record)) {
	var permute func(n int)
	permute = func(n int) {
		if n == len(records) {
			yield(records)
			return
		}
		for i := n; i < len(records); i++ {
			records[n], records[i] = records[i], records[n]
			permute(n + 1)
			records[n], records[i] = records[i], records[n]
		}
	}
	permute(0)
}

// on is a signal of somebody on a host.
func on(seconds float64, host, user, from, session string, own ...string) *Record {
	return at(seconds, host, int64(100+seconds), sentBy(int64(50+seconds), "kill", "0"), login(user, from, session), addresses(own...))
}

// TestAWayOverHosts has the records of somebody who goes on from host to host come in each order, over restarts too.
func TestAWayOverHosts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		records []*Record
		want    [][]string
	}{
		"one hop": {
			[]*Record{on(0, "bastion", "alice", "203.0.113.9", "1", "10.0.0.1"), on(9, "web", "alice", "10.0.0.1", "1", "10.0.0.2")},
			[][]string{{"bastion", "web"}},
		},
		"two hops": {
			[]*Record{
				on(0, "bastion", "alice", "203.0.113.9", "1", "10.0.0.1"), on(9, "web", "alice", "10.0.0.1", "1", "10.0.0.2"),
				on(12, "db", "alice", "10.0.0.2", "1", "10.0.0.3"),
			},
			[][]string{{"bastion", "web", "db"}},
		},
		"by two addresses of one host": {
			[]*Record{
				on(0, "bastion", "alice", "203.0.113.9", "1", "10.0.0.1", "10.1.0.1"), on(5, "web", "alice", "10.0.0.1", "1", "10.0.0.2"),
				on(9, "db", "alice", "10.1.0.1", "1", "10.1.0.2"),
			},
			[][]string{{"bastion", "web", "db"}, {"bastion", "db", "web"}},
		},
		"an address that a host writes as one of IPv6": {
			[]*Record{on(0, "bastion", "alice", "203.0.113.9", "1", "10.0.0.1"), on(9, "web", "alice", "::ffff:10.0.0.1", "1", "10.0.0.2")},
			[][]string{{"bastion", "web"}},
		},
	} {
		for _, restarted := range []bool{false, true} {
			permutations(tt.records, func(records []*Record) {
				f, kept := &telling{table: NewTable(persistent()), now: noon, last: map[string]*Report{}}, stored{}
				for _, r := range records {
					f.add(r)
					if restarted {
						f.table = kept.restarted(t, f.table)
					}
				}
				check(t, f.table)
				reports := alone(f.end())
				require.Len(t, reports, 1, "%s, restarted: %t", name, restarted)
				assert.Contains(t, tt.want, reports[0].Path, "%s, restarted: %t", name, restarted)
				assert.Equal(t, len(records), reports[0].TargetCount, name)
				assert.True(t, reports[0].Inferred, name)
			})
		}
	}
}

// TestNoWayOverHosts has logins with the same name that may be those of two people come in each order.
func TestNoWayOverHosts(t *testing.T) {
	t.Parallel()
	for name, records := range map[string][]*Record{
		"the address of each host's own bridge": {
			on(0, "a", "alice", "203.0.113.9", "1", "10.0.0.1", "172.17.0.1"), on(9, "b", "alice", "172.17.0.1", "1", "10.0.0.2", "172.17.0.1"),
		},
		"containers that came from each host's own bridge": {
			on(0, "a", "alice", "172.17.0.1", "1", "10.0.0.1", "172.17.0.1"),
			at(9, "b", 7, sentBy(5, "pkill", "0"), login("alice", "172.17.0.1", "1"), addresses("10.0.0.2", "172.17.0.1")),
		},
		"an address that two hosts have": {
			on(0, "a", "alice", "203.0.113.9", "1", "10.0.0.1", "10.9.9.9"), on(1, "a2", "bob", "203.0.113.7", "1", "10.0.0.3", "10.9.9.9"),
			on(9, "b", "alice", "10.9.9.9", "1", "10.0.0.2"),
		},
	} {
		permutations(records, func(records []*Record) {
			if name == "an address that two hosts have" && records[2].HostName != "b" {
				return // until both hosts are known, only one has it
			}
			for _, r := range closedOf(t, usual(), records...) {
				assert.Equal(t, 1, r.HostCount, "%s: %s", name, r.Sentence())
			}
		})
	}
}

// TestAStrangerOfTheSameName has somebody use the account of who has gone on from one host to another, from elsewhere.
func TestAStrangerOfTheSameName(t *testing.T) {
	t.Parallel()
	hop := []*Record{on(0, "bastion", "deploy", "203.0.113.9", "1", "10.0.0.1"), on(1, "web", "deploy", "10.0.0.1", "1", "10.0.0.2")}
	for name, strangers := range map[string][]*Record{
		"on a third host":     {on(2, "db", "deploy", "198.51.100.1", "2", "10.0.0.3"), on(3, "db", "deploy", "198.51.100.1", "2", "10.0.0.3")},
		"on the host between": {on(2, "bastion", "deploy", "198.51.100.1", "2", "10.0.0.1"), on(3, "bastion", "deploy", "198.51.100.1", "2", "10.0.0.1")},
		"on the last host":    {on(2, "web", "deploy", "198.51.100.1", "2", "10.0.0.2"), on(3, "web", "deploy", "198.51.100.1", "2", "10.0.0.2")},
	} {
		for _, restarted := range []bool{false, true} {
			f, kept := &telling{table: NewTable(persistent()), now: noon, last: map[string]*Report{}}, stored{}
			f.add(hop...)
			if restarted {
				f.table = kept.restarted(t, f.table)
			}
			f.add(strangers...)
			var got []string
			for _, r := range alone(f.end()) {
				got = append(got, fmt.Sprintf("%s%v%d", r.Shared[Client], r.Path, r.TargetCount))
			}
			assert.ElementsMatch(t, []string{"[bastion web]2", "198.51.100.1[]2"}, got, name)
		}
	}
}

// TestTwoBastions has two people use one account over two bastions on one host, and go on from there.
func TestTwoBastions(t *testing.T) {
	t.Parallel()
	reports := alone(closedOf(t, usual(),
		on(0, "b1", "deploy", "203.0.113.9", "1", "10.0.0.1"), on(0.5, "b2", "deploy", "198.51.100.7", "1", "10.0.0.2"),
		on(1, "web", "deploy", "10.0.0.1", "1", "10.0.0.3"), on(2, "web", "deploy", "10.0.0.2", "2", "10.0.0.3"),
		on(3, "db", "deploy", "10.0.0.3", "2", "10.0.0.4"), on(4, "db", "deploy", "10.0.0.3", "3", "10.0.0.4"),
	))
	var got []string
	for _, r := range reports {
		got = append(got, strings.Join(r.Path, " "))
	}
	assert.ElementsMatch(t, []string{"b1 web", "b2 web", "web db"}, got, "whose way goes on to db cannot be known")
}

// TestManyOrigins has somebody go on over more hosts than addresses are told apart.
func TestManyOrigins(t *testing.T) {
	t.Parallel()
	f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
	from := "203.0.113.9"
	for n := range 2 * maxOrigins {
		own := fmt.Sprint("10.0.1.", n)
		f.add(on(float64(n), fmt.Sprint("h", n), "alice", from, "", own))
		from = own
	}
	check(t, f.table)
	for _, r := range alone(f.end()) {
		assert.LessOrEqual(t, len(r.Path), maxListed)
	}
	for i := range f.table.all {
		assert.LessOrEqual(t, len(i.origins.Others), maxOrigins)
	}
}

// TestOriginsOfOlderVersions reads the only address that was stored, and that there were others.
func TestOriginsOfOlderVersions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]origins{
		`{}`: {}, `{"v":"10.0.0.5"}`: {First: "10.0.0.5"}, `{"v":"10.0.0.5","m":true}`: {First: "10.0.0.5", Mixed: true},
	} {
		var got origins
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		assert.Equal(t, want, got)
	}
	mixed := &incident{origins: origins{First: "10.0.0.5", Mixed: true}}
	for client, contradicts := range map[string]bool{"10.0.0.5": false, "10.0.0.6": true, "": false} {
		assert.Equal(t, contradicts, mixed.contradicts(at(0, "a", 7, login("alice", client, "1"))), client)
	}
}

// TestOneAccountOfTwo has somebody kill on a bastion, and somebody come from there who may be another one with the same account: the first
// may not have gone on. What only one of them does is certain.
func TestOneAccountOfTwo(t *testing.T) {
	t.Parallel()
	first := []*Record{on(0, "bastion", "deploy", "203.0.113.9", "1", "10.0.0.1"), on(1, "bastion", "deploy", "203.0.113.9", "1", "10.0.0.1")}
	second := []*Record{on(9, "web", "deploy", "10.0.0.1", "1", "10.0.0.2"), on(10, "web", "deploy", "10.0.0.1", "1", "10.0.0.2")}
	// This one has begun something on the bastion as well: two incidents become one by a way over hosts.
	script := on(5, "bastion", "deploy", "", "1", "10.0.0.1")
	for name, tt := range map[string]struct {
		records  []*Record
		inferred bool
	}{
		"on the bastion": {first, false}, "on the host behind it": {second, false}, "both": {slices.Concat(first, second), true},
		"in the other order": {slices.Concat(second, first), true}, "by a merger": {slices.Concat(second[:1], []*Record{script}, first, second[1:]), true},
	} {
		reports := alone(closedOf(t, usual(), tt.records...))
		require.Len(t, reports, 1, name)
		assert.Equal(t, tt.inferred, reports[0].Inferred, name)
		assert.Equal(t, tt.inferred, strings.HasPrefix(reports[0].Sentence(), "probably "), name)
	}
}
