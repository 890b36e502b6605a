// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestNobodyDrivesOutWhatOthersDo(t *testing.T) {
	t.Parallel()
	config := usual()
	config.MaxOpen = 100
	f := &telling{table: NewTable(config), now: noon, last: map[string]*Report{}}
	f.add(rolling(2, "alice", "10.0.0.5")...)
	f.add(at(0, "h", 2, oom("/x")), at(1, "h", 3, oom("/x")))
	for n := range int64(10_000) {
		f.add(at(1, "h", 100+n, sentBy(100_000+n, "kill", "1000")))
	}
	assert.LessOrEqual(t, len(f.table.all), config.MaxOpen)
	assert.Positive(t, f.table.Counts().Evicted)
	f.end()
	require.Len(t, f.last, 2)
	for _, r := range f.last {
		assert.True(t, r.Complete, r.Sentence())
	}
}

// TestNobodyDrivesOutByRecords has somebody signal few processes very often, or have very many hosts: what others have done in
// that time stays, open or closed.
func TestNobodyDrivesOutByRecords(t *testing.T) {
	t.Parallel()
	for name, flood := range map[string]func(n, k int) *Record{
		"one process": func(n, k int) *Record {
			return at(1+float64(k)/1000, "x", int64(n+1), login(fmt.Sprint("user", n), "10.6.6.6", ""), sentBy(int64(k+10), "kill", "1000"))
		},
		"no process": func(n, k int) *Record {
			return at(1+float64(k)/1000+float64(n)/1e6, fmt.Sprint("x", k), 0, login(fmt.Sprint("user", n), "10.6.6.6", ""), sentBy(int64(k+10), "kill", "1000"))
		},
	} {
		for state, seconds := range map[string]float64{"open": 0, "closed": -100} {
			t.Run(name+" "+state, func(t *testing.T) {
				t.Parallel()
				config := usual()
				config.MaxMembers = 100
				table := NewTable(config)
				for pid := range int64(90) {
					table.Add(at(seconds, "victim", pid+1, sentBy(50, "kill", "0")), noon)
				}
				mine := table.byUID[table.hasher.sum("victim-id", at(seconds, "victim", 1).UID)]
				if state == "closed" {
					table.Tick(noon.Add(time.Minute))
					require.True(t, mine.closed)
				}
				for n := range 40 {
					for k := range recordsPerMember * config.MaxMembers {
						table.Add(flood(n, k), noon.Add(time.Minute))
					}
				}
				assert.True(t, table.present(mine))
				assert.LessOrEqual(t, table.size, membersPerTable*config.MaxMembers)
			})
		}
	}
}

// driveOut has somebody flood a small table on the host of an incident of others, which has to stay.
func driveOut(t *testing.T, flood func(n int) *Record, others ...*Record) {
	t.Helper()
	config := usual()
	config.MaxOpen = 20
	table := NewTable(config)
	for _, r := range others {
		table.Add(r, noon)
	}
	reports := table.Reports()
	require.Len(t, reports, 1)
	table.Told(reports, noon)
	for n := range 200 {
		table.Add(flood(n), noon.Add(2*time.Second))
	}
	assert.Positive(t, table.Counts().Evicted)
	for _, r := range table.Reports() {
		assert.NotEqual(t, reports[0].ID, r.ID, "given up: %s", r.Sentence())
	}
}

// TestNobodyPaysWithTheLoginOfOthers has somebody who has no login set it to that of alice, or to another one in each child, or have
// many numbers of his own.
func TestNobodyPaysWithTheLoginOfOthers(t *testing.T) {
	t.Parallel()
	by := func(user, login string) func(*Record) {
		return func(r *Record) {
			sentBy(r.Target.PID+1000, "x", user)(r)
			r.Sender.AuditUser, r.UserID, r.Session = login, login, number(r.Target.PID)
		}
	}
	asked := func(user, login string) func(*Record) {
		return func(r *Record) {
			r.Sender = Sender{PID: 1, Name: "systemd", UserID: "0"}
			r.Requester, r.UserID, r.Session = Requester{PID: r.Target.PID, Name: "x", UserID: user}, login, number(r.Target.PID)
		}
	}
	for name, flood := range map[string]func(n int) func(*Record){
		"the login of alice":                 func(int) func(*Record) { return by("33", "1000") },
		"very many logins":                   func(n int) func(*Record) { return by("33", strconv.Itoa(2000+n)) },
		"very many numbers":                  func(n int) func(*Record) { return by(strconv.Itoa(100_000+n), "1001") },
		"very many numbers, without a login": func(n int) func(*Record) { return by(strconv.Itoa(100_000+n), "") },
		"very many numbers, as logins":       func(n int) func(*Record) { return by(strconv.Itoa(100_000+n), strconv.Itoa(100_000+n)) },
		"very many logins, of a directory": func(n int) func(*Record) {
			return func(r *Record) {
				sentBy(r.Target.PID+1000, "x", "200001")(r)
				r.Sender.AuditUser = strconv.Itoa(300_000 + n)
			}
		},
		"asking, as alice":              func(int) func(*Record) { return asked("33", "1000") },
		"asking, with very many logins": func(n int) func(*Record) { return asked("33", strconv.Itoa(2000+n)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alice := func(r *Record) {
				sentBy(50, "pkill", "0")(r)
				r.Sender.AuditUser, r.UserID, r.UserName = "1000", "1000", "alice"
			}
			driveOut(t, func(n int) *Record { return at(2, "node", int64(1000+n), flood(n)) }, at(0, "node", 7, alice), at(1, "node", 8, alice))
		})
	}
}

// TestNobodyDrivesOutByCrashes has somebody let programs of very many names crash, or be killed by the kernel.
func TestNobodyDrivesOutByCrashes(t *testing.T) {
	t.Parallel()
	crash := func(user string) func(*Record) {
		return func(r *Record) {
			r.Kind, r.Cause, r.SignalNumber, r.SignalName, r.Target.UserID = kill.KindAbend, "crash", 11, "SIGSEGV", user
		}
	}
	lack := func(user string) func(*Record) {
		return func(r *Record) {
			oom("/x")(r)
			r.Kernel, r.Target.UserID = true, user
		}
	}
	mysqld := func(r *Record) { r.Target.Unit = "mysql.service" }
	for name, tt := range map[string]struct{ his, theirs func(*Record) }{
		"crashes": {crash("1000"), crash("102")}, "crashes, and a lack of memory": {crash("1000"), lack("102")},
		"in namespaces":    {func(r *Record) { crash(number(r.Target.PID + 100_000))(r); r.Target.AuditUser = "1000" }, crash("102")},
		"of a directory":   {func(r *Record) { crash("200001")(r); r.Target.AuditUser = number(r.Target.PID + 1000) }, crash("102")},
		"of its own group": {func(r *Record) { lack("1000")(r); r.OOMCgroup = number(r.Target.PID) }, lack("0")},
		"without a user":   {crash("1000"), crash("")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driveOut(t, func(n int) *Record {
				return at(2, "node", int64(1000+n), tt.his, func(r *Record) { r.Target.Name = fmt.Sprint("x", n) })
			}, at(0, "node", 7, mysqld, tt.theirs), at(1, "node", 8, mysqld, tt.theirs))
		})
	}
}
