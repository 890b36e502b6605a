// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import "time"

// Config says what belongs together, and how much is remembered. All values but Scope and Delay must be set, and positive.
type Config struct {
	// Scope is a part of the ids: tables of another scope that get some of the same records, such as one on a host and one for the fleet,
	// give what is not the same incident another id.
	Scope string
	// Gap is the longest time between two members. An incident also is closed once nothing has joined it for so long.
	Gap time.Duration
	// MaxDuration is the longest time from the first member to the last one.
	MaxDuration time.Duration
	// Interval is how often an open incident is reported again if it has grown.
	Interval time.Duration
	// Delay is how long records are held back, so that they are added in the order of their own time. Tables that get the same
	// ones in other orders meanwhile find the same incidents with the same ids. Zero adds them as they come.
	Delay time.Duration
	// MinTargets is how many processes make an incident; fewer are not reported.
	MinTargets int
	// MaxOpen is how many incidents are remembered, among them single signals that may become one and, as far as there is
	// room, incidents that are closed.
	MaxOpen int
	// MaxMembers is how many processes of one incident are told apart. Beyond it, counts are lower bounds.
	MaxMembers int
	// Persistent has the table keep account of changes for Changes.
	Persistent bool
}

const (
	// Retention is how long a closed incident still takes in what comes late: the outcomes of its targets, and what a
	// host had to keep while it could not send.
	Retention = time.Hour
	// maxListed is how many hosts, targets and hosts of a path a report lists.
	maxListed = 100
	// recordsPerMember is how many records of one process are told apart on average: signals and an outcome.
	recordsPerMember = 4
	// textsPerMember is how many bytes of texts take up the room of a member. A member takes more, but not by itself: 10,000 single
	// signals with long texts must not take far more than as many with usual ones.
	textsPerMember = 256
	// membersPerTable is how many full incidents there is room for. That bounds the memory of many large ones.
	membersPerTable = 20
	// duplicateWindow is within which time two sources see the same signal.
	duplicateWindow = 50 * time.Millisecond
	// deathWindow is how much later than its signal the kernel reports that a process dies of it, on a busy host.
	deathWindow = 2 * time.Second
	// maxCount bounds how many signals one record may claim to stand for, so that sums do not overflow.
	maxCount = 1 << 31
	// maxHolders is how many incidents can be found by one key, the newest ones.
	maxHolders = 64
	// maxReused is how many processes with the same pid of a host one incident tells apart.
	maxReused = 8
	// maxRecent is how many signals to a process are compared with what another source tells.
	maxRecent = 8
	// maxOrigins is how many addresses one incident tells apart that somebody came from: as many as a report lists hosts.
	maxOrigins = maxListed
	// maxAddresses is how many addresses of one host are remembered; the others lead to no host.
	maxAddresses = 16
)
