// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestWhatBelongsTogether(t *testing.T) {
	t.Parallel()
	many := func(n int, of func(n int) *Record) (all []*Record) {
		for i := range n {
			all = append(all, of(i))
		}
		return all
	}
	tests := map[string]struct {
		records []*Record
		want    []string
	}{
		"a rolling restart": {
			records: append(rolling(40, "alice", "10.0.0.5"), many(40, func(n int) *Record {
				verdict := kill.VerdictExited
				if n > 37 {
					verdict = kill.VerdictKilled
				}
				return at(float64(n)*4+1, fmt.Sprint("web-", n), 1000, restart("mariadb.service"), login("alice", "10.0.0.5", strconv.Itoa(20+n)),
					askedBy(500+int64(n), "systemctl"), begunBy(499, "apt-get upgrade", "apt-get"), outcome(verdict, n > 37))
			})...),
			want: []string{"apt-get upgrade of alice from 10.0.0.5 restarted mariadb.service on 40 hosts in 2m37s: 38 exited, 2 had to be killed"},
		},
		"two people restart the same unit": {
			records: append(rolling(3, "alice", "10.0.0.5"), at(1, "db-1", 7, restart("mariadb.service"), login("bob", "10.0.0.6", "4"), askedBy(9, "systemctl")),
				at(5, "db-2", 7, restart("mariadb.service"), login("bob", "10.0.0.6", "8"), askedBy(9, "systemctl"))),
			want: []string{
				"apt-get upgrade of alice from 10.0.0.5 restarted mariadb.service on 3 hosts in 8s",
				`systemctl restart mariadb of bob from 10.0.0.6 restarted mariadb.service on 2 hosts in 4s`,
			},
		},
		"nobody blurs what happens to a process by trying to kill it": {
			records: []*Record{
				at(0, "db1", 7, restart("mysql.service"), func(r *Record) { r.Cause = "" }, sentBy(20, "pkill", "1001"), login("bob", "10.0.0.6", "4"), failed),
				at(1, "db1", 8, sentBy(20, "pkill", "1001"), login("bob", "10.0.0.6", "4"), failed),
				at(2, "db1", 7, restart("mysql.service"), func(r *Record) { r.Cause = "watchdog" }),
				at(2, "db1", 9, restart("mysql.service"), func(r *Record) { r.Cause = "watchdog" }),
				at(3, "db1", 7, restart("mysql.service"), func(r *Record) { r.Cause = "watchdog" }, outcome(kill.VerdictCoreDumped, false)),
			},
			want: []string{
				"pkill of bob from 10.0.0.6 tried to signal 2 processes on db1 in 1s: 2 refused",
				"mysql.service was ended by a watchdog on db1 in 1s: 1 dumped core",
			},
		},
		"a logout is no incident": {
			records: []*Record{
				at(0, "web1", 7, logout("session_end", "/init.scope")), at(0, "web1", 8, logout("parent_death", "/init.scope")),
				at(1, "web1", 7, logout("session_end", "/init.scope"), outcome(kill.VerdictExited, false)),
			},
		},
		"nor is what ignores the end of its terminal": {
			records: []*Record{at(0, "web1", 7, hangup, ignored), at(0, "web1", 8, hangup, ignored)},
		},
		"the end of a terminal that ends processes is one": {
			records: []*Record{at(0, "web1", 7, hangup, login("alice", "", "3")), at(0, "web1", 8, hangup, login("alice", "", "3"))},
			want:    []string{"2 processes (mysqld) were signaled by the end of the terminal of alice on web1"},
		},
		"what a logout ends is one": {
			records: []*Record{
				at(0, "web1", 7, logout("session_end", "/app.slice/tmux.service")), at(0, "web1", 8, logout("session_end", "/app.slice/tmux.service")),
			},
			want: []string{"user@1000.service was ended with the session of alice on web1"},
		},
		"whose session has ended is not who has done it": {
			records: []*Record{
				at(0, "web1", 7, logout("session_end", "/app.slice/tmux.service")), at(0, "web1", 8, logout("parent_death", "/app.slice/tmux.service")),
			},
			want: []string{"user@1000.service was sent SIGTERM on web1"},
		},
		"one restart each by two people": {
			records: []*Record{
				at(0, "a", 7, restart("mariadb.service"), login("alice", "10.0.0.5", "4"), askedBy(9, "systemctl")),
				at(1, "b", 7, restart("mariadb.service"), login("bob", "10.0.0.6", "4"), askedBy(9, "systemctl")),
			},
		},
		"the same number of a user on two hosts is not the same person": {
			records: []*Record{
				at(0, "a", 7, sentBy(5, "pkill", "1000"), func(r *Record) { r.UserID = "1000" }),
				at(1, "b", 7, sentBy(5, "pkill", "1000"), func(r *Record) { r.UserID = "1000" }),
			},
		},
		"the same program of unknown users on two hosts": {
			records: []*Record{at(0, "a", 7, sentBy(5, "x", "1000")), at(1, "b", 7, sentBy(5, "x", "1000"))},
		},
		"a sweep for lack of memory": {
			records: many(2104%1000, func(n int) *Record { return at(float64(n)/100, "a", int64(n+2), oom("")) }),
			want:    []string{"104 processes (mysqld) were killed for lack of memory on a in 1s"},
		},
		"two control groups without memory": {
			records: []*Record{at(0, "a", 7, oom("/a")), at(1, "a", 8, oom("/b"))},
		},
		"a unit on hosts, by nobody known": {
			records: many(3, func(n int) *Record { return at(float64(n), fmt.Sprint("h", n), 7, restart("x.service"), inferred) }),
			want:    []string{"x.service was probably restarted on 3 hosts in 2s"},
		},
		"a drained node": {
			records: many(5, func(n int) *Record {
				return at(float64(n), "node", int64(n+2), pod("shop", fmt.Sprint("app", n, "-5d8f7c9b6-x2x4z")))
			}),
			want: []string{"the program kubelet stopped 5 processes (mysqld) on node in 4s"},
		},
		"a rollout and a drained node": {
			records: append(many(4, func(n int) *Record {
				return at(float64(n), fmt.Sprint("node", n), 7, pod("shop", "web-5d8f7c9b6-x2x4z"))
			}),
				many(4, func(n int) *Record {
					return at(float64(n), "node0", 20+int64(n), pod("other", fmt.Sprint("app", n, "-0")))
				})...),
			want: []string{"the program kubelet stopped 4 processes (mysqld) on node0 in 3s", "the program kubelet stopped 4 processes (mysqld) on 4 hosts in 3s"},
		},
		"SIGKILL after a minute and a half belongs to the stop": {
			records: []*Record{
				at(0, "a", 7, restart("x.service"), login("alice", "10.0.0.5", "1"), askedBy(3, "systemctl")),
				at(1, "b", 7, restart("x.service"), login("alice", "10.0.0.5", "1"), askedBy(3, "systemctl")),
				at(90, "a", 7, restart("x.service"), stopTimeout),
				at(90.1, "a", 7, restart("x.service"), login("alice", "10.0.0.5", "1"), askedBy(3, "systemctl"), outcome(kill.VerdictKilled, true)),
			},
			want: []string{`systemctl restart mariadb of alice from 10.0.0.5 restarted x.service on 2 hosts in 1m30s: 1 had to be killed`},
		},
		"what somebody else does to the same process is his": {
			records: []*Record{
				at(0, "a", 7, sentBy(50, "pkill", "1000"), login("alice", "10.0.0.5", "1")),
				at(1, "a", 8, sentBy(51, "pkill", "1000"), login("alice", "10.0.0.5", "1")),
				at(2, "a", 7, sentBy(60, "kill", "1001"), login("bob", "10.0.0.6", "2")),
				at(3, "a", 9, sentBy(61, "kill", "1001"), login("bob", "10.0.0.6", "2")),
			},
			want: []string{
				"pkill of alice from 10.0.0.5 sent SIGTERM to 2 processes (mysqld) on a in 1s",
				"kill of bob from 10.0.0.6 sent SIGTERM to 2 processes (mysqld) on a in 1s",
			},
		},
		"who hops": {
			records: []*Record{
				at(0, "a", 7, sentBy(50, "kill", "0"), login("deploy", "203.0.113.9", "1"), addresses("10.0.0.1", "172.17.0.1", "fe80::1")),
				at(9, "b", 7, sentBy(51, "kill", "0"), login("deploy", "10.0.0.1", "1"), addresses("10.0.0.2", "172.17.0.1")),
				at(20, "c", 7, sentBy(60, "kill", "0"), login("deploy", "10.0.0.2", "2"), addresses("10.0.0.3")),
			},
			want: []string{"probably kill of deploy sent SIGTERM to 3 processes (mysqld) on 3 hosts in 20s"},
		},
		"who comes from an address that was another host's": {
			records: []*Record{
				at(0, "a", 7, sentBy(50, "kill", "0"), login("deploy", "203.0.113.9", "1"), addresses("10.0.0.1")),
				at(3, "a", 8, sentBy(50, "kill", "0"), login("deploy", "203.0.113.9", "1"), addresses("10.0.0.9")),
				at(20, "c", 7, sentBy(60, "kill", "0"), login("deploy", "10.0.0.1", "2"), addresses("10.0.0.3")),
			},
			want: []string{"kill of deploy from 203.0.113.9 sent SIGTERM to 2 processes (mysqld) on a in 3s"},
		},
		"who comes from the address that a host has got": {
			records: []*Record{
				at(3, "a", 8, sentBy(50, "kill", "0"), login("deploy", "203.0.113.9", "1"), addresses("10.0.0.9")),
				at(0, "a", 7, sentBy(50, "kill", "0"), login("deploy", "203.0.113.9", "1"), addresses("10.0.0.1")),
				at(20, "c", 7, sentBy(60, "kill", "0"), login("deploy", "10.0.0.9", "2"), addresses("10.0.0.3")),
			},
			want: []string{"probably kill of deploy sent SIGTERM to 3 processes (mysqld) on 2 hosts in 20s"},
		},
		"attempts that are refused": {
			records: many(3, func(n int) *Record {
				return at(float64(n), "a", int64(n+2), sentBy(50, "kill", "1000"), failed, count(5))
			}),
			want: []string{"the program kill tried to signal 3 processes (mysqld) on a in 2s: 15 refused"},
		},
		"attempts of which nobody knows": {
			records: many(3, func(n int) *Record {
				return at(float64(n), "a", int64(n+2), sentBy(50, "kill", "1000"), doubtful, count(5))
			}),
			want: []string{"the program kill tried to signal 3 processes (mysqld) on a in 2s: 15 of unknown result"},
		},
		"a command line that forges": {
			records: many(2, func(n int) *Record {
				return at(float64(n), "a", int64(n+2), sentBy(50, "x", "1000"), begunBy(40, "apt-get of root", "x"))
			}),
			want: []string{`the program "apt-get of root" sent SIGTERM to 2 processes (mysqld) on a in 1s`},
		},
		"a name that attributes have to escape": {
			records: many(2, func(n int) *Record { return at(float64(n), "a", int64(n+2), sentBy(50, `x\n\\n`, "1000")) }),
			want:    []string{`the program "x\n\\n" sent SIGTERM to 2 processes (mysqld) on a in 1s`},
		},
		"a long name": {
			records: many(2, func(n int) *Record {
				return at(float64(n), "a", int64(n+2), sentBy(50, strings.Repeat("x", 65), "1000"))
			}),
			want: []string{"the program " + strings.Repeat("x", 64) + "… sent SIGTERM to 2 processes (mysqld) on a in 1s"},
		},
		"a container's unit of a known name": {
			records: many(2, func(n int) *Record {
				return at(float64(n), fmt.Sprint("h", n), 7, restart("nginx.service"), func(r *Record) { r.Target.Container = strconv.Itoa(n) })
			}),
		},
		"units of users' managers": {
			records: many(2, func(n int) *Record {
				return at(float64(n), fmt.Sprint("h", n), 7, restart("nginx.service"), func(r *Record) { r.Sender.UserID = "1000" })
			}),
		},
		"a program that is called as a user": {
			records: many(2, func(n int) *Record { return at(float64(n), "a", int64(n+2), sentBy(50, "alice", "1000")) }),
			want:    []string{"the program alice sent SIGTERM to 2 processes (mysqld) on a in 1s"},
		},
		"an account from two addresses": {
			records: []*Record{
				at(0, "a", 7, restart("x.service"), askedBy(5, "systemctl"), login("deploy", "10.0.0.5", "1")),
				at(1, "b", 7, restart("x.service"), askedBy(5, "systemctl"), login("deploy", "10.0.0.6", "1")),
				at(2, "c", 7, restart("x.service"), askedBy(5, "systemctl"), login("deploy", "10.0.0.5", "1")),
			},
			want: []string{"systemctl restart mariadb of deploy from 10.0.0.5 restarted x.service on 2 hosts in 2s"},
		},
		"one host knows the user, but not the address": {
			records: []*Record{
				at(0, "a", 7, restart("x.service"), askedBy(5, "systemctl"), login("deploy", "10.0.0.5", "1")),
				at(1, "b", 7, restart("x.service"), askedBy(5, "systemctl"), login("deploy", "", "")),
			},
			want: []string{"systemctl restart mariadb of deploy restarted x.service on 2 hosts in 1s"},
		},
		"the same program of two people on two hosts": {
			records: []*Record{
				at(0, "a", 7, sentBy(5, "pkill", "0"), login("alice", "", "1")), at(1, "b", 7, sentBy(5, "pkill", "0"), login("bob", "", "1")),
			},
		},
		"the same program of one person on two hosts": {
			records: []*Record{
				at(0, "a", 7, sentBy(5, "pkill", "0"), login("alice", "", "1")), at(1, "b", 7, sentBy(5, "pkill", "0"), login("alice", "", "1")),
			},
			want: []string{"pkill of alice sent SIGTERM to 2 processes (mysqld) on 2 hosts in 1s"},
		},
		"the same program that two people have begun": {
			records: []*Record{
				at(0, "a", 7, sentBy(5, "reaper", "0"), askedBy(8, "one")), at(1, "b", 7, sentBy(5, "reaper", "0"), askedBy(8, "two")),
			},
		},
		"a user's program that is called kubelet": {
			records: many(2, func(n int) *Record {
				return at(float64(n), fmt.Sprint("h", n), 7, restart("x.service"), func(r *Record) {
					r.Requester = Requester{PID: 40, Name: "kubelet", UserID: strconv.Itoa(1000 + n)}
				})
			}),
		},
		"too far apart": {records: []*Record{at(0, "a", 7, restart("x.service")), at(31, "b", 7, restart("x.service"))}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, r := range closedOf(t, usual(), test.records...) {
				assert.Equal(t, Closed, r.State)
				got = append(got, r.Sentence())
			}
			assert.ElementsMatch(t, test.want, got)
		})
	}
}

// TestTheMostTelling has a record have something in common with two incidents: with the smaller one what is more telling.
func TestTheMostTelling(t *testing.T) {
	t.Parallel()
	unit := func(seconds float64, host, unit string) *Record {
		return at(seconds, host, int64(100+10*seconds), oom(""), func(r *Record) { r.Target.Unit = unit })
	}
	records := []*Record{unit(0, "h1", "x.service"), unit(0.1, "h2", "x.service")}
	for n := range 5 {
		records = append(records, unit(1+float64(n)/10, "h3", fmt.Sprint(n, ".service")))
	}
	var got []string
	for _, r := range closedOf(t, usual(), append(records, unit(2, "h3", "x.service"))...) {
		got = append(got, r.Sentence())
	}
	assert.ElementsMatch(t, []string{
		"x.service was killed for lack of memory on 3 hosts in 2s", "5 processes (mysqld) were killed for lack of memory on h3",
	}, got)
}
