// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"

	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// A simulated fleet that reports the kills of some minutes. The right answers are known: for each question
// there are events that belong to the answer, and events that nearly do.

const (
	// fleetSize is how many hosts there are, of which the first has no records.
	fleetSize = 42
	// silentHost has reported nothing for an hour, all others did until now.
	silentHost = 39
)

// templates are records of the receiver from its own tests: a golden file, and the place in it.
var templates = map[string]struct {
	file  string
	place int
}{
	"kill":      {"seed", 0},     // by the audit log
	"ebpf":      {"traced", 0},   // by eBPF
	"ignored":   {"traced", 1},   // ignored by the target
	"EPERM":     {"variants", 1}, // refused
	"ESRCH":     {"variants", 0}, // no such process
	"oom":       {"traced", 3},   // by the kernel
	"prompted":  {"traced", 4},   // by the kernel, because a process wrote to cgroup.kill
	"segfault":  {"traced", 6},   // by the kernel, because of a crash
	"abend":     {"variants", 8}, // the death from it
	"escalated": {"outcomes", 2}, // killed after SIGTERM
	"killed":    {"outcomes", 7}, // killed at once
	"exited":    {"outcomes", 8}, // exited on the signal
	"removed":   {"tamper", 0},   // an audit rule
	"in vain":   {"tamper", 1},   // an audit rule, but the kernel refused
	"disabled":  {"tamper", 4},   // auditing
}

// fleetEvent is an event on a host.
type fleetEvent struct {
	host     int
	ago      time.Duration
	template string
	// changes are the attributes that differ from the template; nil removes an attribute.
	changes map[string]any
}

// by returns changes of the sender. An empty login stands for a process without a login user.
func by(executable, login string, more ...map[string]any) map[string]any {
	changes := map[string]any{
		"process.executable.path": executable, "process.executable.name": filepath.Base(executable),
		"process.command": filepath.Base(executable), "user.id": nil, "user.name": nil,
	}
	if login != "" {
		changes["user.id"], changes["user.name"] = logins[login], login
	}
	for _, m := range more {
		maps.Copy(changes, m)
	}
	return changes
}

// to returns changes of the target.
func to(name string, pid int) map[string]any {
	return map[string]any{"kill.target.name": name, "kill.target.pid": pid}
}

// sigterm changes the signal: most templates have SIGKILL.
var sigterm = map[string]any{"kill.signal.name": "SIGTERM", "kill.signal.number": 15}

// storm changes for how many equal signals a record stands.
func storm(count int) map[string]any {
	return map[string]any{"kill.count": count, "kill.last_time": "2026-01-02T03:04:05.678Z"}
}

// with returns changes with more of them.
func with(changes map[string]any, more ...map[string]any) map[string]any {
	for _, m := range more {
		maps.Copy(changes, m)
	}
	return changes
}

// unseen returns changes of an outcome: it is the end of a process, and nobody was seen to signal it.
func unseen(more ...map[string]any) map[string]any {
	return with(by("", "", map[string]any{
		"process.pid": nil, "process.executable.path": nil, "process.executable.name": nil, "process.command": nil, "kill.signal.number": nil,
		"kill.signal.name": nil, "kill.origin": nil, "kill.cause": nil, "kill.duration": nil, "kill.escalated": nil, "kill.signal.count": nil,
		"kill.last_signal.number": nil, "kill.last_signal.name": nil, "kill.last_sender.pid": nil, "kill.last_sender.name": nil,
		"kill.last_sender.executable.path": nil, "kill.last_sender.user.id": nil, "kill.last_sender.user.name": nil,
	}), more...)
}

// elsewhere says that the sender's path is not one of the host.
var elsewhere = map[string]any{"kill.sender.mount_namespace": "other"}

var logins = map[string]string{
	"alice": "1001", "bob": "1002", "carol": "1003", "dave": "1004", "erin": "1005", "frank": "1006", "grace": "1007",
	"heidi": "1008", "mallory": "1009", "ivan": "1010", "judy": "1011", "kim": "1012", "nora": "1013", "oscar": "1014",
	"pat": "1015", "quinn": "1016", "ruth": "1017", "sam": "1018", "tess": "1019", "uma": "1020", "vera": "1021",
	"will": "1022", "xena": "1023", "gina": "1024", "yara": "1025", "zoe": "1026", "adam": "1027", "ben": "1028", "root": "0",
}

// fleetEvents returns all events. No program or user is in more than one scene.
func fleetEvents() []fleetEvent {
	const s, m = time.Second, time.Minute
	events := []fleetEvent{
		// Who killed mysqld in the last hour?
		{1, 20 * m, "kill", by("/opt/bin/mykill", "alice", to("mysqld", 3936))},
		{2, 19 * m, "oom", to("mysqld", 3936)},
		{3, 18 * m, "ebpf", by("/usr/bin/htop", "bob", to("mysqld", 4000), sigterm, storm(5))},
		{4, 17 * m, "EPERM", by("/usr/bin/htop", "bob", to("mysqld", 4000))},   // refused
		{5, 17 * m, "ignored", by("/usr/bin/htop", "bob", to("mysqld", 4001))}, // ignored
		{6, 17 * m, "ebpf", by("/opt/bin/other", "bob", to("mysqld_safe", 1))}, // another program
		{7, 17 * m, "abend", map[string]any{"kill.target.name": "mysqld"}},     // a crash

		// One executable on three hosts within five minutes, once with cgroup.kill ...
		{10, 9*m + 10*s, "ebpf", by("/opt/bin/spray", "", to("worker", 10))},
		{11, 8 * m, "prompted", by("/opt/bin/spray", "", to("worker", 10))},
		{12, 4*m + 20*s, "kill", by("/opt/bin/spray", "", to("worker", 10))},
		// ... on three hosts in more than five minutes, ...
		{10, 10 * m, "ebpf", by("/opt/bin/slow", "", to("worker", 11))},
		{11, 7 * m, "ebpf", by("/opt/bin/slow", "", to("worker", 11))},
		{12, 4*m - 10*s, "ebpf", by("/opt/bin/slow", "", to("worker", 11))},
		// ... on only two hosts, but several times, ...
		{10, 9 * m, "ebpf", by("/opt/bin/pair", "", to("worker", 12))},
		{11, 9 * m, "ebpf", by("/opt/bin/pair", "", to("worker", 12))},
		{11, 8 * m, "ebpf", by("/opt/bin/pair", "", to("worker", 13))},
		// ... on three hosts, but refused on one and ignored on another, ...
		{10, 9 * m, "ebpf", by("/opt/bin/vain", "", to("worker", 14))},
		{11, 9 * m, "EPERM", by("/opt/bin/vain", "", to("worker", 14))},
		{12, 9 * m, "ignored", by("/opt/bin/vain", "", to("worker", 14))},
		// ... on three hosts, but on one of them the signal was long before its outcome, ...
		{10, 10 * m, "ebpf", by("/opt/bin/late", "frank", to("worker", 16))},
		{11, 10 * m, "ebpf", by("/opt/bin/late", "frank", to("worker", 16))},
		{12, 17 * m, "ebpf", by("/opt/bin/late", "frank", to("worker", 16), sigterm)},
		{12, 10 * m, "escalated", by("/opt/bin/late", "frank", to("worker", 16), map[string]any{"kill.escalated": false})},
		// ... and service managers, on three and on five hosts.
		{10, 12 * m, "ebpf", by("/usr/bin/containerd-shim-runc-v2", "", to("worker", 17))},
		{11, 12 * m, "ebpf", by("/usr/bin/containerd-shim-runc-v2", "", to("worker", 17))},
		{12, 12 * m, "ebpf", by("/usr/bin/containerd-shim-runc-v2", "", to("worker", 17), sigterm)},
		{10, 12 * m, "kill", by(systemd, "", to("worker", 15))},
		{11, 12 * m, "kill", by(systemd, "", to("worker", 15))},
		{12, 12 * m, "kill", by(systemd, "", to("worker", 15))},
		{13, 12 * m, "kill", by(systemd, "", to("worker", 15))},
		{14, 12 * m, "kill", by(systemd, "", to("worker", 15))},
		// What only calls itself a service manager, in a mount namespace of its own, ...
		{10, 12 * m, "ebpf", by("/usr/bin/crun", "", to("worker", 18), elsewhere)},
		{11, 12 * m, "ebpf", by("/usr/bin/crun", "", to("worker", 18), elsewhere)},
		{12, 12 * m, "ebpf", by("/usr/bin/crun", "", to("worker", 18), elsewhere)},
		// ... and what is another program on the third host.
		{10, 12 * m, "ebpf", by("/opt/bin/half", "", to("worker", 19))},
		{11, 12 * m, "ebpf", by("/opt/bin/half", "", to("worker", 19))},
		{12, 12 * m, "ebpf", by("/opt/bin/half", "", to("worker", 19), elsewhere)},

		// One user on three hosts within five minutes, with different programs; other users do less.
		{13, 9*m + 10*s, "kill", by("/usr/bin/kill", "carol", to("worker", 20))},
		{14, 8 * m, "ebpf", by("/usr/bin/python3", "carol", to("worker", 20))},
		{15, 4*m + 15*s, "ebpf", by("/usr/bin/pkill", "carol", to("worker", 20))},
		{13, 10 * m, "kill", by("/usr/bin/kill", "heidi", to("worker", 23))},
		{14, 7 * m, "ebpf", by("/usr/bin/python3", "heidi", to("worker", 23))},
		{15, 4*m - 10*s, "ebpf", by("/usr/bin/pkill", "heidi", to("worker", 23))},
		{13, 10 * m, "kill", by("/usr/bin/kill", "dave", to("worker", 21))},
		{14, 9 * m, "ebpf", by("/usr/bin/python3", "dave", to("worker", 21))},
		{13, 10 * m, "kill", by("/usr/bin/kill", "erin", to("worker", 22))},
		{14, 9 * m, "ebpf", by("/usr/bin/python3", "erin", to("worker", 22))},
		{15, 9 * m, "ESRCH", by("/usr/bin/pkill", "erin", to("worker", 22))},

		// Out of memory, and another kill by the kernel.
		{2, 19 * m, "killed", by("", "", to("mysqld", 3936), map[string]any{"kill.cause": "oom"})}, // the outcome
		{16, 15 * m, "oom", to("java", 30)},
		{16, 14 * m, "oom", with(to("java", 31), storm(4))},
		{17, 14 * m, "oom", to("java", 30)},
		{17, 13 * m, "oom", to("postgres", 32)},
		{17, 13 * m, "segfault", to("java", 33)},

		// SIGTERM followed by SIGKILL, as reported by the outcome ...
		{18, 11 * m, "kill", by("/usr/bin/stop-18", "", to("nginx", 40), sigterm)},
		{18, 10 * m, "kill", by("/usr/bin/stop-18", "", to("nginx", 40))},
		{18, 10 * m, "escalated", by("/usr/bin/stop-18", "", to("nginx", 40))},
		{19, 10 * m, "killed", by("/usr/bin/stop-19", "", to("nginx", 40))},
		{19, 10 * m, "exited", by("/usr/bin/stop-19", "", to("nginx", 41))},
		// ... and as shown by the signals alone: to the same process, on the same host, and neither refused.
		{20, 11 * m, "kill", by("/usr/bin/stop-20", "", to("redis", 42), sigterm)},
		{20, 10*m + 45*s, "kill", by("/usr/bin/stop-20", "", to("redis", 42), sigterm)},
		{20, 10*m + 30*s, "kill", by("/usr/bin/stop-20", "", to("redis", 42))},
		{21, 11 * m, "kill", by("/usr/bin/stop-21", "", to("redis", 42), sigterm)},
		{21, 10 * m, "kill", by("/usr/bin/stop-21", "", to("redis", 43))},
		{22, 10 * m, "kill", by("/usr/bin/stop-22", "", to("redis", 43), sigterm)},
		{22, 11 * m, "kill", by("/usr/bin/stop-22", "", to("redis", 43))}, // the other way round
		{23, 11 * m, "EPERM", by("/usr/bin/stop-23", "dave", to("redis", 44), sigterm)},
		{23, 10 * m, "kill", by("/usr/bin/stop-23", "", to("redis", 44))},

		// Deaths that nobody was seen to cause, and an exit.
		{21, 9 * m, "killed", unseen(to("postgres", 45), map[string]any{"kill.exit.signal.name": "SIGKILL"})},
		{21, 8 * m, "killed", unseen(to("postgres", 46), map[string]any{"kill.exit.signal.name": "SIGKILL"})},
		{22, 9 * m, "killed", unseen(to("postgres", 45), map[string]any{"kill.outcome": "core_dumped", "kill.exit.signal.name": "SIGSEGV"})},
		{22, 8 * m, "exited", unseen(to("postgres", 46))},
		{38, 70 * m, "killed", unseen(to("postgres", 47))},

		// Failed attempts, by mallory and by a process without a login user.
		{24, 12 * m, "EPERM", by("/usr/bin/kill", "mallory", to("vault", 50))},
		{24, 11 * m, "EPERM", by("/usr/bin/kill", "mallory", to("vault", 50))},
		{25, 11 * m, "EPERM", by("/usr/bin/kill", "mallory", to("vault", 50), storm(70))},
		{26, 11 * m, "ESRCH", by("/usr/bin/probe", "")},

		// Crashes, tampering, and an incomplete event.
		{27, 9 * m, "abend", map[string]any{"kill.target.name": "python3"}},
		{27, 8 * m, "abend", map[string]any{"kill.target.name": "python3"}},
		{27, 7 * m, "abend", map[string]any{"kill.target.name": "python3", "kill.result": "unknown"}}, // one of its threads
		{28, 9 * m, "removed", nil},
		{28, 8 * m, "in vain", nil},
		{29, 9 * m, "disabled", nil},
		{30, 9 * m, "ebpf", by("/opt/noise/30", "", to("noise", 30), map[string]any{"kill.complete": false})},

		// All of it again more than an hour ago, mostly on a host that has been silent since.
		{39, 70 * m, "kill", by("/opt/bin/mykill", "alice", to("mysqld", 3936))},
		{39, 70 * m, "ebpf", by("/opt/bin/ago", "grace", to("worker", 60))},
		{38, 69 * m, "ebpf", by("/opt/bin/ago", "grace", to("worker", 60))},
		{37, 68 * m, "ebpf", by("/opt/bin/ago", "grace", to("worker", 60), map[string]any{"kill.complete": false})},
		{39, 70 * m, "oom", to("java", 61)},
		{39, 70 * m, "abend", map[string]any{"kill.target.name": "python3"}},
		{39, 72 * m, "kill", by("/usr/bin/stop-39", "", to("nginx", 62), sigterm)},
		{39, 71 * m, "kill", by("/usr/bin/stop-39", "", to("nginx", 62))},
		{39, 71 * m, "escalated", by("/usr/bin/stop-39", "", to("nginx", 62))},
		{39, 70 * m, "EPERM", by("/usr/bin/kill", "mallory", to("vault", 63))},
		{39, 70 * m, "removed", nil},
	}
	events = append(events, behindEvents()...)
	// Programs on many hosts are reloaded, with the signals that are common for that.
	for login, signal := range map[string]map[string]any{
		"ivan": {"kill.signal.name": "SIGHUP", "kill.signal.number": 1},
		"judy": {"kill.signal.name": "SIGUSR1", "kill.signal.number": 10},
		"kim":  {"kill.signal.name": "SIGUSR2", "kill.signal.number": 12},
	} {
		for host := 31; host <= 36; host++ {
			events = append(events, fleetEvent{host, 12 * m, "ebpf", by("/usr/sbin/reload-"+login, login, to("worker", 70), signal)})
		}
	}
	// Every host but one has noise of its own until now.
	for host := 1; host < fleetSize; host++ {
		if host == silentHost {
			continue
		}
		for i := range 5 {
			ago := time.Duration(i*4+1)*m + time.Duration(host)*s
			events = append(events, fleetEvent{
				host, ago, "kill",
				by(fmt.Sprintf("/opt/noise/%02d", host), "", to("noise", 1000+i), sigterm),
			})
		}
	}
	return events
}

// hostName returns the name of a host.
func hostName(host int) string { return fmt.Sprintf("host-%02d", host) }

// fleetNow returns the time at which the questions are asked. It is a whole minute, so that
// it is known in which windows of minutes an event is.
func fleetNow() time.Time { return time.Now().Truncate(time.Minute) }

// fleetLogs returns the records of each host in the order of their time, as the host's own
// collector would send them.
func fleetLogs(t *testing.T, events []fleetEvent, now time.Time) []plog.Logs {
	t.Helper()
	golden := make(map[string]plog.Logs)
	hosts := make([]plog.Logs, fleetSize)
	for ago := 72 * time.Minute; ago >= 0; ago -= time.Second { // the oldest first
		for i := range events {
			if e := &events[i]; e.ago == ago {
				appendEvent(t, golden, hosts, e, i, now)
			}
		}
	}
	var all []plog.Logs
	for _, logs := range hosts {
		if logs != (plog.Logs{}) {
			all = append(all, logs)
		}
	}
	return all
}

func appendEvent(t *testing.T, golden map[string]plog.Logs, hosts []plog.Logs, e *fleetEvent, number int, now time.Time) {
	t.Helper()
	template := templates[e.template]
	if _, read := golden[template.file]; !read {
		golden[template.file] = otlp.ReadGolden(t, template.file)
	}
	from := golden[template.file].ResourceLogs().At(0)
	if hosts[e.host] == (plog.Logs{}) {
		hosts[e.host] = otlp.NewHost(from, hostName(e.host))
	}
	r := hosts[e.host].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty()
	from.ScopeLogs().At(0).LogRecords().At(template.place).CopyTo(r)
	if e.template == "oom" { // such an event has a sender only in that golden file
		r.Attributes().RemoveIf(func(name string, _ pcommon.Value) bool {
			return strings.HasPrefix(name, "process.") || strings.HasPrefix(name, "user.")
		})
	}
	r.SetTimestamp(pcommon.NewTimestampFromTime(now.Add(-e.ago)))
	for _, name := range slices.Sorted(maps.Keys(e.changes)) {
		change(t, r, name, e.changes[name])
	}
	r.Attributes().PutStr("log.record.uid", fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, number)))[:32])
}

// change changes the value of an attribute, also in the sentence: Loki takes two records with the
// same sentence and time for duplicates.
func change(t *testing.T, r plog.LogRecord, name string, value any) {
	t.Helper()
	old, existed := r.Attributes().Get(name)
	if value == nil {
		r.Attributes().Remove(name)
		return
	}
	if existed && old.AsString() != "" {
		r.Body().SetStr(strings.ReplaceAll(r.Body().Str(), old.AsString(), fmt.Sprint(value)))
	}
	require.NoError(t, r.Attributes().PutEmpty(name).FromRaw(value))
}

// sendFleet sends the records of all hosts to a gateway, all at the same time as real hosts do.
func sendFleet(t *testing.T, connection *grpc.ClientConn, events []fleetEvent, now time.Time) (count int) {
	t.Helper()
	client := plogotlp.NewGRPCClient(connection)
	var hosts sync.WaitGroup
	for _, logs := range fleetLogs(t, events, now) {
		count += logs.LogRecordCount()
		hosts.Go(func() {
			_, err := client.Export(t.Context(), plogotlp.NewExportRequestFromLogs(logs))
			assert.NoError(t, err)
		})
	}
	hosts.Wait()
	return count
}

// The templates are the records that their names promise.
func TestFleetTemplates(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"kill": "sent SIGKILL to mysqld[3936]", "ebpf": "sent SIGKILL to mysqld[3936]", "ignored": ": ignored",
		"EPERM": ": EPERM", "ESRCH": ": ESRCH", "oom": "(out of memory)", "prompted": "[3936], prompted by",
		"segfault": "(crash", "abend": "died of SIGSEGV", "escalated": "; escalated to SIGKILL",
		"killed": "was killed by SIGTERM", "exited": "exited with code", "removed": "removed an audit rule",
		"in vain": "tried to remove an audit rule", "disabled": "turned auditing off",
	} {
		template := templates[name]
		records := otlp.RecordsOf(otlp.ReadGolden(t, template.file))
		require.Contains(t, records[template.place].Body, want, name)
	}
	require.Len(t, templates, 15)
}
