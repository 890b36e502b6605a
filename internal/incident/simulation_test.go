// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// setting returns a number from the environment.
func setting(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

// TestFleet simulates a day of 2,000 hosts, or what FLEET_HOSTS and FLEET_HOURS say, and compares what is reported
// with what has happened: docs/fleet.md has the results of a day of 10,000 hosts.
func TestFleet(t *testing.T) { // not in parallel: it measures
	hosts, hours := setting("FLEET_HOSTS", 2000), setting("FLEET_HOURS", 24)
	f := newFleet(uint64(setting("FLEET_SEED", 1)), hosts, time.Duration(hours)*time.Hour)
	f.day(float64(hours) / 24 * float64(hosts) / 10_000)
	f.send()
	slices.SortFunc(f.all, func(a, b event) int { return int(a.arrives - b.arrives) })

	s := simulation{
		fleet: f, labels: map[digest]int{}, sizes: map[int]int{}, found: map[string]map[int]int{},
		table: NewTable(Config{
			Gap: 30 * time.Second, MaxDuration: 30 * time.Minute, Interval: 10 * time.Second, MinTargets: 2, MaxOpen: 10_000, MaxMembers: 10_000,
		}),
	}
	began := time.Now()
	s.run()
	took := time.Since(began)
	precision, recall := s.judge(t)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("%d hosts, %d h: %d records, %d things that happened, %d incidents; %d reported; precision %.4f, recall %.4f; "+
		"%.1f us for a record; at most %d remembered; %d evicted", hosts, hours, len(f.all), f.label, len(f.big), len(s.found), precision, recall,
		float64(took.Microseconds())/float64(len(f.all)), s.most, s.table.Counts().Evicted)
	const enough = 0.99
	assert.GreaterOrEqual(t, precision, enough)
	assert.GreaterOrEqual(t, recall, enough)
}

// pace is how often the table looks at the clock: as often as it does would take most of the time.
const pace = 5 * time.Second

type simulation struct {
	*fleet
	table *Table
	// labels are what records belong to, sizes how many records that has.
	labels map[digest]int
	sizes  map[int]int
	// found has, for each reported incident, how many records of what it has.
	found map[string]map[int]int
	most  int
}

func (s *simulation) run() {
	clock := time.Duration(0)
	for _, e := range s.all {
		for ; clock < e.arrives; clock += pace {
			s.table.Tick(noon.Add(clock))
			s.tell(noon.Add(clock))
		}
		uid := s.table.hasher.sum(e.record.identity()...)
		if _, again := s.labels[uid]; !again {
			s.labels[uid] = e.label
			s.sizes[e.label]++
		}
		copied := *e.record
		s.table.Add(&copied, noon.Add(e.arrives))
		s.most = max(s.most, len(s.table.all))
	}
	for range 100 {
		clock += pace
		s.table.Tick(noon.Add(clock))
		s.tell(noon.Add(clock))
	}
}

func (s *simulation) tell(now time.Time) {
	reports := s.table.Reports()
	for _, r := range reports {
		if r.MergedInto != "" {
			delete(s.found, r.ID)
			continue
		}
		if !s.table.present(r.of) {
			continue // its last members were told before
		}
		members := map[int]int{}
		for _, uid := range r.of.records {
			members[s.labels[uid]]++
		}
		s.found[r.ID] = members
	}
	s.table.Told(reports, now)
}

// parts returns how many records of something are in which reported incidents.
func (s *simulation) parts(label int) (parts []int) {
	for _, members := range s.found {
		if members[label] > 0 {
			parts = append(parts, members[label])
		}
	}
	return parts
}

// judge returns which part of the reported incidents is pure, at least 95% of one thing that is an incident; and
// which part of these is whole, with at least 95% of its records in one reported incident.
func (s *simulation) judge(t *testing.T) (precision, recall float64) {
	t.Helper()
	const nearly = 0.95
	whole := map[int]bool{}
	pure, impure := 0, map[string]int{}
	for id, members := range s.found {
		total, most, main := 0, 0, 0
		for label, n := range members {
			total += n
			if n > most {
				most, main = n, label
			}
		}
		if _, is := s.big[main]; is && float64(most) >= nearly*float64(total) {
			pure++
		} else {
			impure[s.big[main]]++
			if os.Getenv("FLEET_VERBOSE") != "" {
				t.Logf("impure %s: %s %v", id, s.big[main], members)
			}
		}
		for label, n := range members {
			if float64(n) >= nearly*float64(s.sizes[label]) {
				whole[label] = true
			}
		}
	}
	missed := map[string]int{}
	found := 0
	for label, kind := range s.big {
		if whole[label] {
			found++
		} else {
			missed[kind]++
			if os.Getenv("FLEET_VERBOSE") != "" {
				t.Logf("not whole: %s %d of %d records: %v", kind, label, s.sizes[label], s.parts(label))
			}
		}
	}
	t.Logf("not pure: %v; not whole: %v", impure, missed)
	return float64(pure) / float64(len(s.found)), float64(found) / float64(len(s.big))
}
