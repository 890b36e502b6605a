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

// The host comes first: no system call waits for the collector, whatever
// happens to it, and what is lost meanwhile is told.

// flood is more than the kernel and the collector can hold.
var flood = orders.Order{Call: "kill", Signal: int(unix.SIGTERM), Times: 25_000}

func TestStoppedCollectorStallsNobody(t *testing.T) {
	tests := map[string]struct {
		receiver string
		daemon   bool
		// rate is what auditd can cope with.
		rate int
	}{
		"unicast":   {receiver: `{netlink: {mode: unicast}}`},
		"multicast": {receiver: `{netlink: {mode: multicast}}`, daemon: true, rate: 7000},
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
			assert.Equal(t, waited, waitedInKernel(t), "nobody has waited for the collector")
			require.NoError(t, c.Command.Process.Signal(syscall.SIGCONT))

			harness.Eventually(t, func() bool { return lost(c) > 0 }, "the loss is told")
			goesOn(t, c, sink)
			assertCompleteOrMarked(t, sink.Records(), senders)
		})
	}
}

// Where the kernel loses some of the records of a call that strikes many, what is
// left says so.
func TestPartOfAGroupIsNotTakenForTheWhole(t *testing.T) {
	// The buffers are small, so that all lose something.
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
			awaitSent(t, sink, []*process.Sender{s}) // one is whole for sure
			order.Times = 3000
			s.Send(order, group...)
			harness.Eventually(t, func() bool { return lost(c) > 0 }, "there is a loss")
			goesOn(t, c, sink)

			targets := make(map[call]int)
			for _, r := range delivered(sink.Records(), []*process.Sender{s}) {
				targets[callOf(&r)]++
			}
			whole, part := 0, 0
			for _, r := range delivered(sink.Records(), []*process.Sender{s}) {
				if r.Attributes["kill.complete"] == false {
					part++
					continue
				}
				whole++
				require.EqualValues(t, members, r.Attributes["kill.target.count"])
				require.Equal(t, members, targets[callOf(&r)], "%+v", r)
			}
			t.Logf("of %d targets %d are delivered of whole groups, and %d of others", len(s.Want), whole, part)
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

// lost is how much the kernel had no room for.
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
		return c.Metric("audit_kill_queue_dropped") > 0
	}, "what does not fit is dropped and counted")
	assert.Equal(t, waited, waitedInKernel(t), "nobody has waited for the collector")
	release()
	goesOn(t, c, sink)
	assertCompleteOrMarked(t, sink.Records(), senders)
}

// assertCompleteOrMarked checks that what is delivered of senders that always do the same is
// complete, or says that it is not.
func assertCompleteOrMarked(t *testing.T, records []otlp.Record, senders []*process.Sender) {
	t.Helper()
	for _, s := range senders {
		own := delivered(records, []*process.Sender{s})
		assert.LessOrEqual(t, len(own), len(s.Want), "nothing comes twice")
		incomplete := 0
		for _, r := range own {
			if r.Attributes["kill.complete"] == false {
				incomplete++
				continue
			}
			require.Equal(t, s.Want[0].KnownTo(r), process.ReportOf(r))
		}
		t.Logf("of %d signals %d are delivered, %d of these incomplete", len(s.Want), len(own), incomplete)
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

// burst lets all senders send as fast as they can, and tells how long their
// calls took.
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
	require.Len(t, took, len(senders)*order.Times, "calls that came back")
	slices.Sort(took)
	t.Logf("kill(2) %s: median %v, slowest %v", when,
		time.Duration(took[len(took)/2]), time.Duration(took[len(took)-1]))
}

var waitedPattern = regexp.MustCompile(`(?m)^backlog_wait_time_actual (\d+)$`)

// waitedInKernel is for how long system calls have waited since the kernel was
// booted, because its queue for the audit daemon was full.
func waitedInKernel(t *testing.T) string {
	t.Helper()
	match := waitedPattern.FindStringSubmatch(audit.Auditctl(t, "-s"))
	require.NotNil(t, match, "the kernel (5.9 or later) tells how long system calls have waited")
	return match[1]
}

// goesOn checks that what happens from now on is delivered again.
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
	}, "what is sent is delivered")
}
