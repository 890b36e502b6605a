// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestLoginsOfContainers has the logind of containers tell of very many logins that are still to come, beside the host's.
func TestLoginsOfContainers(t *testing.T) {
	t.Parallel()
	for name, manager := range map[string]func(n int) int{
		"one":       func(int) int { return 50 },
		"some":      func(n int) int { return 50 + n%16 },
		"very many": func(n int) int { return 50 + n },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := New(Config{})
			const hosts = maxSessions - maxOthersSessions
			for n := range hosts {
				learn(table, []Fact{login(0, strconv.Itoa(n), 1000, "alice", "10.0.0.5")})
			}
			for n := range 3 * maxSessions {
				f := login(manager(n), strconv.Itoa(n), 1000, "alice", "10.0.0.6")
				f.Login.Time = start.Add(24 * time.Hour)
				table.Learn(&f)
			}
			assert.LessOrEqual(t, len(table.logins), maxSessions)
			left := 0
			for k := range table.logins {
				if k.manager == 0 {
					left++
				}
			}
			assert.Equal(t, hosts, left)
		})
	}
	table := New(Config{})
	for n := range 3 * maxSessions {
		f := login(0, strconv.Itoa(n), 1000, "alice", "10.0.0.5")
		f.Login.Time = start.Add(time.Duration(n))
		learn(table, []Fact{login(50, "c1", 0, "root", ""), f})
		assert.NotNil(t, table.logins[loginKey{0, strconv.Itoa(n)}])
	}
	assert.LessOrEqual(t, len(table.logins), maxSessions)
	assert.NotNil(t, table.logins[loginKey{50, "c1"}], "the host's makes room for its own")
}
