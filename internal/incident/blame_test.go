// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func signaledBy(number int64, name string) func(*Record) {
	return func(r *Record) { r.SignalNumber, r.SignalName = number, name }
}

// TestTwoSignalsOfDifferentOrigin has two people, or one and nobody, signal the same processes: neither is said to have done
// what the other has.
func TestTwoSignalsOfDifferentOrigin(t *testing.T) {
	t.Parallel()
	alice, bob := login("alice", "10.0.0.5", "3"), login("bob", "10.0.0.6", "4")
	byHand := []func(*Record){alice, sentBy(50, "kill", "1000"), signaledBy(1, "SIGHUP"), failed}
	byScript := []func(*Record){begunBy(7, "/opt/cleanup.sh", "cleanup.sh"), sentBy(50, "kill", "0"), signaledBy(1, "SIGHUP")}
	for name, test := range map[string]struct {
		first, then []func(*Record)
		after       float64
		// never are parts of sentences that must not stand together.
		never [2]string
	}{
		"a refused signal, then a restart that nobody is known to have asked for": {
			byHand, []func(*Record){restart("mariadb.service")}, 10, [2]string{"alice", "restarted"},
		},
		"the same, much later": {
			byHand, []func(*Record){restart("mariadb.service")}, 1500, [2]string{"alice", "restarted"},
		},
		"then one that somebody without a login has asked for": {
			byHand, []func(*Record){restart("mariadb.service"), askedBy(88, "systemctl")}, 10, [2]string{"alice", "restarted"},
		},
		"then a lack of memory": {
			byHand, []func(*Record){oom("/a")}, 10, [2]string{"alice", "memory"},
		},
		"a script, then somebody by hand": {
			byScript, []func(*Record){bob, sentBy(60, "kill", "0"), signaledBy(9, "SIGKILL")}, 10, [2]string{"bob", "cleanup.sh"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var records []*Record
			for _, pid := range []int64{100, 101} {
				records = append(records, at(0, "web-1", pid, test.first...))
			}
			for _, pid := range []int64{100, 101} {
				records = append(records, at(test.after, "web-1", pid, test.then...))
			}
			reports := closedOf(t, usual(), records...)
			require.NotEmpty(t, reports)
			for _, r := range reports {
				sentence := fmt.Sprint(r.Sentence(), r.Shared)
				assert.False(t, strings.Contains(sentence, test.never[0]) && strings.Contains(sentence, test.never[1]), sentence)
			}
		})
	}
}

// TestSameNameElsewhere has users and addresses that are others on each host.
func TestSameNameElsewhere(t *testing.T) {
	t.Parallel()
	numbered := func(r *Record) { r.UserID, r.Client = "1000", "10.0.0.5" }
	for name, who := range map[string]func(*Record){
		"an address of the host": login("admin", "127.0.0.1", ""), "of the link": login("admin", "fe80::1", ""),
		"a user whose name is not known": numbered,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range closedOf(t, usual(),
				at(0, "db-1", 100, who, sentBy(50, "kill", "1000")), at(1, "db-1", 101, who, sentBy(50, "kill", "1000")),
				at(5, "web-9", 700, who, sentBy(51, "pkill", "1000")), at(6, "web-9", 701, who, sentBy(51, "pkill", "1000"))) {
				assert.Equal(t, 1, r.HostCount, r.Sentence())
			}
		})
	}
	// Both come through the same bastion, and restart the same unit.
	unit := restart("mariadb.service")
	for _, r := range closedOf(t, usual(),
		at(0, "db-1", 100, unit, numbered), at(1, "db-1", 101, unit, numbered), at(5, "web-9", 700, unit, numbered), at(6, "web-9", 701, unit, numbered)) {
		assert.Equal(t, 1, r.HostCount, r.Sentence())
	}
}

// TestOnlyOutcomes has the records of the signals be lost: whoever has sent them did not only try.
func TestOnlyOutcomes(t *testing.T) {
	t.Parallel()
	alice := login("alice", "10.0.0.5", "3")
	reports := closedOf(t, usual(),
		at(0, "a", 7, alice, sentBy(50, "kill", "0"), outcome("exited", false)), at(1, "a", 8, alice, sentBy(50, "kill", "0"), outcome("killed", false)))
	require.Len(t, reports, 1)
	assert.Equal(t, "kill of alice from 10.0.0.5 sent SIGTERM to 2 processes (mysqld) on a in 1s: 1 exited, 1 killed", reports[0].Sentence())
}

// TestInitOfSomebody has the first process of a pid namespace end, and the kernel kill the others: that was no act of the user who
// has made the namespace.
func TestInitOfSomebody(t *testing.T) {
	t.Parallel()
	killed := func(r *Record) { r.Cause, r.SignalNumber, r.SignalName = "pid_namespace_end", 9, "SIGKILL" }
	alice := login("alice", "10.0.0.5", "3")
	reports := closedOf(t, usual(),
		at(0, "a", 7, alice, sentBy(50, "init", "1000"), killed), at(0, "a", 8, alice, sentBy(50, "init", "1000"), killed))
	require.Len(t, reports, 1)
	assert.Equal(t, "2 processes (mysqld) were killed with a pid namespace of alice from 10.0.0.5 on a", reports[0].Sentence())
}

// TestPromptedBySomebody has the kernel signal processes for what somebody else has done, such as open a file that they have a lease
// of: he has not sent that. Anybody can have his own processes signaled so.
func TestPromptedBySomebody(t *testing.T) {
	t.Parallel()
	alice := login("alice", "10.0.0.5", "3")
	prompted := func(r *Record) { r.Kernel = true }
	by := sentBy(50, "cat", "1000")
	reports := closedOf(t, usual(), at(0, "a", 7, alice, by, prompted), at(0, "a", 8, alice, by, prompted))
	require.Len(t, reports, 1)
	assert.Equal(t, "2 processes (mysqld) were sent SIGTERM on a", reports[0].Sentence())
	assert.NotContains(t, reports[0].Shared, SenderName)
	// What the same process sends itself is another incident.
	reports = closedOf(t, usual(), at(0, "a", 7, alice, by), at(0, "a", 8, alice, by), at(1, "a", 9, alice, by, prompted), at(1, "a", 10, alice, by, prompted))
	require.Len(t, reports, 2)
	assert.Equal(t, "cat of alice from 10.0.0.5 sent SIGTERM to 2 processes (mysqld) on a", reports[0].Sentence())
	// Who kills a control group does so himself, by the kernel.
	killed := func(r *Record) { r.Kernel, r.Cause = true, "cgroup_kill" }
	reports = closedOf(t, usual(), at(0, "a", 7, alice, by, killed), at(0, "a", 8, alice, by, killed))
	require.Len(t, reports, 1)
	assert.Equal(t, "alice from 10.0.0.5 sent SIGTERM to 2 processes (mysqld) on a", reports[0].Sentence())
}

// TestInferredWithoutRoom has members that there is no room for be inferred: it was not seen for all who has asked.
func TestInferredWithoutRoom(t *testing.T) {
	t.Parallel()
	config := usual()
	config.MaxMembers = 2
	asked := askedBy(88, "systemctl")
	reports := closedOf(t, config,
		at(0, "a", 7, restart("x.service"), asked), at(1, "a", 8, restart("x.service"), asked), at(2, "a", 9, restart("x.service"), asked, inferred))
	require.Len(t, reports, 1)
	assert.Equal(t, "probably the program systemctl restart mariadb restarted x.service on a in 2s; that is not all of it", reports[0].Sentence())
}

// TestRefusedForLong has the next consumer refuse all: what was never told stays, or is counted.
func TestRefusedForLong(t *testing.T) {
	t.Parallel()
	table := NewTable(usual())
	for pid := range int64(2) {
		table.Add(at(0, "a", pid+1, sentBy(5, "kill", "0")), noon)
	}
	for now := noon; now.Before(noon.Add(2 * Retention)); now = now.Add(time.Second) {
		table.Tick(now)
	}
	assert.Len(t, table.Reports(), 1)
	assert.Zero(t, table.Counts().Evicted)
}

func TestRefusedWithoutRoom(t *testing.T) {
	t.Parallel()
	config := usual()
	config.MaxOpen = 10
	table := NewTable(config)
	const incidents = 2000
	for i := range incidents {
		host := fmt.Sprint("h", i)
		for pid := range int64(2) {
			table.Add(at(float64(i), host, pid+1, sentBy(5, "kill", "0"), login("u"+host, "", host)), noon.Add(time.Duration(i)*time.Second))
		}
		table.Tick(noon.Add(time.Duration(i) * time.Second))
	}
	assert.LessOrEqual(t, len(table.due), 2*config.MaxOpen+1)
	assert.GreaterOrEqual(t, len(table.Reports())+int(table.Counts().Evicted), incidents, "each is told or counted")
}

// TestAddressesAfterRestart has somebody come over a host whose addresses are told again after a restart.
func TestAddressesAfterRestart(t *testing.T) {
	t.Parallel()
	for _, restarted := range []bool{false, true} {
		table := NewTable(persistent())
		add := func(seconds float64, host string, pid int64, with ...func(*Record)) {
			table.Add(at(seconds, host, pid, with...), noon)
		}
		onBastion := []func(*Record){addresses("10.0.0.1"), login("alice", "192.0.2.7", "3"), sentBy(5, "kill", "1000")}
		onDatabase := []func(*Record){login("alice", "10.0.0.1", "9"), sentBy(6, "pkill", "1000")}
		add(0, "bastion", 1, onBastion...)
		if restarted {
			kept := stored{}
			kept.save(t, table)
			table = NewTable(persistent())
			require.NoError(t, table.Restore(kept.get, noon))
		}
		add(1, "bastion", 2, onBastion...)
		add(2, "db-1", 3, onDatabase...)
		add(3, "db-1", 4, onDatabase...)
		assert.Len(t, table.Reports(), 1, "restarted: %t", restarted)
	}
}

// TestThreadEndedBySeccomp has seccomp end a thread, of which audit does not tell whether the process has ended, too.
func TestThreadEndedBySeccomp(t *testing.T) {
	t.Parallel()
	r := Report{
		TargetCount: 1, SignalCount: 1, Doubtful: 1, HostCount: 1, Hosts: []string{"a"}, Complete: true,
		Shared: map[Field]string{Cause: "seccomp", SignalName: "SIGSYS", TargetName: "exporter"},
	}
	assert.Equal(t, "1 process (exporter) was signaled by seccomp on a: 1 of unknown result", r.Sentence())
	r.Doubtful = 0
	assert.Equal(t, "1 process (exporter) was ended by seccomp on a", r.Sentence())
}
