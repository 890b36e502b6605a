// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// stored is a store that survives a restart.
type stored map[string][]byte

func (s stored) save(t *testing.T, table *Table) {
	t.Helper()
	changes, err := table.Changes()
	require.NoError(t, err)
	for _, c := range changes {
		if c.Value == nil {
			delete(s, c.Key)
		} else {
			s[c.Key] = c.Value
		}
	}
}

func (s stored) get(key string) ([]byte, error) { return s[key], nil }

func persistent() Config {
	config := usual()
	config.Persistent = true
	return config
}

// random is a mix of everything, with few enough values that much of it meets.
func random(r *rand.Rand, seconds float64) *Record {
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	record := at(seconds, fmt.Sprint("h", r.IntN(5)), int64(2+r.IntN(30)), addresses(fmt.Sprint("10.0.1.", r.IntN(6))))
	for _, with := range []func(*Record){
		restart(pick("a.service", "b.service")), askedBy(int64(50+r.IntN(3)), "systemctl"), begunBy(int64(60+r.IntN(3)), "cron job", "sh"),
		login(pick("alice", "bob"), pick("", "10.0.0.5", "10.0.1.2"), pick("", "1", "2")), sentBy(int64(70+r.IntN(4)), "kill", pick("0", "1000")),
		oom(pick("", "/x")), pod("shop", pick("web-5d8f7c9b6-x2x4z", "db-0")), failed, count(int64(r.IntN(5))), startless, inferred,
		source("audit_file"), outcome(kill.VerdictExited, false), outcome(kill.VerdictKilled, true), stopTimeout,
	} {
		if r.IntN(4) == 0 {
			with(record)
		}
	}
	if r.IntN(10) == 0 {
		record.Target = Target{}
	}
	return record
}

// check checks what always holds.
func check(t *testing.T, table *Table) {
	t.Helper()
	size, closed := 0, 0
	for i := range table.all {
		size += i.size()
		if i.closed {
			closed++
		}
		processes, outcomes := 0, 0
		var has [slots]int
		for known := range i.all {
			processes++
			if known.reached {
				require.Contains(t, table.byKey[table.targetKey(known)], i)
			}
			if known.outcome != "" {
				outcomes++
			}
			for slot := range slots {
				if known.has&bit(slot) != 0 {
					has[slot]++
				}
			}
			for f := range Fields {
				if later := laterOf(f); later >= 0 {
					require.False(t, known.has&bit(int(f)) != 0 && known.has&bit(later) != 0, "field %d", f)
				}
			}
		}
		require.Equal(t, processes, i.processes)
		require.LessOrEqual(t, i.Exited+i.Killed+i.Cored+i.Survived, outcomes)
		require.GreaterOrEqual(t, i.Signals, i.Failed)
		require.LessOrEqual(t, i.span(i.start, i.end), table.config.MaxDuration)
		for slot := range slots {
			require.GreaterOrEqual(t, i.shared[slot].Count, has[slot])
			require.LessOrEqual(t, i.shared[slot].Count, has[slot]+i.Loose, "slot %d", slot)
		}
		for _, uid := range i.records {
			require.Same(t, i, table.byUID[uid])
		}
		for _, h := range i.hosts {
			require.Same(t, h, table.hosts.byID[h.id])
		}
	}
	for _, h := range table.hosts.byID {
		began, ended := 0, 0
		for _, p := range h.payers {
			began += p.open.Len()
			ended += p.closed.Len()
		}
		require.Equal(t, began, h.open)
		require.Equal(t, ended, h.closed)
	}
	require.Equal(t, size, table.size)
	require.Equal(t, closed, table.closed)
	require.LessOrEqual(t, len(table.all), table.config.MaxOpen)
	for k, all := range table.byKey {
		for _, i := range all {
			require.Contains(t, table.all, i, "key of kind %d", k.kind())
		}
	}
	for _, i := range table.byUID {
		require.Contains(t, table.all, i)
	}
	if len(table.all) == 0 {
		require.Empty(t, table.byKey)
		require.Empty(t, table.byUID)
		require.Empty(t, table.hosts.byID)
		require.Empty(t, table.hosts.byAddress)
	}
}

// TestRandomRecords has tables take in anything, in any order, in little room, and over restarts. Whatever happens, a
// table that was stored goes on as the same.
func TestRandomRecords(t *testing.T) {
	t.Parallel()
	for seed := range uint64(16) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same in each run
			config := persistent()
			config.MaxOpen, config.MaxMembers = 5+r.IntN(100), 5+r.IntN(60)
			config.Delay = time.Duration(seed%2) * 5 * time.Second
			table, kept, now := NewTable(config), stored{}, noon
			states := map[string]State{}
			for step := range 500 {
				switch r.IntN(40) {
				case 0:
					now = now.Add(time.Duration(r.IntN(60)) * time.Second)
					table.Tick(now)
				case 1:
					tell(t, table, now, states)
				case 2:
					kept.save(t, table)
					restored := NewTable(config)
					require.NoError(t, restored.Restore(kept.get, now))
					same(t, table, restored)
					if r.IntN(2) == 0 {
						table = restored
					}
				default:
					table.Add(random(r, float64(step)/8+float64(r.IntN(40))), now)
				}
				if step%50 == 0 {
					check(t, table)
				}
			}
			table.Tick(now.Add(config.Delay)) // what is held back
			now = now.Add(config.Delay + config.Gap)
			table.Tick(now)
			tell(t, table, now, states)
			for id, state := range states {
				assert.Equal(t, Closed, state, id)
			}
			table.Tick(now.Add(2 * Retention))
			tell(t, table, now, states)
			check(t, table)
			kept.save(t, table)
			assert.LessOrEqual(t, len(kept), 1, "only the number of slots stays")
		})
	}
}

// tell takes what is to be told, and checks that each incident is told in order.
func tell(t *testing.T, table *Table, now time.Time, states map[string]State) {
	t.Helper()
	reports := table.Reports()
	seen := map[string]bool{}
	for _, r := range reports {
		require.False(t, seen[r.ID], "twice at a time")
		seen[r.ID] = true
		require.NotEmpty(t, r.Sentence())
		for _, by := range r.JoinedBy {
			require.Contains(t, names, by)
		}
		require.GreaterOrEqual(t, r.TargetCount, table.config.MinTargets)
		states[r.ID] = r.State
	}
	table.Told(reports, now)
}

// same checks that a restored table knows the same.
func same(t *testing.T, table, restored *Table) {
	t.Helper()
	require.Equal(t, described(table), described(restored))
	require.Len(t, restored.byUID, len(table.byUID))
	require.Equal(t, table.size, restored.size)
	check(t, restored)
}

func described(table *Table) (all []string) {
	for i := range table.all {
		r := table.report(i)
		slices.Sort(r.Targets)
		keys, processes := 0, 0
		for range i.keys {
			keys++
		}
		for range i.all {
			processes++
		}
		all = append(all, fmt.Sprintf("%s %s %d %v %v %+v %d %d %d %v %v %s", r.ID, r.State, i.sequence, r.Start.UnixNano(), r.End.UnixNano(),
			i.tally, keys, processes, len(i.weak), r.Shared, r.Path, i.told.state))
	}
	for _, h := range table.hosts.byID {
		all = append(all, fmt.Sprint(h.id, h.addresses))
	}
	for _, h := range table.held.all {
		all = append(all, fmt.Sprint("held ", h.record))
	}
	for _, i := range table.due {
		if i.told.final != nil {
			all = append(all, "final of "+i.told.final.ID)
		}
	}
	slices.Sort(all)
	return all
}

// TestOrderDoesNotMatter: incidents that have nothing in common are the same in whatever order their records come.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	var records []*Record
	for n, person := range []string{"alice", "bob", "carol"} {
		for _, r := range rolling(15, person, fmt.Sprint("10.0.0.", n)) {
			r.Requester.PID += int64(n) * 1000
			r.Initiator.PID += int64(n) * 1000
			r.Target.PID += int64(n)
			r.Session += person
			r.UID += person
			records = append(records, r)
		}
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // the same in each run
		r.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		reports := closedOf(t, usual(), records...)
		alone := slices.DeleteFunc(reports, func(r *Report) bool { return r.MergedInto != "" })
		require.Len(t, alone, 3)
		for _, report := range alone {
			assert.Equal(t, 15, report.TargetCount)
			assert.NotEmpty(t, report.Shared[UserName])
			assert.Equal(t, 56*time.Second, report.End.Sub(report.Start))
		}
	}
}

// TestWhatFollowsComesFirst has the SIGKILL of a manager that has waited, and the ends, come in any order with the SIGTERM: the same is
// told as in the order in which it was, over restarts and mergers too.
func TestWhatFollowsComesFirst(t *testing.T) {
	t.Parallel()
	by := func(r *Record) {
		restart("mariadb.service")(r)
		askedBy(70, "systemctl")(r)
	}
	tell := func(f *telling) string {
		reports := slices.DeleteFunc(f.end(), func(r *Report) bool { return r.MergedInto != "" })
		require.Len(t, reports, 1)
		return reports[0].Sentence()
	}
	for name, more := range map[string]func(*Record){"of one requester": func(*Record) {}, "of two": func(r *Record) { r.Requester.PID = r.Target.PID }} {
		var records []*Record
		for _, pid := range []int64{7, 8, 9} {
			records = append(records, at(0, "node", pid, by, more), at(20, "node", pid, by, more, stopTimeout))
			if pid != 9 {
				records = append(records, at(21, "node", pid, by, more, stopTimeout, outcome(kill.VerdictKilled, true)))
			}
		}
		want := tell((&telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}).add(records...))
		require.Contains(t, want, "restarted mariadb.service on node in 21s: 2 had to be killed", name)
		for seed := range uint64(100) {
			r := rand.New(rand.NewPCG(seed, 4)) //nolint:gosec // the same in each run
			r.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
			f, kept := &telling{table: NewTable(persistent()), now: noon, last: map[string]*Report{}}, stored{}
			f.add(records[:4]...)
			f.table = kept.restarted(t, f.table)
			f.add(records[4:]...)
			check(t, f.table)
			assert.Equal(t, want, tell(f), name)
		}
	}
}

// TestOnlyWhatFollows has the SIGTERM of one of two processes, or of both, not be seen.
func TestOnlyWhatFollows(t *testing.T) {
	t.Parallel()
	unit := restart("mariadb.service")
	reports := closedOf(t, usual(), at(20, "node", 7, unit, stopTimeout), at(20, "node", 8, unit, stopTimeout))
	require.Len(t, reports, 1)
	assert.Equal(t, "mariadb.service was killed after a stop that took too long on node", reports[0].Sentence())
	reports = closedOf(t, usual(), at(0, "node", 7, unit), at(20, "node", 7, unit, stopTimeout), at(20, "node", 8, unit, stopTimeout))
	require.Len(t, reports, 1)
	assert.Equal(t, "the program systemd signaled mariadb.service on node in 20s", reports[0].Sentence())
}

// TestALinkComesLate has what joins by what all members have in common come in any order: it is one incident as long as no gap is too
// long, and that of one person.
func TestALinkComesLate(t *testing.T) {
	t.Parallel()
	alice, bob, elsewhere := login("alice", "10.0.0.5", ""), login("bob", "10.0.0.5", ""), login("alice", "10.0.0.6", "")
	who := func(person, none func(*Record)) func(n int) func(*Record) {
		return func(n int) func(*Record) {
			return []func(*Record){none, func(*Record) {}, person}[n/4]
		}
	}
	for name, tt := range map[string]struct {
		with      func(n int) func(*Record)
		incidents []int
	}{
		"lack of memory": {func(int) func(*Record) { return oom("/kubepods/x") }, []int{1}},
		"restarts on many hosts, each asked for by another": {func(n int) func(*Record) {
			return func(r *Record) {
				restart("mariadb.service")(r)
				askedBy(int64(100+n/2), "systemctl")(r)
				r.HostID = fmt.Sprint("h", n/2)
			}
		}, []int{1}},
		"of two people":    {who(bob, alice), []int{2}},
		"of two addresses": {who(elsewhere, alice), []int{2}},
	} {
		for seed := range uint64(60) {
			var records []*Record
			for n := range 12 {
				records = append(records, at(float64(n)*25, "node", int64(100+n), func(r *Record) { r.Target.Unit = "x.service" }, tt.with(n)))
			}
			r := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // the same in each run
			r.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
			config := usual()
			config.MinTargets = 1
			f := &telling{table: NewTable(config), now: noon, last: map[string]*Report{}}
			f.add(records...)
			check(t, f.table)
			reports := slices.DeleteFunc(f.end(), func(r *Report) bool { return r.MergedInto != "" })
			assert.Contains(t, tt.incidents, len(reports), "%s %d", name, seed)
			for _, report := range reports {
				text := report.Sentence()
				assert.False(t, strings.Contains(text, "alice") && strings.Contains(text, "bob"), text)
			}
		}
	}
}

func TestIDsStay(t *testing.T) {
	t.Parallel()
	one, two := closedOf(t, usual(), rolling(3, "alice", "10.0.0.5")...), closedOf(t, usual(), rolling(3, "alice", "10.0.0.5")...)
	assert.Equal(t, one[0].ID, two[0].ID)
	assert.Len(t, one[0].ID, 32)
}

func TestDamagedStore(t *testing.T) {
	t.Parallel()
	table, kept := NewTable(persistent()), stored{}
	for _, r := range append(rolling(3, "alice", "10.0.0.5"), at(0, "x", 5, restart("x.service")), at(1, "y", 5, restart("x.service"))) {
		table.Add(r, noon)
	}
	kept.save(t, table)
	for key, value := range kept {
		for _, damaged := range [][]byte{
			nil,
			{},
			value[:len(value)/2], []byte("-1"), []byte(`{"Targets":[{"h":7}],"Pieces":1}`),
			[]byte(`{"Final":{"HostCount":1}}`), []byte(`{"Final":{"Shared":{"200":"x"}}}`),
		} {
			other := maps.Clone(kept)
			other[key] = damaged
			restored := NewTable(persistent())
			_ = restored.Restore(other.get, noon)
			restored.Tick(noon.Add(time.Minute))
			reports := restored.Reports()
			for _, r := range reports {
				assert.NotEmpty(t, r.Sentence())
				for f := range r.Shared {
					f.Attribute()
				}
			}
			restored.Told(reports, noon)
			restored.Tick(noon.Add(2 * Retention))
			restored.Told(restored.Reports(), noon)
			assert.Empty(t, restored.all)
			assert.Empty(t, restored.byKey)
		}
	}
}

func TestOnlyChangesAreStored(t *testing.T) {
	t.Parallel()
	table := NewTable(persistent())
	for _, r := range rolling(900, "alice", "10.0.0.5")[:400] {
		table.Add(r, noon)
	}
	_, err := table.Changes()
	require.NoError(t, err)
	table.Add(rolling(401, "alice", "10.0.0.5")[400], noon)
	changes, err := table.Changes()
	require.NoError(t, err)
	size := 0
	for _, c := range changes {
		size += len(c.Value)
	}
	assert.Less(t, size, 12_000, "the members that were stored are not stored again")
}
