// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcomes

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The outcomes of targets, reported in log records and spans.

// liveSource is a source that reports signals as they are sent.
type liveSource struct {
	name, receiver string
	// daemon says whether auditd runs beside the collector.
	daemon bool
}

var liveSources = []liveSource{
	{name: "ebpf", receiver: "ebpf: {}"},
	{name: "unicast", receiver: "netlink: {mode: unicast}"},
	{name: "multicast", receiver: "netlink: {mode: multicast}", daemon: true},
}

// traced reports whether the source itself reports how each target ends.
func (l liveSource) traced() bool { return l.name == "ebpf" }

// prepare takes the audit system, and starts auditd if the source needs it.
func (l liveSource) prepare(t *testing.T) {
	t.Helper()
	audit.Use(t)
	if l.daemon {
		audit.NewDaemon(t, "log_format = RAW").Run()
	}
}

// stage has a collector, and the senders that signal targets while it runs.
type stage struct {
	t      *testing.T
	source liveSource
	sink   *otlp.Sink
	config collector.Config
	c      *collector.Collector
	// program is the program of the senders: soft signals first, hard last.
	program    string
	soft, hard *process.Sender
}

// newStage starts a collector with additional settings of the receiver. It has pipelines for logs
// and traces unless an option changes that.
func newStage(t *testing.T, source liveSource, settings string, options ...func(*collector.Config)) *stage {
	t.Helper()
	source.prepare(t)
	s := &stage{t: t, source: source, sink: otlp.NewSink(t, "grpc"), program: process.NativeSender(t)}
	s.soft, s.hard = process.NewSender(t, s.program), process.NewSender(t, s.program)
	s.soft.Rename("soft")
	s.hard.Rename("hard")
	s.config = collector.Config{
		Receiver: fmt.Sprintf("{%s, %s}", source.receiver, settings), Exporter: s.sink.Exporter,
		Pipelines: []string{"logs", "traces"},
	}
	for _, option := range options {
		option(&s.config)
	}
	s.begin()
	return s
}

// begin starts the collector, for the first time or again.
func (s *stage) begin() {
	s.t.Helper()
	s.c = collector.Start(s.t, s.config, harness.EndWithTest)
	s.c.Ready()
}

// signal sends a signal with kill(2).
func (s *stage) signal(sender *process.Sender, target *process.Target, signal syscall.Signal) {
	s.t.Helper()
	sender.Kill(target, signal)
}

// call sends a signal with any system call.
func (s *stage) call(sender *process.Sender, order orders.Order, targets ...*process.Target) {
	s.t.Helper()
	sender.Signal(order, targets...)
}

// needCores skips a test if cores are not written to the working directory.
func needCores(t *testing.T) {
	t.Helper()
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	require.NoError(t, err)
	if strings.ContainsAny(string(pattern), "/|") {
		harness.Skip(t, "cores would not stay in the test's folder (sysctl kernel.core_pattern is %q)", pattern)
	}
}
