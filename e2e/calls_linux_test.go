// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"fmt"
	"os"
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

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// Signals that are sent in the scenes below.
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

// Whichever way the records come, what the senders did is what is delivered, no
// more and no less.
func TestDeliversWhatWasSent(t *testing.T) {
	tests := map[string]struct {
		daemon   bool
		receiver string
		source   string
		// rules are loaded by hand; they cover the default signals only.
		rules string
	}{
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
			receiver: `{file: {path: %q}}`, source: "audit_file", daemon: true, rules: "../deploy/audit_kill.rules",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			useAudit(t)
			sink := newSink(t, "grpc")
			receiver, listed := test.receiver, slices.Concat(defaultSignals, []syscall.Signal{realtime, lastRealtime})
			var daemon *auditd
			if test.daemon {
				daemon = newAuditd(t, "log_format = RAW\nnum_logs = 99")
				daemon.run()
			}
			if test.source == "audit_file" {
				receiver = fmt.Sprintf(receiver, daemon.log)
			}
			if test.rules != "" {
				loadRules(t, test.rules)
				listed = defaultSignals
			}
			c := startLive(t, receiver, sink)
			senders := playAll(t, listed, test.source == "ebpf")
			awaitSent(t, sink, senders)
			c.stop()
			assertSent(t, sink.records(), senders)
			for _, r := range delivered(sink.records(), senders) {
				require.Equal(t, true, r.Attributes["kill.complete"], r.Body)
				require.Equal(t, test.source, r.Attributes["kill.source"], r.Body)
			}
			if daemon != nil {
				assertSameEvents(t, daemon, delivered(sink.records(), senders))
			}
		})
	}
}

// The records are kept as auditd writes them.
func TestKeepsTheOriginalRecords(t *testing.T) {
	useAudit(t)
	daemon, sink := newAuditd(t, "log_format = RAW\nnum_logs = 99"), newSink(t, "grpc")
	daemon.run()
	c := startLive(t, `{netlink: {}, include_original: true, command_line: full, rules: {key: my-key}}`, sink)
	s := newSender(t, nativeSender(t))
	s.rename("two\nlines")
	victim := s.start(1, false)[0]
	for _, call := range signalCalls {
		s.send(orders.Order{Call: call, PID: victim, Thread: victim, Signal: int(unix.SIGTERM)}, victim)
	}
	awaitSent(t, sink, []*sender{s})
	c.stop()

	keeper := newKeeper(t, daemon.log)
	keeper.awaitQuiet()
	written := make(map[string]string)
	for line := range keeper.lines() {
		written[stampPattern.FindString(line)] += line
	}
	for _, r := range delivered(sink.records(), []*sender{s}) {
		original, _ := r.Attributes["log.record.original"].(string)
		assert.ElementsMatch(t, strings.Split(strings.TrimSpace(written[stampPattern.FindString(original)]), "\n"),
			strings.Split(original, "\n"))
		assert.Equal(t, []any{"my-key"}, r.Attributes["kill.audit.key"])
	}
}

// startLive starts the collector and waits until nothing more can be missed.
func startLive(t *testing.T, receiver string, sink *sink, options ...func(*exec.Cmd)) *collector {
	t.Helper()
	c := start(t, config{receiver: receiver, exporter: sink.exporter},
		append(options, func(command *exec.Cmd) {
			if command.SysProcAttr == nil {
				command.SysProcAttr = new(syscall.SysProcAttr)
			}
			command.SysProcAttr.Pdeathsig = syscall.SIGTERM // if the test is interrupted
		})...)
	c.ready()
	return c
}

// loadRules installs the rules of a file until the test ends.
func loadRules(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		if rule, ok := strings.CutPrefix(line, "-a "); ok {
			addRule(t, rule)
		}
	}
	auditctl(t, "-e", "1")
}

// delivered returns what the senders are said to have sent, in the order in
// which the kernel has seen it.
func delivered(records []record, senders []*sender) []record {
	pids := make(map[any]bool)
	for _, s := range senders {
		pids[int64(s.pid)] = true
	}
	own := slices.DeleteFunc(slices.Clone(records), func(r record) bool {
		return r.Event != "kill.signal" || !pids[r.Attributes["process.pid"]]
	})
	slices.SortStableFunc(own, func(a, b record) int {
		x, y := a.key(), b.key()
		return cmp.Or(x.serial-y.serial, a.Time.Compare(b.Time), x.pid-y.pid)
	})
	return own
}

// awaitSent waits until as much has arrived as was sent; assertSent tells what is
// missing.
func awaitSent(t *testing.T, sink *sink, senders []*sender) {
	t.Helper()
	want, got := 0, 0
	for _, s := range senders {
		want += len(s.want)
	}
	assert.Eventually(t, func() bool {
		got = len(delivered(sink.records(), senders))
		return got >= want
	}, patience/3, 100*time.Millisecond)
	t.Logf("%d log records wanted, %d arrived", want, got)
}

// assertSent compares what each sender did with what it is said to have done.
func assertSent(t *testing.T, records []record, senders []*sender) {
	t.Helper()
	for _, s := range senders {
		own := delivered(records, []*sender{s})
		if len(own) != len(s.want) {
			t.Errorf("%q[%d]: %d log records wanted, %d delivered", s.name, s.pid, len(s.want), len(own))
		}
		for i := range min(len(own), len(s.want)) {
			if !assert.Equal(t, s.want[i].asToldBy(own[i]), said(own[i]), "log record %d of %q[%d]: %+v", i, s.name, s.pid, own[i]) {
				break // the others follow from it
			}
		}
	}
}

var syscallPattern = regexp.MustCompile(`^type=SYSCALL msg=audit\((\d+)\.(\d+):(\d+)\): .* pid=(\d+) `)

// assertSameEvents checks that what was delivered is in auditd's log as well,
// under the same time and serial.
func assertSameEvents(t *testing.T, daemon *auditd, records []record) {
	t.Helper()
	keeper := newKeeper(t, daemon.log)
	keeper.awaitQuiet()
	logged := make(map[key]bool)
	for line := range keeper.lines() {
		if match := syscallPattern.FindStringSubmatch(line); match != nil {
			logged[key{milliseconds: stampOf(match), serial: number(match[3]), pid: number(match[4])}] = true
		}
	}
	for _, r := range records {
		sender, _ := r.Attributes["process.pid"].(int64)
		k := r.key()
		k.pid = int(sender)
		require.True(t, logged[k], "auditd has not written down %+v", r)
	}
}
