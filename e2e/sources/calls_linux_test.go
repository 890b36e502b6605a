// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"cmp"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// Signals that the players send.
const (
	realtime     = 37 // SIGRTMIN+3
	lastRealtime = 64
	notListed    = 40

	// moreSignals are the default ones and two more.
	moreSignals = `, signals: [HUP, INT, QUIT, ILL, TRAP, ABRT, BUS, FPE, KILL, SEGV, TERM, STOP, XCPU, XFSZ, SYS, SIGRTMIN+3, 64]}`
)

var (
	signalCalls = []string{
		"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
	}
	defaultSignals = []syscall.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE,
		unix.SIGKILL, unix.SIGSEGV, unix.SIGTERM, unix.SIGSTOP, unix.SIGXCPU, unix.SIGXFSZ, unix.SIGSYS,
	}
)

// way is how records come to the collector.
type way struct {
	daemon   bool
	receiver string
	source   string
	// rules is a file of rules that the test loads; they cover only the default signals.
	rules string
}

var ways = map[string]way{
	"unicast": {
		receiver: `{netlink: {mode: unicast}` + moreSignals, source: "audit_unicast",
	},
	"multicast": {
		receiver: `{netlink: {mode: multicast}` + moreSignals, source: "audit_multicast", daemon: true,
	},
	"auto without auditd": {
		receiver: `{netlink: {}` + moreSignals, source: "audit_unicast",
	},
	"auto beside auditd": {
		receiver: `{netlink: {mode: auto}` + moreSignals, source: "audit_multicast", daemon: true,
	},
	"ebpf": {
		receiver: `{ebpf: {}` + moreSignals, source: "ebpf",
	},
	"auditd's log": {
		receiver: `{file: {path: %q}, rules: {manage: true}` + moreSignals, source: "audit_file", daemon: true,
	},
	"auditd's log, rules by hand": {
		receiver: `{file: {path: %q}}`, source: "audit_file", daemon: true, rules: harness.Path("deploy/audit_kill.rules"),
	},
}

// From every source, the collector delivers exactly what the senders did, no more and
// no less.
func TestDeliversWhatWasSent(t *testing.T) {
	for name, w := range ways {
		t.Run(name, func(t *testing.T) { w.deliver(t, (*players).all) })
	}
}

// TestDeliversEachCall is the same with few calls, for machines that are slow.
func TestDeliversEachCall(t *testing.T) {
	for _, name := range []string{"unicast", "multicast", "ebpf", "auditd's log"} {
		t.Run(name, func(t *testing.T) {
			ways[name].deliver(t, func(p *players, _ []syscall.Signal) []*process.Sender { return p.eachProgram() })
		})
	}
}

// deliver has senders play before a collector, and checks what it reports.
func (w way) deliver(t *testing.T, play func(p *players, listed []syscall.Signal) []*process.Sender) {
	t.Helper()
	audit.Use(t)
	sink := otlp.NewSink(t, "grpc")
	receiver, listed := w.receiver, slices.Concat(defaultSignals, []syscall.Signal{realtime, lastRealtime})
	var daemon *audit.Daemon
	if w.daemon {
		daemon = audit.NewDaemon(t, "log_format = RAW\nnum_logs = 99")
		daemon.Run()
	}
	if w.source == "audit_file" {
		receiver = fmt.Sprintf(receiver, daemon.Log)
	}
	if w.rules != "" {
		audit.LoadRules(t, w.rules)
		listed = defaultSignals
	}
	c := startLive(t, receiver, sink)
	p := newPlayers(t)
	p.traced = w.source == "ebpf"
	senders := play(p, listed)
	awaitSent(t, sink, senders)
	c.Stop()
	assertSent(t, sink.Records(), senders)
	for _, r := range delivered(sink.Records(), senders) {
		require.Equal(t, true, r.Attributes["kill.complete"], r.Body)
		require.Equal(t, w.source, r.Attributes["kill.source"], r.Body)
	}
	if daemon != nil {
		assertSameEvents(t, daemon, delivered(sink.Records(), senders))
	}
}

// log.record.original has the records as auditd writes them.
func TestKeepsTheOriginalRecords(t *testing.T) {
	audit.Use(t)
	daemon, sink := audit.NewDaemon(t, "log_format = RAW\nnum_logs = 99"), otlp.NewSink(t, "grpc")
	daemon.Run()
	c := startLive(t, `{netlink: {}, include_original: true, command_line: full, rules: {key: my-key}}`, sink)
	s := process.NewSender(t, process.NativeSender(t))
	s.Rename("two\nlines")
	victim := s.Start(1, false)[0]
	for _, call := range signalCalls {
		s.Send(orders.Order{Call: call, PID: victim, Thread: victim, Signal: int(unix.SIGTERM)}, victim)
	}
	awaitSent(t, sink, []*process.Sender{s})
	c.Stop()

	keeper := newKeeper(t, daemon.Log)
	keeper.awaitQuiet()
	written := make(map[string]string)
	for line := range keeper.lines() {
		written[auditlog.StampPattern.FindString(line)] += line
	}
	for _, r := range delivered(sink.Records(), []*process.Sender{s}) {
		original := r.Text("log.record.original")
		assert.ElementsMatch(t, strings.Split(strings.TrimSpace(written[auditlog.StampPattern.FindString(original)]), "\n"),
			strings.Split(original, "\n"))
		assert.Equal(t, []any{"my-key"}, r.Attributes["kill.audit.key"])
	}
}

// startLive starts the collector, and waits until it misses nothing from then on.
func startLive(t *testing.T, receiver string, sink *otlp.Sink, options ...func(*exec.Cmd)) *collector.Collector {
	t.Helper()
	c := collector.Start(t, collector.Config{Receiver: receiver, Exporter: sink.Exporter}, append(options, harness.EndWithTest)...)
	c.Ready()
	return c
}

// delivered returns the log records about signals of these senders, in the order in
// which the kernel handled them.
func delivered(records []otlp.Record, senders []*process.Sender) []otlp.Record {
	pids := make(map[any]bool)
	for _, s := range senders {
		pids[int64(s.PID)] = true
	}
	own := slices.DeleteFunc(slices.Clone(records), func(r otlp.Record) bool {
		return r.Event != "kill.signal" || !pids[r.Attributes["process.pid"]]
	})
	slices.SortStableFunc(own, func(a, b otlp.Record) int {
		x, y := a.Key(), b.Key()
		return cmp.Or(x.Serial-y.Serial, a.Time.Compare(b.Time), x.PID-y.PID)
	})
	return own
}

// awaitSent waits until as many log records have arrived as the senders' calls must lead to;
// assertSent reports which are missing.
func awaitSent(t *testing.T, sink *otlp.Sink, senders []*process.Sender) {
	t.Helper()
	want, got := 0, 0
	for _, s := range senders {
		want += len(s.Want)
	}
	assert.Eventually(t, func() bool {
		got = len(delivered(sink.Records(), senders))
		return got >= want
	}, harness.Patience/3, 100*time.Millisecond)
	t.Logf("%d log records wanted, %d arrived", want, got)
}

// assertSent compares what each sender did with what was reported.
func assertSent(t *testing.T, records []otlp.Record, senders []*process.Sender) {
	t.Helper()
	for _, s := range senders {
		own := delivered(records, []*process.Sender{s})
		if len(own) != len(s.Want) {
			t.Errorf("%q[%d]: %d log records wanted, %d delivered", s.Name, s.PID, len(s.Want), len(own))
		}
		for i := range min(len(own), len(s.Want)) {
			if !assert.Equal(t, s.Want[i].KnownTo(own[i]), process.ReportOf(own[i]), "log record %d of %q[%d]: %+v", i, s.Name, s.PID, own[i]) {
				break // one missing log record makes all later ones differ
			}
		}
	}
}

var syscallPattern = regexp.MustCompile(`^type=SYSCALL msg=audit\((\d+)\.(\d+):(\d+)\): .* pid=(\d+) `)

// assertSameEvents checks that every delivered event is in auditd's log with the same time
// and serial.
func assertSameEvents(t *testing.T, daemon *audit.Daemon, records []otlp.Record) {
	t.Helper()
	keeper := newKeeper(t, daemon.Log)
	keeper.awaitQuiet()
	logged := make(map[otlp.Key]bool)
	for line := range keeper.lines() {
		if match := syscallPattern.FindStringSubmatch(line); match != nil {
			logged[otlp.Key{Milliseconds: stampOf(match), Serial: harness.Number(match[3]), PID: harness.Number(match[4])}] = true
		}
	}
	for _, r := range records {
		k := r.Key()
		k.PID = int(r.Number("process.pid"))
		require.True(t, logged[k], "auditd's log lacks %+v", r)
	}
}
