// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func usual() Config {
	return Config{
		Gap: 30 * time.Second, MaxDuration: 30 * time.Minute, Interval: 10 * time.Second, MinTargets: 2, MaxOpen: 1000, MaxMembers: 1000,
	}
}

// at makes a record of a signal on a host, so many seconds after noon.
func at(seconds float64, host string, pid int64, with ...func(*Record)) *Record {
	r := &Record{
		Kind: kill.KindSignal, Time: noon.Add(time.Duration(seconds * float64(time.Second))), HostID: host + "-id", HostName: host,
		Source: "ebpf", SignalNumber: 15, SignalName: "SIGTERM",
		Target: Target{PID: pid, Start: fmt.Sprint("start of ", pid), Name: "mysqld"},
	}
	for _, f := range with {
		f(r)
	}
	r.UID = fmt.Sprint(host, r.Kind, pid, seconds, r.Source, r.SignalNumber)
	return r
}

func restart(unit string) func(*Record) {
	return func(r *Record) {
		r.Cause, r.Evidence, r.Target.Unit, r.Target.Name = "service_restart", "observed", unit, "mariadbd"
		r.Sender = Sender{PID: 1, Name: "systemd", UserID: "0"}
	}
}

func stopTimeout(r *Record) {
	r.Cause, r.SignalNumber, r.SignalName = "stop_timeout", 9, "SIGKILL"
}

func askedBy(pid int64, name string) func(*Record) {
	return func(r *Record) {
		r.Requester = Requester{PID: pid, Name: name, Title: name + " restart mariadb", UserID: "0", UserName: "root"}
	}
}

func begunBy(pid int64, title, name string) func(*Record) {
	return func(r *Record) { r.Initiator = Initiator{PID: pid, Name: name, Title: title} }
}

func login(user, address, session string) func(*Record) {
	return func(r *Record) { r.UserName, r.Client, r.Session = user, address, session }
}

func sentBy(pid int64, name, user string) func(*Record) {
	return func(r *Record) {
		r.Sender = Sender{PID: pid, Name: name, Path: "/usr/bin/" + name, UserID: user, Start: fmt.Sprint("start of ", pid)}
	}
}

func outcome(verdict kill.Verdict, escalated bool) func(*Record) {
	return func(r *Record) { r.Kind, r.Outcome, r.Escalated = kill.KindOutcome, string(verdict), escalated }
}

func oom(cgroup string) func(*Record) {
	return func(r *Record) {
		r.Cause, r.OOMCgroup, r.SignalNumber, r.SignalName = "oom", cgroup, 9, "SIGKILL"
	}
}

func pod(namespace, name string) func(*Record) {
	return func(r *Record) {
		r.Cause, r.Evidence = "container_stop", "observed"
		r.Sender = Sender{PID: 900, Name: "runc", Path: "/usr/sbin/runc", UserID: "0"}
		r.Requester = Requester{PID: 700, Name: "kubelet", UserID: "0"}
		r.Target.PodNamespace, r.Target.PodName, r.Target.Container = namespace, name, "container of "+name
	}
}

// logout is what systemd ends in the unit of a user's manager.
func logout(cause, group string) func(*Record) {
	return func(r *Record) {
		r.Cause, r.Evidence, r.UserID, r.UserName = cause, "observed", "1000", "alice"
		r.Sender = Sender{PID: 1, Name: "systemd", UserID: "0"}
		r.Target.Unit, r.Target.Cgroup = "user@1000.service", "/user.slice/user-1000.slice/user@1000.service"+group
	}
}

func hangup(r *Record) { r.Cause, r.SignalNumber, r.SignalName = "terminal_hangup", 1, "SIGHUP" }

func ignored(r *Record) { r.Ignored = true }

func failed(r *Record) { r.Failed = true }

func doubtful(r *Record) { r.Doubtful = true }

func count(n int64) func(*Record) { return func(r *Record) { r.Count = n } }

func source(name string) func(*Record) { return func(r *Record) { r.Source = name } }

func startless(r *Record) { r.Target.Start = "" }

func addresses(all ...string) func(*Record) { return func(r *Record) { r.Addresses = all } }

func inferred(r *Record) { r.Evidence = "inferred" }

// closedOf adds records as they are, lets time pass until all is closed, and returns the last report of each incident,
// the oldest first.
func closedOf(t *testing.T, config Config, records ...*Record) []*Report {
	t.Helper()
	return (&telling{table: NewTable(config), now: noon, last: map[string]*Report{}}).add(records...).end()
}

// telling is a table and what it has told.
type telling struct {
	table *Table
	now   time.Time
	last  map[string]*Report
	all   []*Report
}

func (f *telling) add(records ...*Record) *telling {
	for _, r := range records {
		copied := *r
		f.table.Add(&copied, f.now)
		f.tell()
	}
	return f
}

func (f *telling) tell() {
	reports := f.table.Reports()
	for _, r := range reports {
		f.last[r.ID] = r
		f.all = append(f.all, r)
	}
	f.table.Told(reports, f.now)
}

func (f *telling) pass(d time.Duration) *telling {
	f.now = f.now.Add(d)
	f.table.Tick(f.now)
	f.tell()
	return f
}

func (f *telling) end() []*Report {
	f.pass(31 * time.Second)
	return slices.SortedFunc(maps.Values(f.last), func(a, b *Report) int {
		return a.Start.Compare(b.Start)*2 + len(a.ID) - len(b.ID)
	})
}

// rolling are restarts of a unit on hosts, one every few seconds, by one person over Ansible.
func rolling(hosts int, user, address string) (all []*Record) {
	for n := range hosts {
		host := fmt.Sprint("web-", n)
		all = append(all, at(float64(n)*4, host, 1000, restart("mariadb.service"), askedBy(500+int64(n), "systemctl"),
			begunBy(499, "apt-get upgrade", "apt-get"), login(user, address, strconv.Itoa(20+n))))
	}
	return all
}

func TestPath(t *testing.T) {
	t.Parallel()
	reports := closedOf(t, usual(),
		at(0, "a", 7, sentBy(50, "kill", "0"), login("deploy", "203.0.113.9", "1"), addresses("10.0.0.1")),
		at(20, "c", 7, sentBy(60, "kill", "0"), login("deploy", "10.0.0.2", "2"), addresses("10.0.0.3")),
		at(9, "b", 7, sentBy(51, "kill", "0"), login("deploy", "10.0.0.1", "1"), addresses("10.0.0.2")),
		at(22, "c", 9, sentBy(60, "kill", "0"), login("deploy", "10.0.0.2", "2"), addresses("10.0.0.3")),
	)
	require.Len(t, reports, 1)
	assert.Equal(t, []string{"a", "b", "c"}, reports[0].Path)
}

// TestPathInARing has hosts, or an agent that forges them, say that each was reached from the one before: a report takes no
// time in which nobody else is served.
func TestPathInARing(t *testing.T) {
	t.Parallel()
	table := NewTable(usual())
	long := strings.Repeat("x", longestName-10)
	for n := range 2 * maxListed {
		to, from := n%maxListed+1, (n+maxListed-1)%maxListed+1
		table.Add(at(float64(n)/10, fmt.Sprint(long, to), int64(n+1), login("alice", fmt.Sprint("10.1.1.", from), ""), sentBy(50, "kill", "1000"),
			addresses(fmt.Sprint("10.1.1.", to))), noon)
	}
	begun := time.Now()
	reports := table.Reports()
	assert.Less(t, time.Since(begun), 200*time.Millisecond)
	require.Len(t, reports, 1)
	assert.Len(t, reports[0].Path, maxListed)
}

func TestARepeatedRecordCountsOnce(t *testing.T) {
	t.Parallel()
	records := rolling(5, "alice", "10.0.0.5")
	reports := closedOf(t, usual(), append(records, records...)...)
	require.Len(t, reports, 1)
	assert.EqualValues(t, 5, reports[0].SignalCount)
}

func TestTwoSourcesTellOneKill(t *testing.T) {
	t.Parallel()
	f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
	f.add(
		at(0, "a", 7, sentBy(50, "pkill", "0")),
		at(0.04, "a", 7, sentBy(50, "pkill", "0"), source("audit_file"), startless),
		at(0.05, "a", 8, sentBy(50, "pkill", "0")),
		at(0.06, "a", 8, sentBy(50, "pkill", "0")),
	)
	reports := f.end()
	require.Len(t, reports, 1)
	assert.EqualValues(t, 3, reports[0].SignalCount, "one source that tells two signals has seen two")
	assert.Equal(t, 2, reports[0].TargetCount)
}

// TestTwoSourcesTellWhatIsRefused has one of them not say when the sender was created, in any order, after a restart too.
func TestTwoSourcesTellWhatIsRefused(t *testing.T) {
	t.Parallel()
	audit := func(r *Record) { r.Source, r.Sender.Start = "audit_multicast", "" }
	for name, refused := range map[string]func(*Record){"refused": failed, "perhaps refused": doubtful} {
		for _, restarted := range []bool{false, true} {
			permutations([]*Record{
				at(0, "a", 7, sentBy(50, "pkill", "1000"), refused), at(0.005, "a", 7, sentBy(50, "pkill", "1000"), refused, audit),
				at(1, "a", 8, sentBy(50, "pkill", "1000"), refused), at(1.005, "a", 8, sentBy(50, "pkill", "1000"), refused, audit),
			}, func(records []*Record) {
				f, kept := &telling{table: NewTable(persistent()), now: noon, last: map[string]*Report{}}, stored{}
				f.add(records[:2]...)
				if restarted {
					f.table = kept.restarted(t, f.table)
				}
				reports := alone(f.add(records[2:]...).end())
				require.Len(t, reports, 1, name)
				assert.EqualValues(t, 2, reports[0].SignalCount, name)
			})
		}
	}
	// Somebody else who tries the same is another one.
	for _, r := range closedOf(t, usual(),
		at(0, "a", 7, sentBy(50, "pkill", "1000"), failed), at(0, "a", 8, sentBy(50, "pkill", "1000"), failed),
		at(0.005, "a", 7, sentBy(60, "pkill", "1001"), failed, audit), at(0.005, "a", 8, sentBy(60, "pkill", "1001"), failed, audit)) {
		assert.EqualValues(t, 2, r.SignalCount)
	}
}

// TestCrashIsOneSignal has the kernel tell the signal of a fault, and that the process dies of it; of seccomp, audit has two records.
func TestCrashIsOneSignal(t *testing.T) {
	t.Parallel()
	crash := func(seconds float64, pid int64, kind kill.Kind) *Record {
		return at(seconds, "a", pid, func(r *Record) {
			r.Kind, r.Cause, r.SignalNumber, r.SignalName = kind, string(kill.CauseCrash), 11, "SIGSEGV"
		})
	}
	f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
	f.add(
		crash(0, 7, kill.KindSignal), crash(0.2, 7, kill.KindAbend), crash(0.4, 8, kill.KindAbend), crash(0.4, 8, kill.KindAbend),
		crash(0.6, 9, kill.KindAbend), crash(0.5, 9, kill.KindSignal),
	)
	reports := f.end()
	require.Len(t, reports, 1)
	assert.EqualValues(t, 3, reports[0].SignalCount)
	assert.Equal(t, 3, reports[0].TargetCount)
}

// TestCrashOnPurpose has somebody send the signal that the process dies of: it is no crash, whichever is told first.
func TestCrashOnPurpose(t *testing.T) {
	t.Parallel()
	segv := func(r *Record) { r.SignalNumber, r.SignalName = 11, "SIGSEGV" }
	abend := func(r *Record) { r.Kind, r.Cause = kill.KindAbend, string(kill.CauseCrash) }
	alice := login("alice", "10.0.0.5", "3")
	var records []*Record
	for _, pid := range []int64{7, 8} {
		records = append(records, at(0, "a", pid, segv, alice, sentBy(50, "kill", "0")), at(0.1, "a", pid, segv, abend))
	}
	for range 2 {
		reports := closedOf(t, usual(), records...)
		require.Len(t, reports, 1)
		assert.Equal(t, "kill of alice from 10.0.0.5 sent SIGSEGV to 2 processes (mysqld) on a", reports[0].Sentence())
		assert.NotContains(t, reports[0].Shared, Cause)
		assert.Equal(t, int64(2), reports[0].SignalCount)
		slices.Reverse(records)
	}
}

func TestEventTimeNotArrivalDecides(t *testing.T) {
	t.Parallel()
	// A queue that was full for an hour: all comes at once.
	var records []*Record
	for n := range 6 {
		records = append(records, at(float64(n/2)*600+float64(n%2), fmt.Sprint("h", n%2), int64(n+2), restart("x.service")))
	}
	assert.Len(t, closedOf(t, usual(), records...), 3)
	slices.Reverse(records)
	assert.Len(t, closedOf(t, usual(), records...), 3)
}

func TestMerge(t *testing.T) {
	t.Parallel()
	f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
	f.add(
		at(0, "a", 7, sentBy(50, "kill", "0")), at(0, "a", 8, sentBy(50, "kill", "0")),
		at(1, "b", 7, login("alice", "10.0.0.5", "1")), at(1, "b", 8, login("alice", "10.0.0.5", "1")),
		at(2, "a", 9, sentBy(50, "kill", "0"), login("alice", "10.0.0.5", "1")),
	)
	f.end()
	require.Len(t, f.last, 2)
	first, second := f.all[0], f.all[1]
	assert.Equal(t, first.ID, f.last[second.ID].MergedInto)
	assert.Equal(t, Closed, f.last[second.ID].State)
	assert.Equal(t, 5, f.last[first.ID].TargetCount)
	assert.Equal(t, 2, f.last[first.ID].HostCount)
	assert.Empty(t, f.last[first.ID].Shared[UserName], "not all members are known to be hers")
}

func TestStates(t *testing.T) {
	t.Parallel()
	f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
	records := rolling(6, "alice", "10.0.0.5")
	f.add(records[:2]...).pass(5 * time.Second).add(records[2]).pass(4 * time.Second).pass(2 * time.Second).pass(20 * time.Second)
	f.add(records[3]).pass(30 * time.Second)
	f.add(records[4]).pass(5 * time.Second).pass(6 * time.Second) // late
	var got []string
	for _, r := range f.all {
		got = append(got, fmt.Sprint(r.State, " ", r.TargetCount, " ", r.First))
		assert.Equal(t, f.all[0].ID, r.ID)
	}
	assert.Equal(t, []string{"open 2 true", "open 3 false", "closed 4 false", "closed 5 false"}, got)
}

func TestAReportComesAgainUntilItIsTaken(t *testing.T) {
	t.Parallel()
	table := NewTable(usual())
	for _, r := range rolling(2, "alice", "10.0.0.5") {
		table.Add(r, noon)
	}
	first := table.Reports()
	require.Len(t, first, 1)
	table.Tick(noon.Add(time.Second))
	again := table.Reports()
	require.Len(t, again, 1)
	assert.Equal(t, first[0].ID, again[0].ID)
	table.Told(again, noon)
	assert.Empty(t, table.Reports())
}

func TestTheWatermarkOfItsHostsClosesAnIncident(t *testing.T) {
	t.Parallel()
	f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
	f.add(rolling(2, "alice", "10.0.0.5")...)
	f.add(at(600, "web-0", 4)).pass(11 * time.Second)
	assert.Equal(t, Open, f.all[len(f.all)-1].State, "the other host may have more")
	f.add(at(600, "web-1", 4)).pass(11 * time.Second)
	assert.Equal(t, Closed, f.all[len(f.all)-1].State)
}

func TestAClockThatJumps(t *testing.T) {
	t.Parallel()
	f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
	f.add(rolling(2, "alice", "10.0.0.5")...).pass(-24 * time.Hour)
	assert.Equal(t, Open, f.all[0].State)
	f.pass(29 * time.Second)
	assert.Len(t, f.all, 1)
	f.pass(2 * time.Second)
	assert.Equal(t, Closed, f.all[len(f.all)-1].State)
}

func TestMaxMembers(t *testing.T) {
	t.Parallel()
	config := usual()
	config.MaxMembers = 10
	reports := closedOf(t, config, rolling(25, "alice", "10.0.0.5")...)
	require.Len(t, reports, 1)
	assert.False(t, reports[0].Complete)
	assert.Equal(t, 10, reports[0].TargetCount)
	assert.Contains(t, reports[0].Sentence(), "of alice from 10.0.0.5 restarted mariadb.service on 10 hosts")
	assert.Contains(t, reports[0].Sentence(), "; that is not all of it")
}

// Text that is no UTF-8 is the same after a restart.
func TestInvalidText(t *testing.T) {
	t.Parallel()
	table, kept := NewTable(persistent()), stored{}
	record := func(pid int64) *Record { return at(float64(pid), "a\xff", pid, login("al\xffice", "10.0.0.5", "1")) }
	table.Add(record(2), noon)
	kept.save(t, table)
	restored := NewTable(persistent())
	require.NoError(t, restored.Restore(kept.get, noon))
	restored.Add(record(3), noon)
	reports := restored.Reports()
	require.Len(t, reports, 1)
	assert.Equal(t, 2, reports[0].TargetCount)
	assert.Equal(t, 1, reports[0].HostCount)
}

// TestRefusedSignalsHideNothing has somebody try to kill a process more often than incidents are found by it.
func TestRefusedSignalsHideNothing(t *testing.T) {
	t.Parallel()
	table := NewTable(usual())
	for _, pid := range []int64{10, 11} {
		table.Add(at(0, "a", pid, restart("m.service"), askedBy(50, "systemctl")), noon)
	}
	for n := range int64(maxHolders) {
		for _, pid := range []int64{10, 11} {
			table.Add(at(1+float64(n)/100, "a", pid, sentBy(1000+2*n+pid%2, "x", "33"), failed), noon)
		}
	}
	open := table.Counts().Open
	table.Add(at(90, "a", 10, restart("m.service"), stopTimeout), noon)
	assert.Equal(t, open, table.Counts().Open, "the late SIGKILL follows the restart")
}

func TestSignalZeroIsNoKill(t *testing.T) {
	t.Parallel()
	r := at(0, "a", 7)
	r.SignalNumber, r.SignalName = 0, "0"
	assert.Equal(t, Ignored, NewTable(usual()).Add(r, noon))
}

func TestOwner(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"web-5d8f7c9b6-x2x4z": "web", "fluentd-x2x4z": "fluentd", "mysql-0": "mysql", "web": "web", "my-web": "my-web",
		"my-proxy": "my-proxy", "": "", "-": "-", "a-hello": "a-hello",
	} {
		assert.Equal(t, want, owner(name), name)
	}
}
