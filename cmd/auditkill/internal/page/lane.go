// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"fmt"
	"slices"
)

const (
	// maxLanes is how many lanes the timeline has: more say nothing at a glance. The last one then is that of all others.
	maxLanes = 12
	// slots is how many marks a lane has at most, so that they can be told apart.
	slots = 200
	// maxSaid is how many signals the text of a mark names.
	maxSaid = 5
)

// Lane is a line of the timeline: the signals to one target.
type Lane struct {
	Name  string
	Count int
	Marks []Mark
}

// Mark stands for the signals to a target at about the same time.
type Mark struct {
	// Percent is where it is from left to right, Row the anchor of its first signal.
	Percent float64
	Row     string
	// Kind is that of its worst signal: kill, term or other. Failed is true if none got through, Doubtful if of none it is known that
	// it did, and some may have.
	Kind             string
	Failed, Doubtful bool
	// Text says which signals they are.
	Text    string
	through bool
	said    int
	more    int
}

// lanes returns the timeline of rows that are sorted by time: the busiest targets, in the order in which they were first sent a
// signal.
func lanes(rows []row) []Lane {
	chosen := busiest(rows)
	first, span := rows[0].at, rows[len(rows)-1].at.Sub(rows[0].at)
	index := make(map[string]int)
	var all []Lane
	var last []int // the slot of the last mark
	for _, r := range rows {
		name := r.lane
		if !chosen[name] {
			name = ""
		}
		i, ok := index[name]
		if !ok {
			i = len(all)
			index[name] = i
			all, last = append(all, Lane{Name: cmp.Or(name, "others")}), append(last, -1)
		}
		slot := slots / 2
		if span > 0 {
			slot = int(float64(r.at.Sub(first)) / float64(span) * (slots - 1))
		}
		l := &all[i]
		l.Count += r.signals
		if slot != last[i] {
			last[i] = slot
			l.Marks = append(l.Marks, Mark{Percent: float64(slot) * 100 / (slots - 1), Row: r.ID, Kind: other})
		}
		l.Marks[len(l.Marks)-1].add(&r)
	}
	if i, ok := index[""]; ok { // the others are the last
		others := all[i]
		all = append(slices.Delete(all, i, i+1), others)
	}
	for i := range all {
		for j := range all[i].Marks {
			if m := &all[i].Marks[j]; m.more > 0 {
				m.Text += fmt.Sprintf("\nand %d more", m.more)
			}
		}
	}
	return all
}

// busiest returns the names that have a lane of their own.
func busiest(rows []row) map[string]bool {
	counts := make(map[string]int)
	for _, r := range rows {
		counts[r.lane] += r.signals
	}
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b)) })
	if len(names) > maxLanes {
		names = names[:maxLanes-1]
	}
	chosen := make(map[string]bool)
	for _, name := range names {
		chosen[name] = true
	}
	return chosen
}

// The kinds of marks, the worst last.
const (
	other = "other"
	term  = "term"
	fatal = "kill"
)

// add adds a signal to a mark.
func (m *Mark) add(r *row) {
	kind := other
	switch r.Signal {
	case "SIGKILL":
		kind = fatal
	case "SIGTERM":
		kind = term
	}
	m.through = m.through || !r.Failed && !r.Doubtful
	m.Doubtful = !m.through && (m.Doubtful || r.Doubtful)
	m.Failed = !m.through && !m.Doubtful
	if m.Kind == other || kind == fatal {
		m.Kind = kind
	}
	if m.said == maxSaid {
		m.more++
		return
	}
	m.said++
	if m.Text != "" {
		m.Text += "\n"
	}
	m.Text += r.Time + "  " + r.Signal + " to " + r.Target + " by " + cmp.Or(r.Sender, "?")
}
