// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReplicas has tables get the same records in different orders, as those of two collectors behind the same gateways: what they report
// is the same, with the same ids. One of them is restarted.
func TestReplicas(t *testing.T) {
	t.Parallel()
	for name, records := range map[string][]*Record{
		"rolling restarts of two people":             twoRollingRestarts(),
		"a rollout beside a drained node":            rolloutAndDrain(),
		"a way over hosts":                           wayOverHosts(),
		"two people who use one account over a host": twoOverOneHost(),
	} {
		want := ""
		for seed := range uint64(30) {
			r := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // the same in each run
			r.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
			got := replica(t, records, seed%2 == 0)
			if want == "" {
				want = got
			}
			require.Equal(t, want, got, "%s %d", name, seed)
		}
	}
}

// replica returns what a table with a delay reports of records that come within a few seconds, minutes after what they are about.
func replica(t *testing.T, records []*Record, restart bool) string {
	t.Helper()
	config := persistent()
	config.Delay = 5 * time.Second
	f, kept := &telling{table: NewTable(config), now: noon.Add(5 * time.Minute), last: map[string]*Report{}}, stored{}
	half := len(records) / 2
	f.add(records[:half]...).pass(time.Second).pass(2 * time.Second)
	assert.Empty(t, f.all, "it waits")
	if restart {
		kept.save(t, f.table)
		f.table = NewTable(config)
		require.NoError(t, f.table.Restore(kept.get, f.now))
	}
	f.add(records[half:]...)
	for range 5 {
		f.pass(time.Second)
	}
	assert.NotEmpty(t, f.all)
	check(t, f.table)
	var all []string
	for _, report := range f.end() {
		all = append(all, fmt.Sprint(report.ID, report.MergedInto, report.Sentence(), report.Path, report.TargetCount))
	}
	slices.Sort(all)
	kept.save(t, f.table)
	for _, value := range kept {
		assert.NotContains(t, string(value), "Held", "nothing is held back any more")
	}
	return strings.Join(all, "\n")
}

func twoRollingRestarts() []*Record {
	records := rolling(20, "alice", "10.0.0.5")
	for _, r := range rolling(20, "bob", "10.0.0.6") {
		r.UID += "bob"
		r.Target.PID++
		r.Requester.PID += 1000
		r.Initiator.PID += 1000
		r.Session += "b"
		records = append(records, r)
	}
	return records
}

func rolloutAndDrain() (records []*Record) {
	for n := range 4 {
		records = append(records, at(float64(n), fmt.Sprint("node", n), 7, pod("shop", "web-5d8f7c9b6-x2x4z")),
			at(float64(n)+0.5, "node0", 20+int64(n), pod("other", fmt.Sprint("app", n, "-0"))))
	}
	return records
}

func wayOverHosts() []*Record {
	return []*Record{
		on(0, "bastion", "alice", "203.0.113.9", "1", "10.0.0.1"), on(1, "bastion", "alice", "203.0.113.9", "1", "10.0.0.1"),
		on(2, "web", "alice", "10.0.0.1", "1", "10.0.0.2"), on(3, "web", "alice", "10.0.0.1", "1", "10.0.0.2"),
		on(4, "db", "alice", "10.0.0.2", "1", "10.0.0.3"),
	}
}

func twoOverOneHost() []*Record {
	return []*Record{
		on(0, "bastion", "deploy", "203.0.113.9", "1", "10.0.0.1"), on(1, "bastion", "deploy", "203.0.113.9", "1", "10.0.0.1"),
		on(2, "web", "deploy", "10.0.0.1", "1", "10.0.0.2"), on(3, "web", "deploy", "10.0.0.1", "1", "10.0.0.2"),
		on(4, "bastion", "deploy", "198.51.100.7", "2", "10.0.0.1"), on(5, "bastion", "deploy", "198.51.100.7", "2", "10.0.0.1"),
		on(6, "db", "deploy", "10.0.0.2", "1", "10.0.0.3"), on(7, "db", "deploy", "10.0.0.1", "2", "10.0.0.3"),
	}
}

// TestHeldBack has records wait for the delay, but not those that are of an earlier time than one that has waited.
func TestHeldBack(t *testing.T) {
	t.Parallel()
	config := persistent()
	config.Delay = 5 * time.Second
	table, got := NewTable(config), ""
	table.Released = func(r *Record, result Result) {
		got += fmt.Sprint(r.Target.PID, map[Result]string{Joined: " joined ", Repeated: " again "}[result])
	}
	add := func(after float64, records ...*Record) {
		for _, r := range records {
			assert.Equal(t, Held, table.Add(r, noon.Add(time.Duration(after*float64(time.Second)))))
		}
	}
	pass := func(seconds int) string {
		got = ""
		table.Tick(noon.Add(time.Duration(seconds) * time.Second))
		return got
	}
	assert.Equal(t, Ignored, table.Add(at(0, "a", 7, hangup, ignored), noon))
	add(0, at(600, "ahead", 1), at(-60, "late", 2), at(-3, "a", 3))
	assert.Equal(t, Repeated, table.Add(at(-3, "a", 3), noon.Add(time.Second)), "it is sent again")
	add(4, at(-61, "late", 4), at(-2, "a", 5))
	assert.Empty(t, pass(4))
	assert.Empty(t, pass(5), "one of an earlier time still waits")
	assert.Empty(t, pass(8))
	assert.Equal(t, "4 joined 2 joined 3 joined 5 joined 1 joined ", pass(9))
	assert.Equal(t, Repeated, table.Add(at(-3, "a", 3), noon.Add(10*time.Second)))
	add(20, at(20, "a", 6))
	assert.Empty(t, pass(-3600), "the clock is set back")
	assert.Equal(t, "6 joined ", pass(5-3600))
	add(20-3600, at(30, "a", 8))
	for n := range 9 { // earlier ones come all the time
		add(float64(21+n-3600), at(29, "a", int64(10+n)))
		pass(21 + n - 3600)
	}
	assert.Equal(t, "8 joined ", pass(30-3600), "it does not wait for ever")
	pass(0)
	assert.Zero(t, table.held.size)
	assert.Empty(t, table.held.byUID)
}

// TestBacklogBesideWhatIsLive has a backlog come in two parts, in any order, while another host sends all the time.
func TestBacklogBesideWhatIsLive(t *testing.T) {
	t.Parallel()
	want := ""
	for seed := range uint64(10) {
		records := twoRollingRestarts()
		r := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // a test
		r.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		config := persistent()
		config.Delay = 5 * time.Second
		f := &telling{table: NewTable(config), now: noon.Add(time.Hour), last: map[string]*Report{}}
		pass := func(seconds int) {
			for range seconds {
				n := int64(f.now.Sub(noon).Seconds())
				f.add(at(float64(n), "live", n, func(r *Record) { r.Target.Unit, r.Target.Name = fmt.Sprint("x", n, ".service"), fmt.Sprint("x", n) }))
				f.pass(time.Second)
			}
		}
		pass(10)
		f.add(records[:len(records)/2]...)
		pass(2)
		f.add(records[len(records)/2:]...)
		pass(22)
		var all []string
		for _, report := range f.end() {
			if !slices.Contains(report.Hosts, "live") {
				all = append(all, fmt.Sprint(report.ID, report.MergedInto, report.TargetCount))
			}
		}
		slices.Sort(all)
		got := strings.Join(all, " ")
		if want == "" {
			want = got
		}
		assert.Equal(t, want, got, "seed %d", seed)
	}
}

// TestClockThatIsAhead has two tables look at other moments at what has come, of which one host's clock is 0.8 s ahead.
func TestClockThatIsAhead(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, phase := range []time.Duration{0, 500 * time.Millisecond} {
		config := persistent()
		config.Delay = 5 * time.Second
		table, tick := NewTable(config), noon.Add(phase)
		until := func(end time.Time) {
			for ; tick.Before(end); tick = tick.Add(time.Second) {
				table.Tick(tick)
				reports := table.Reports()
				for _, r := range reports {
					ids[r.ID] = true
				}
				table.Told(reports, tick)
			}
		}
		by := func(pid int64) []func(*Record) {
			return []func(*Record){askedBy(pid, "apt"), login("alice", "10.0.0.5", "1")}
		}
		until(noon.Add(9600 * time.Millisecond))
		for n := range int64(2) {
			table.Add(at(10.4, "ahead", 10+n, by(7)...), noon.Add(9600*time.Millisecond))
		}
		until(noon.Add(10200 * time.Millisecond))
		table.Add(at(10.2, "b", 20, by(8)...), noon.Add(10200*time.Millisecond))
		until(noon.Add(25 * time.Second))
	}
	assert.Len(t, ids, 1)
}

// TestHeldBackIsBounded has more come than is held back.
func TestHeldBackIsBounded(t *testing.T) {
	t.Parallel()
	config := usual()
	config.Delay = time.Hour
	table := NewTable(config)
	long := strings.Repeat("x", 1<<20)
	prompted := func(r *Record) { r.Kernel, r.Cause, r.Requester.Title, r.Initiator.Title = true, "", long, long }
	before := at(0, "a", 1).size()
	assert.Greater(t, at(0, "a", 1, prompted).size(), before+2<<20-1)
	for n := range int64(100) {
		table.Add(at(0, "a", n+1, sentBy(50, long, "1000")), noon)
		assert.LessOrEqual(t, table.held.size, maxHeld)
	}
	assert.NotEmpty(t, table.all)
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

// TestDelay has an incident be told once its second record is old enough, and all be told when a table ends.
func TestDelay(t *testing.T) {
	t.Parallel()
	config := usual()
	config.Delay = time.Minute
	f := &telling{table: NewTable(config), now: noon, last: map[string]*Report{}}
	f.add(at(0, "a", 7, restart("x.service")), at(1, "b", 7, restart("x.service"))).pass(59 * time.Second)
	assert.Empty(t, f.all)
	f.pass(2 * time.Second)
	require.Len(t, f.all, 1)
	assert.Equal(t, Open, f.all[0].State)
	f.add(at(100, "a", 7, restart("x.service"), func(r *Record) { r.Target.Start = "later" }), at(101, "b", 8, restart("x.service")))
	f.table.End(f.now)
	assert.Len(t, f.table.Reports(), 2)
}

// TestScope has a table on a host and one for the fleet join some of the same records: the incident on the host is not that on many.
func TestScope(t *testing.T) {
	t.Parallel()
	all := rolling(3, "alice", "10.0.0.5")
	again := at(1, "web-0", 1001, restart("mariadb.service"), askedBy(500, "systemctl"), begunBy(499, "apt-get upgrade", "apt-get"), login("alice", "10.0.0.5", "20"))
	ids := map[string]string{}
	for name, tt := range map[string]struct {
		scope   string
		records []*Record
	}{"host": {"host", []*Record{all[0], again}}, "fleet": {"", append(all, again)}, "standby": {"", append(all, again)}} {
		config := usual()
		config.Scope = tt.scope
		reports := alone(closedOf(t, config, tt.records...))
		require.Len(t, reports, 1)
		ids[name] = reports[0].ID
	}
	assert.NotEqual(t, ids["host"], ids["fleet"])
	assert.Equal(t, ids["fleet"], ids["standby"])
}
