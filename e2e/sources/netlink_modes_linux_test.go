// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// Which mode of netlink the collector chooses, and what it does when auditd starts and
// stops.

// keepSending has a sender send signals until stop is called.
func keepSending(s *process.Sender) (stop func()) {
	const rate = 500
	victim := s.Start(1, false)[0]
	var stopped atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stopped.Load() {
			s.Send(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGTERM), Times: rate / 10, Rate: rate}, victim)
		}
	}()
	return func() {
		stopped.Store(true)
		<-done
	}
}

// from returns a condition that holds once 100 more log records have arrived from a source.
func from(sink *otlp.Sink, source string) func() bool {
	begin := sink.Count()
	return func() bool {
		count := 0
		for _, r := range sink.Records()[begin:] {
			if r.Attributes["kill.source"] == source {
				count++
			}
		}
		return count >= 100
	}
}

// In mode auto nothing is lost and nothing is delivered twice while the audit daemon
// changes.
func TestFollowsAuditdThatComesAndGoes(t *testing.T) {
	for name, end := range map[string]func(*audit.Daemon){"stopped": (*audit.Daemon).Stop, "killed": (*audit.Daemon).Kill} {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			sink := otlp.NewSink(t, "grpc")
			daemon := audit.NewDaemon(t, "log_format = RAW\nnum_logs = 99")
			daemon.Run()
			c := startLive(t, `{netlink: {}}`, sink)
			s := process.NewSender(t, process.NativeSender(t))
			stop := keepSending(s)
			harness.Eventually(t, from(sink, "audit_multicast"), "the collector listens beside auditd")

			end(daemon)
			daemon.Run()
			harness.Eventually(t, from(sink, "audit_multicast"), "the collector leaves auditd time to restart")

			end(daemon)
			harness.Eventually(t, from(sink, "audit_unicast"), "the collector takes auditd's place")
			assert.Equal(t, "0", audit.Status(t)["backlog_wait_time"])

			// The kernel refuses auditd while the collector has its place; then the collector gives it up.
			attempts := 1
			for ; !daemon.Attempt(); attempts++ {
				require.Less(t, attempts, 10, "attempts to start auditd again")
			}
			t.Logf("auditd registered at attempt %d", attempts)
			harness.Eventually(t, from(sink, "audit_multicast"), "the collector listens beside auditd again")
			assert.NotEqual(t, "0", audit.Status(t)["backlog_wait_time"])
			stop()

			awaitSent(t, sink, []*process.Sender{s})
			c.Running()
			c.Stop()
			assertSent(t, sink.Records(), []*process.Sender{s})
			assert.Equal(t, strconv.Itoa(daemon.PID()), audit.Status(t)["pid"], "auditd keeps its place")
		})
	}
}

// If there is an audit daemon already, mode unicast reports which process it is, and what to do
// instead.
func TestUnicastEvictsNobody(t *testing.T) {
	holders := map[string]func(t *testing.T) (name string, pid int){
		"auditd": func(t *testing.T) (string, int) {
			t.Helper()
			daemon := audit.NewDaemon(t, "log_format = RAW")
			daemon.Run()
			return "auditd", daemon.PID()
		},
		"another collector": func(t *testing.T) (string, int) {
			t.Helper()
			c := startLive(t, `{netlink: {mode: unicast}}`, otlp.NewSink(t, "grpc"))
			t.Cleanup(c.Stop)
			return "otelcol-auditki", c.PID()
		},
	}
	for name, hold := range holders {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			name, pid := hold(t)
			before, rules := audit.Status(t), audit.Auditctl(t, "-l")
			c := collector.Start(t, collector.Config{Receiver: `{netlink: {mode: unicast}}`})
			assert.Equal(t, 1, c.Wait(), "exit code")
			c.Says(fmt.Sprintf("%s[%d]", name, pid))
			c.Says("multicast")
			assert.Equal(t, before, audit.Status(t), "the audit system is unchanged")
			assert.Equal(t, rules, audit.Auditctl(t, "-l"), "the audit system is unchanged")
		})
	}
}

// Two collectors can listen to the same kernel: the first as the audit daemon, the
// second beside it.
func TestTwoCollectors(t *testing.T) {
	audit.Use(t)
	var sinks []*otlp.Sink
	var collectors []*collector.Collector
	for range 2 {
		sinks = append(sinks, otlp.NewSink(t, "grpc"))
		collectors = append(collectors, startLive(t, `{netlink: {}}`, sinks[len(sinks)-1]))
	}
	s := process.NewSender(t, process.NativeSender(t))
	victim := s.Start(1, false)[0]
	order := orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGTERM), Times: 100, Rate: 1000}
	s.Send(order, victim)
	for i, source := range []string{"audit_unicast", "audit_multicast"} {
		awaitSent(t, sinks[i], []*process.Sender{s})
		assertSent(t, sinks[i].Records(), []*process.Sender{s})
		for _, r := range delivered(sinks[i].Records(), []*process.Sender{s}) {
			require.Equal(t, source, r.Attributes["kill.source"])
		}
	}

	// The first collector removes its rules, so the second one must load its own.
	collectors[0].Stop()
	second := strconv.Itoa(collectors[1].PID())
	harness.Eventually(t, func() bool { return audit.Status(t)["pid"] == second }, "the second collector takes the place of the first")
	received := from(sinks[1], "audit_unicast")
	harness.Eventually(t, func() bool {
		s.Send(order, victim)
		return received()
	}, "the second collector receives signals")
	collectors[1].Stop()
}

// Without a source in its configuration, the receiver chooses the best one that it may use, and
// logs why it cannot use better ones.
func TestChoosesTheSource(t *testing.T) {
	const (
		netlink = "listening to the kernel because no source is configured and eBPF is not possible"
		log     = "reading the audit log because no source is configured and the kernel is out of reach"
	)
	tests := map[string]struct {
		// user runs the collector as an unprivileged user with only these rights.
		user   bool
		rights []uintptr
		says   []string
		// source is empty if the test cannot send it signals.
		source string
	}{
		"ebpf": {
			says:   []string{"tracing signals in the kernel because no source is configured and eBPF is possible"},
			source: "ebpf",
		},
		"ebpf with the rights that it needs": {
			user: true, rights: []uintptr{unix.CAP_BPF, unix.CAP_PERFMON},
			says:   []string{"tracing signals in the kernel because no source is configured and eBPF is possible"},
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
			audit.Use(t)
			before, rules := audit.Status(t), audit.Auditctl(t, "-l")
			var options []func(*exec.Cmd)
			if test.user {
				options = append(options, collector.AsNobody(t), withCapabilities(test.rights...))
			}
			sink := otlp.NewSink(t, "grpc")
			c := collector.Start(t, collector.Config{Receiver: `{}`, Exporter: sink.Exporter}, options...)
			for _, text := range test.says {
				c.Says(text)
			}
			if test.source == "" {
				return // there may be no log, or the collector may not read it
			}
			c.Ready()
			if test.source == "ebpf" {
				assert.Equal(t, before, audit.Status(t), "the audit system is unchanged")
				assert.Equal(t, rules, audit.Auditctl(t, "-l"), "the audit system is unchanged")
			}
			s := process.NewSender(t, process.NativeSender(t))
			victim := s.Start(1, false)[0]
			s.Send(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGTERM)}, victim)
			awaitSent(t, sink, []*process.Sender{s})
			c.Stop()
			assertSent(t, sink.Records(), []*process.Sender{s})
			assert.Equal(t, test.source, delivered(sink.Records(), []*process.Sender{s})[0].Attributes["kill.source"])
		})
	}
}
