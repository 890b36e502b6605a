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

// Which of the ways to listen is taken, and what happens when auditd comes and
// goes.

// keepSending lets a sender send until the returned function is called.
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

// from returns a condition: so many log records have come from a source lately.
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

// In mode auto nothing is lost and nothing comes twice, whoever is the audit
// daemon.
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
			harness.Eventually(t, from(sink, "audit_multicast"), "it listens beside auditd")

			end(daemon)
			daemon.Run()
			harness.Eventually(t, from(sink, "audit_multicast"), "it leaves auditd the time to come back")

			end(daemon)
			harness.Eventually(t, from(sink, "audit_unicast"), "it takes auditd's place")
			assert.Equal(t, "0", audit.Status(t)["backlog_wait_time"])

			// The kernel refuses auditd as long as its place is taken; then it is free.
			attempts := 1
			for ; !daemon.Attempt(); attempts++ {
				require.Less(t, attempts, 10, "attempts to start auditd again")
			}
			t.Logf("auditd has registered at attempt %d", attempts)
			harness.Eventually(t, from(sink, "audit_multicast"), "it listens beside auditd again")
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

// Where somebody is the audit daemon already, mode unicast says who, and what
// else to do.
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
			assert.Equal(t, before, audit.Status(t), "nothing has changed")
			assert.Equal(t, rules, audit.Auditctl(t, "-l"), "nothing has changed")
		})
	}
}

// Two collectors share the kernel: the first is the audit daemon, and the
// second listens beside it.
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

	// The first takes its rules along.
	collectors[0].Stop()
	second := strconv.Itoa(collectors[1].PID())
	harness.Eventually(t, func() bool { return audit.Status(t)["pid"] == second }, "the second takes the place of the first")
	received := from(sinks[1], "audit_unicast")
	harness.Eventually(t, func() bool {
		s.Send(order, victim)
		return received()
	}, "the second receives")
	collectors[1].Stop()
}

// Without a source in its configuration the receiver takes the best one that it
// may, and says why none before it.
func TestChoosesTheSource(t *testing.T) {
	const (
		netlink = "listening to the kernel because no source is configured and eBPF is not possible"
		log     = "reading the audit log because no source is configured and the kernel is out of reach"
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
				return // without a log it waits for one, or ends
			}
			c.Ready()
			if test.source == "ebpf" {
				assert.Equal(t, before, audit.Status(t), "the audit system is left alone")
				assert.Equal(t, rules, audit.Auditctl(t, "-l"), "the audit system is left alone")
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
