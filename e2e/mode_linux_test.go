// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// Which of the ways to listen is taken, and what happens when auditd comes and
// goes.

// keepSending lets a sender send until the returned function is called.
func keepSending(s *sender) (stop func()) {
	const rate = 500
	victim := s.start(1, false)[0]
	var stopped atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stopped.Load() {
			s.send(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGTERM), Times: rate / 10, Rate: rate}, victim)
		}
	}()
	return func() {
		stopped.Store(true)
		<-done
	}
}

// from returns a condition: so many log records have come from a source lately.
func from(sink *sink, source string) func() bool {
	begin := sink.count()
	return func() bool {
		count := 0
		for _, r := range sink.records()[begin:] {
			if r.Attributes["kill.source"] == source {
				count++
			}
		}
		return count >= 100
	}
}

// In mode auto nothing is lost and nothing comes twice, whoever is the audit
// daemon.
func TestFollowsAuditdThatComesAndGoes(t *testing.T) {
	for name, end := range map[string]func(*auditd){"stopped": (*auditd).stop, "killed": (*auditd).kill} {
		t.Run(name, func(t *testing.T) {
			useAudit(t)
			sink := newSink(t, "grpc")
			daemon := newAuditd(t, "log_format = RAW\nnum_logs = 99")
			daemon.run()
			c := startLive(t, `{netlink: {}}`, sink)
			s := newSender(t, nativeSender(t))
			stop := keepSending(s)
			eventually(t, from(sink, "audit_multicast"), "it listens beside auditd")

			end(daemon)
			daemon.run()
			eventually(t, from(sink, "audit_multicast"), "it leaves auditd the time to come back")

			end(daemon)
			eventually(t, from(sink, "audit_unicast"), "it takes auditd's place")
			assert.Equal(t, "0", auditStatus(t)["backlog_wait_time"])

			// The kernel refuses auditd as long as its place is taken; then it is free.
			attempts := 1
			for ; !daemon.attempt(); attempts++ {
				require.Less(t, attempts, 10, "attempts to start auditd again")
			}
			t.Logf("auditd has registered at attempt %d", attempts)
			eventually(t, from(sink, "audit_multicast"), "it listens beside auditd again")
			assert.NotEqual(t, "0", auditStatus(t)["backlog_wait_time"])
			stop()

			awaitSent(t, sink, []*sender{s})
			c.running()
			c.stop()
			assertSent(t, sink.records(), []*sender{s})
			assert.Equal(t, daemon.pid(), auditStatus(t)["pid"], "auditd keeps its place")
		})
	}
}

// Where somebody is the audit daemon already, mode unicast says who, and what
// else to do.
func TestUnicastEvictsNobody(t *testing.T) {
	holders := map[string]func(t *testing.T) (name string, pid int){
		"auditd": func(t *testing.T) (string, int) {
			t.Helper()
			daemon := newAuditd(t, "log_format = RAW")
			daemon.run()
			return "auditd", daemon.command.Process.Pid
		},
		"another collector": func(t *testing.T) (string, int) {
			t.Helper()
			c := startLive(t, `{netlink: {mode: unicast}}`, newSink(t, "grpc"))
			t.Cleanup(c.stop)
			return "otelcol-auditki", c.command.Process.Pid
		},
	}
	for name, hold := range holders {
		t.Run(name, func(t *testing.T) {
			useAudit(t)
			name, pid := hold(t)
			before, rules := auditStatus(t), auditctl(t, "-l")
			c := start(t, config{receiver: `{netlink: {mode: unicast}}`})
			assert.Equal(t, 1, c.wait(), "exit code")
			c.says(fmt.Sprintf("%s[%d]", name, pid))
			c.says("multicast")
			assert.Equal(t, before, auditStatus(t), "nothing has changed")
			assert.Equal(t, rules, auditctl(t, "-l"), "nothing has changed")
		})
	}
}

// Two collectors share the kernel: the first is the audit daemon, and the
// second listens beside it.
func TestTwoCollectors(t *testing.T) {
	useAudit(t)
	var sinks []*sink
	var collectors []*collector
	for range 2 {
		sinks = append(sinks, newSink(t, "grpc"))
		collectors = append(collectors, startLive(t, `{netlink: {}}`, sinks[len(sinks)-1]))
	}
	s := newSender(t, nativeSender(t))
	victim := s.start(1, false)[0]
	order := orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGTERM), Times: 100, Rate: 1000}
	s.send(order, victim)
	for i, source := range []string{"audit_unicast", "audit_multicast"} {
		awaitSent(t, sinks[i], []*sender{s})
		assertSent(t, sinks[i].records(), []*sender{s})
		for _, r := range delivered(sinks[i].records(), []*sender{s}) {
			require.Equal(t, source, r.Attributes["kill.source"])
		}
	}

	// The first takes its rules along.
	collectors[0].stop()
	second := strconv.Itoa(collectors[1].command.Process.Pid)
	eventually(t, func() bool { return auditStatus(t)["pid"] == second }, "the second takes the place of the first")
	received := from(sinks[1], "audit_unicast")
	eventually(t, func() bool {
		s.send(order, victim)
		return received()
	}, "the second receives")
	collectors[1].stop()
}

// Without a source in its configuration the receiver takes the best one that it
// may, and says why none before it.
func TestChoosesTheSource(t *testing.T) {
	const (
		netlink = "listening to the kernel, as no source is configured and eBPF is not possible"
		log     = "reading the audit log, as no source is configured and the kernel is out of reach"
	)
	tests := map[string]struct {
		// user takes all rights from the collector but those.
		user   bool
		rights []uintptr
		says   []string
		// source is empty if nothing can be received.
		source string
	}{
		"ebpf": {
			says:   []string{"tracing signals in the kernel, as no source is configured and eBPF is possible"},
			source: "ebpf",
		},
		"ebpf with the rights that it needs": {
			user: true, rights: []uintptr{unix.CAP_BPF, unix.CAP_PERFMON},
			says:   []string{"tracing signals in the kernel, as no source is configured and eBPF is possible"},
			source: "ebpf",
		},
		"netlink": {
			user: true, rights: []uintptr{unix.CAP_AUDIT_CONTROL, unix.CAP_AUDIT_READ, unix.CAP_NET_ADMIN},
			says:   []string{netlink, `"ebpf": `, "CAP_BPF", "CAP_PERFMON"},
			source: "audit_unicast",
		},
		"netlink with half of what ebpf needs": {
			user: true, rights: []uintptr{unix.CAP_BPF, unix.CAP_AUDIT_CONTROL, unix.CAP_AUDIT_READ},
			says:   []string{netlink, `"ebpf": `, "the collector lacks CAP_PERFMON"},
			source: "audit_unicast",
		},
		"log": {
			user: true,
			says: []string{log, "/var/log/audit/audit.log", `"ebpf": `, "CAP_BPF", `"netlink": `, "CAP_AUDIT_"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			useAudit(t)
			before, rules := auditStatus(t), auditctl(t, "-l")
			var options []func(*exec.Cmd)
			if test.user {
				options = append(options, asNobody(t), withCapabilities(test.rights...))
			}
			sink := newSink(t, "grpc")
			c := start(t, config{receiver: `{}`, exporter: sink.exporter}, options...)
			for _, text := range test.says {
				c.says(text)
			}
			if test.source == "" {
				return // without a log it waits for one, or ends
			}
			c.ready()
			if test.source == "ebpf" {
				assert.Equal(t, before, auditStatus(t), "the audit system is left alone")
				assert.Equal(t, rules, auditctl(t, "-l"), "the audit system is left alone")
			}
			s := newSender(t, nativeSender(t))
			victim := s.start(1, false)[0]
			s.send(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGTERM)}, victim)
			awaitSent(t, sink, []*sender{s})
			c.stop()
			assertSent(t, sink.records(), []*sender{s})
			assert.Equal(t, test.source, delivered(sink.records(), []*sender{s})[0].Attributes["kill.source"])
		})
	}
}
