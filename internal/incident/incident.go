// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"container/list"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// incident is what has been joined so far.
type incident struct {
	id       digest
	sequence uint64
	// first is the time of the member that the id is of.
	first time.Time
	// start and end are the times of the first and the last member, by their own clocks.
	start, end time.Time
	// arrived is when the last one has joined, by the clock of the caller.
	arrived time.Time
	// closed is true once nothing has joined for so long; it still takes in what comes late.
	closed bool

	users   single
	origins origins
	keys    map[key]struct{}
	weak    []key
	// joined has a bit for each kind by which a member has joined.
	joined uint32

	targets map[place]*target
	// processes is how many targets there are.
	processes int
	hosts     []*host
	members   map[*host]presence
	records   []digest
	listed    []string
	shared    sharing
	// texts is how many bytes of texts it has.
	texts int
	pods  pods
	tally

	payer *payer
	// owned is the place in the payer's list.
	owned *list.Element
	told  told
	// revision is the number of changes that are to be told.
	revision uint64
	saved    persisted
}

// tally is what has been counted.
type tally struct {
	Signals   int64 `json:"s,omitempty"`
	Failed    int64 `json:"f,omitempty"`
	Doubtful  int64 `json:"d,omitempty"`
	Exited    int   `json:"x,omitempty"`
	Killed    int   `json:"k,omitempty"`
	Cored     int   `json:"c,omitempty"`
	Survived  int   `json:"v,omitempty"`
	Escalated int   `json:"e,omitempty"`
	// Loose is how many members had no target.
	Loose int `json:"l,omitempty"`
	// Incomplete is true if there were more members than there was room for.
	Incomplete bool `json:"i,omitempty"`
	// Inferred is true if who or what is behind it was not seen for all members.
	Inferred bool `json:"g,omitempty"`
	// Act is true if the user of some members has done something.
	Act bool `json:"n,omitempty"`
}

// told is what the consumer has accepted.
type told struct {
	state    State
	at       time.Time
	revision uint64
	// fixed is true once a report with the id was made, whether it was taken or not.
	fixed bool
	// due is true if the incident is in the table's list of what is to be reported.
	due bool
	// final is the last report of what is gone: merged, or given up; nil for any other.
	final *Report
}

// place is where a target is. Several processes may have had the same pid.
type place struct {
	host *host
	pid  int64
}

// target is one process.
type target struct {
	place
	// start is a digest of the time when it was created; 0 if not known.
	start uint64
	// other is another process that had the same pid.
	other   *target
	name    string
	has     fields
	outcome string
	at      int64 // of the outcome, in nanoseconds
	killed  bool  // had to be killed
	reached bool  // by a signal that was not refused
	recent  []sent
	dirty   bool
}

// sent is a signal that another source may tell as well.
type sent struct {
	at, signal, sender int64
	source             string
	// death is true for the kernel's report that the process dies of the signal.
	death bool
}

// presence is what an incident has of a host.
type presence struct {
	// targets is how many processes it has there.
	targets int32
	// origin is the place, from 1, of the address that somebody came from in the incident's origins; 0 if none is known.
	origin int32
}

// single is a value that all members have that have one.
type single struct {
	Value string `json:"v,omitempty"`
	Mixed bool   `json:"m,omitempty"`
}

func (s *single) add(value string) {
	value = cut(value)
	switch {
	case value == "" || s.Mixed || s.Value == value:
	case s.Value == "":
		s.Value = strings.Clone(value)
	default:
		s.Mixed = true
	}
}

func (s *single) absorb(other *single) {
	s.add(other.Value)
	s.Mixed = s.Mixed || other.Mixed
}

// differs reports whether a value is another one than the only one that there is.
func (s *single) differs(value string) bool {
	value = cut(value)
	return value != "" && s.Value != "" && !s.Mixed && s.Value != value
}

const (
	// longest is how many bytes of a command line are kept: as many as the receiver reports.
	longest = 1024
	// longestText is how long a name can be: no file, unit, user, container or pod has a longer one.
	longestText = 256
	// longestPath is how long a path of a program or a control group can be. Linux has longer ones, but no package makes any.
	longestPath = 512
	// longestNamespace is how long a namespace of Kubernetes can be, of which each process may have another one.
	longestNamespace = 63
	// longestName is how many bytes are kept of what there is once for each host: no name of one is longer (RFC 1035, 2.3.4),
	// and the node's may follow it.
	longestName = 512
	// longestSource is how many bytes are kept of a source, of which there may be several for each process.
	longestSource = 32
)

// cut returns as much of a text as is kept, so that it is the same after a restart.
func cut(text string) string { return cutTo(text, longest) }

// cutName is cut for a name.
func cutName(text string) string { return cutTo(text, longestText) }

func cutTo(text string, limit int) string {
	if text = visible.Cut(text, limit); !utf8.ValidString(text) {
		return strings.ToValidUTF8(text, string(utf8.RuneError))
	}
	return text
}

// size is how much of the table's room for members an incident takes up. A record need not be about a process, but it is of
// a host.
func (i *incident) size() int {
	return max(i.processes, len(i.hosts)) + len(i.records)/recordsPerMember + i.texts/textsPerMember
}

// weigh counts its texts anew.
func (i *incident) weigh() {
	i.texts = i.shared.bytes() + i.origins.bytes() + len(i.users.Value)
}

// reaches reports whether something at a time can be a member.
func (i *incident) reaches(at time.Time, c *Config) bool {
	return !at.Before(i.start.Add(-c.Gap)) && !at.After(i.end.Add(c.Gap)) && i.span(at, at) <= c.MaxDuration
}

// span is how long the incident would be with something else in it.
func (i *incident) span(start, end time.Time) time.Duration {
	if i.start.Before(start) {
		start = i.start
	}
	if i.end.After(end) {
		end = i.end
	}
	return end.Sub(start)
}

func (i *incident) extend(start, end time.Time) {
	if start.Before(i.start) {
		i.start = start
	}
	if end.After(i.end) {
		i.end = end
	}
}

// process returns the target with a pid that was created at a time; nil if there is none. One of the two may not
// say when.
func (i *incident) process(at place, start uint64) (found *target, length int) {
	for known := i.targets[at]; known != nil; known = known.other {
		if known.start == start {
			return known, 0
		}
		if known.start == 0 || start == 0 {
			found = known
		}
		length++
	}
	return found, length
}

func (i *incident) put(added *target) {
	added.other = i.targets[added.place]
	i.targets[added.place] = added
	i.processes++
	at := i.members[added.host]
	at.targets++
	i.members[added.host] = at
	if len(i.listed) < maxListed {
		i.listed = append(i.listed, listed(added))
	}
}

// all calls for each target.
func (i *incident) all(yield func(*target) bool) {
	for _, known := range i.targets {
		for known != nil {
			next := known.other
			if !yield(known) {
				return
			}
			known = next
		}
	}
}

// keep removes the weak keys that a member does not have.
func (i *incident) keep(weak []key) {
	i.weak = slices.DeleteFunc(i.weak, func(k key) bool { return !slices.Contains(weak, k) })
}

// reportable reports whether it has enough targets to be one.
func (i *incident) reportable(c *Config) bool { return i.processes >= c.MinTargets }
