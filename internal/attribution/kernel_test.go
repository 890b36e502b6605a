// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// TestTerminals is about whose login a terminal belongs to.
func TestTerminals(t *testing.T) {
	const session = "/user.slice/user-1000.slice/session-17.scope"
	for name, tt := range map[string]struct {
		cause  kill.Cause
		target *kill.Process
		want   expected
	}{
		"a key": {
			kill.CauseTerminalKey, process(300, "sleep 1000", 0, 1000, session),
			expected{cause: kill.CauseTerminalKey, login: 1000, address: "10.0.0.5", unmanaged: true},
		},
		"a hangup": {
			kill.CauseTerminalHangup, process(300, "sleep 1000", 0, 1000, session),
			expected{cause: kill.CauseTerminalHangup, login: 1000, address: "10.0.0.5", unmanaged: true},
		},
		"of somebody else who has the number": {
			kill.CauseTerminalKey, process(300, "sleep 1000", 0, 1001, "/system.slice/x.service"),
			expected{cause: kill.CauseTerminalKey, login: 1001, unmanaged: true},
		},
		"of nobody": {
			kill.CauseTerminalKey, process(300, "sleep 1000", 0, nobody, "/system.slice/x.service"),
			expected{cause: kill.CauseTerminalKey, login: nobody},
		},
		"no terminal": {
			kill.CauseCPULimit, process(300, "sleep 1000", 0, 1000, session), expected{cause: kill.CauseCPULimit, login: nobody},
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := tableOf(true)
			learn(table, []Fact{login(0, "17", 1000, "alice", "10.0.0.5")})
			e := sends(0, kill.SIGINT, *tt.target)
			e.Origin, e.Sender, e.Cause = kill.OriginKernel, kill.Process{}, tt.cause
			for range 2 { // an event may be explained again
				settled := table.Explain(e)
				assert.Equal(t, tt.want, told(e, settled))
			}
		})
	}
}

// TestCgroupKill is about who has written to a cgroup.kill.
func TestCgroupKill(t *testing.T) {
	for name, tt := range map[string]struct {
		writer *kill.Process
		facts  []Fact
		want   expected
	}{
		"a script": {
			process(300, "sh -c echo", 0, 1000, "/x", script, bash, sshd), nil,
			expected{cause: kill.CauseCgroupKill, login: 1000, initiator: 91, unmanaged: true, address: "10.0.0.5"},
		},
		"the target itself": {&kill.Process{}, nil, expected{cause: kill.CauseCgroupKill, login: nobody}},
		"systemd": {
			&ofHost,
			[]Fact{begins(0, 7, "stop", "mariadb.service")},
			expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceObserved, login: nobody, unsettled: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := tableOf(true)
			table.Follow(1, true, false)
			learn(table, append(tt.facts, login(0, "17", 1000, "alice", "10.0.0.5")))
			e := sends(ms, kill.SIGKILL, ofUnit(5932, "mariadbd", "mariadb.service"))
			e.Origin, e.Sender, e.Cause = kill.OriginKernel, *tt.writer, kill.CauseCgroupKill
			for range 2 {
				settled := table.Explain(e)
				assert.Equal(t, tt.want, told(e, settled))
			}
		})
	}
}
