// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

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

// The host comes first: no system call ever waits for the collector, whatever happens to it, and
// what is lost meanwhile is reported.

// flood is more than the kernel and the collector can hold.
var flood = orders.Order{Call: "kill", Signal: int(unix.SIGTERM), Times: 25_000}

func TestStoppedCollectorStallsNobody(t *testing.T) {
	tests := map[string]struct {
		receiver string
		daemon   bool
		// rate limits the signals per second to what auditd can handle on a busy machine: a call may wait for auditd.
		rate int
	}{
		"unicast":   {receiver: `{netlink: {mode: unicast}}`},
		"multicast": {receiver: `{netlink: {mode: multicast}}`, daemon: true, rate: 3000},
		"ebpf":      {receiver: `{ebpf: {}}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			if test.daemon {
				audit.NewDaemon(t, "log_format = RAW").Run()
			}
			sink := otlp.NewSink(t, "grpc")
			c := startLive(t, test.receiver, sink)
			senders, victims := twoSenders(t)
			if name == "unicast" {
				assert.Equal(t, "0", audit.Status(t)["backlog_wait_time"])
			}
			waited := waitedInKernel(t)

			require.NoError(t, c.Command.Process.Signal(syscall.SIGSTOP))
			order := flood
			order.Rate = test.rate
			burst(t, senders, victims, order, "while the collector is stopped")
			assert.Equal(t, waited, waitedInKernel(t), "no system call waited for the collector")
			require.NoError(t, c.Command.Process.Signal(syscall.SIGCONT))

			harness.Eventually(t, func() bool { return lost(c) > 0 }, "the loss is counted")
			goesOn(t, c, sink)
			assertCompleteOrMarked(t, sink.Records(), senders)
		})
	}
}

// If the kernel loses some of the records of a call with many targets, the remaining log records
// are marked as incomplete.
func TestPartOfAGroupIsNotTakenForTheWhole(t *testing.T) {
	// The buffers are small, so that all sources lose something.
	for name, receiver := range map[string]string{
		"unicast": `{netlink: {receive_buffer: 65536}}`, "multicast": `{netlink: {receive_buffer: 65536}}`,
		"ebpf": `{ebpf: {ring_buffer: 262144}}`,
	} {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			if name == "multicast" {
				audit.NewDaemon(t, "log_format = RAW").Run()
			}
			sink := otlp.NewSink(t, "grpc")
			c := startLive(t, receiver, sink)
			s := process.NewSender(t, process.NativeSender(t))
			group := s.Start(members, true)
			order := orders.Order{Call: "kill", PID: -group[0], Signal: int(unix.SIGTERM)}
			s.Send(order, group...)
			awaitSent(t, sink, []*process.Sender{s}) // so that at least one group is complete
			order.Times = 3000
			s.Send(order, group...)
			harness.Eventually(t, func() bool { return lost(c)+c.Metric("audit_kill_joined") > 0 }, "something is lost or joined")
			goesOn(t, c, sink)

			targets := make(map[call]int)
			for _, r := range delivered(sink.Records(), []*process.Sender{s}) {
				targets[callOf(&r)]++
			}
			whole, part := 0, 0
			for _, r := range delivered(sink.Records(), []*process.Sender{s}) {
				if r.Attributes["kill.complete"] == false {
					part += r.Signals()
					continue
				}
				whole++
				require.EqualValues(t, members, r.Attributes["kill.target.count"])
				require.Equal(t, members, targets[callOf(&r)], "%+v", r)
			}
			t.Logf("of %d targets, %d were delivered in complete groups, and %d in incomplete ones", len(s.Want), whole, part)
			assert.Positive(t, whole)
			assert.Less(t, whole, len(s.Want))
		})
	}
}

// call is what the log records of one call have in common.
type call struct {
	at     time.Time
	serial int
}

func callOf(r *otlp.Record) call { return call{r.Time, r.Key().Serial} }

// lost returns the number of losses in the kernel.
func lost(c *collector.Collector) int {
	return c.Metric("audit_kill_kernel_lost") + c.Metric("audit_kill_receive_overruns") + c.Metric("audit_kill_ring_dropped")
}

func TestBlockedPipelineStallsNobody(t *testing.T) {
	for _, source := range []string{"netlink", "ebpf"} {
		t.Run(source, func(t *testing.T) { blockPipeline(t, "{"+source+": {}}") })
	}
}

func blockPipeline(t *testing.T, receiver string) {
	t.Helper()
	audit.Use(t)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, receiver, sink)
	senders, victims := twoSenders(t)
	blocked := make(chan struct{})
	release := sync.OnceFunc(func() { close(blocked) })
	defer release()
	sink.Answers(func(int, []otlp.Record) otlp.Answer {
		<-blocked
		return otlp.Answer{}
	})
	waited := waitedInKernel(t)
	harness.Eventually(t, func() bool {
		burst(t, senders, victims, flood, "while the pipeline is blocked")
		return c.Metric("audit_kill_joined") > 0
	}, "what does not fit is joined and counted")
	assert.Equal(t, waited, waitedInKernel(t), "no system call waited for the collector")
	release()
	goesOn(t, c, sink)
	assertCompleteOrMarked(t, sink.Records(), senders)
}

// assertCompleteOrMarked checks that each log record is correct or marked as incomplete. The
// senders must have made the same call all the time.
func assertCompleteOrMarked(t *testing.T, records []otlp.Record, senders []*process.Sender) {
	t.Helper()
	for _, s := range senders {
		own := delivered(records, []*process.Sender{s})
		assert.LessOrEqual(t, len(own), len(s.Want), "nothing is delivered twice")
		incomplete := 0
		for _, r := range own {
			if r.Attributes["kill.complete"] == false {
				incomplete++
				continue
			}
			require.Equal(t, s.Want[0].KnownTo(r), process.ReportOf(r))
		}
		t.Logf("of %d signals, %d were delivered, %d of them incomplete", len(s.Want), len(own), incomplete)
	}
}

func twoSenders(t *testing.T) (senders []*process.Sender, victims []int) {
	t.Helper()
	program := process.NativeSender(t)
	for range 2 {
		s := process.NewSender(t, program)
		senders, victims = append(senders, s), append(victims, s.Start(1, false)[0])
	}
	return senders, victims
}

// burst has all senders send at the same time, and logs how long their calls
// took.
func burst(t *testing.T, senders []*process.Sender, victims []int, order orders.Order, when string) {
	t.Helper()
	var running sync.WaitGroup
	for i, s := range senders {
		s.Took = nil
		own := order
		own.PID = victims[i]
		running.Go(func() { s.Send(own, own.PID) })
	}
	running.Wait()
	var took []int64
	for _, s := range senders {
		took = append(took, s.Took...)
	}
	require.Len(t, took, len(senders)*order.Times, "calls that returned")
	slices.Sort(took)
	t.Logf("kill(2) %s: median %v, slowest %v", when,
		time.Duration(took[len(took)/2]), time.Duration(took[len(took)-1]))
}

var waitedPattern = regexp.MustCompile(`(?m)^backlog_wait_time_actual (\d+)$`)

// waitedInKernel returns how long system calls have waited since boot because the kernel's queue
// for the audit daemon was full.
func waitedInKernel(t *testing.T) string {
	t.Helper()
	match := waitedPattern.FindStringSubmatch(audit.Auditctl(t, "-s"))
	require.NotNil(t, match, "the kernel (5.9 or later) reports how long system calls have waited")
	return match[1]
}

// goesOn checks that new signals are delivered again, and stops the collector.
func goesOn(t *testing.T, c *collector.Collector, sink *otlp.Sink) {
	t.Helper()
	c.Running()
	works(t, sink)
	c.Stop()
}

// works waits until a signal is delivered.
func works(t *testing.T, sink *otlp.Sink) {
	t.Helper()
	s := process.NewSender(t, process.NativeSender(t))
	victim := s.Start(1, false)[0]
	harness.Eventually(t, func() bool {
		s.Send(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGTERM)}, victim)
		return len(delivered(sink.Records(), []*process.Sender{s})) > 0
	}, "a signal is delivered")
}
