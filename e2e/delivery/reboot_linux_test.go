// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

const (
	// rebootDirectory is on the disk of the machine. It is not there at the first boot.
	rebootDirectory = "/var/lib/auditkill-reboot"
	// rebootSignals is how many signals are sent at each occasion: while the collector
	// runs before the reboot, while it does not run, and after the reboot.
	rebootSignals = 50
)

// TestCheckpointOverAReboot is run at two boots of the same machine. auditd appends to
// its log of the first one, though serials and pids begin again.
func TestCheckpointOverAReboot(t *testing.T) {
	harness.NeedMachine(t, 2)
	_, err := os.Stat(rebootDirectory)
	first := errors.Is(err, os.ErrNotExist)
	audit.Use(t)
	require.NoError(t, os.MkdirAll(rebootDirectory, 0o700))
	daemon := audit.NewDaemonIn(t, rebootDirectory, "log_format = ENRICHED")
	daemon.Run()
	audit.AddRule(t, "always,exit -F arch=b64 -S kill -F a1=18 -k audit_kill")
	audit.Auditctl(t, "-e", "1")
	r := &reboot{t: t, log: daemon.Log, sink: otlp.NewSink(t, "grpc"), sender: process.NewSender(t, process.NativeSender(t))}
	r.victim = r.sender.Start(1, false)[0]
	c := collector.Start(t, collector.Config{
		Receiver:   fmt.Sprintf("{file: {path: %q, start_at: beginning}, storage: file_storage, signals: [CONT]}", daemon.Log),
		Exporter:   r.sink.Exporter,
		Extensions: collector.FileStorage(filepath.Join(rebootDirectory, "checkpoint")),
	})
	if first {
		r.before(c)
	} else {
		r.after(c)
	}
}

// reboot is one of the two boots.
type reboot struct {
	t      *testing.T
	log    string
	sink   *otlp.Sink
	sender *process.Sender
	victim int
}

func (r *reboot) send() {
	r.t.Helper()
	r.sender.Send(orders.Order{Call: "kill", PID: r.victim, Signal: int(unix.SIGCONT), Times: rebootSignals}, r.victim)
}

// signals returns what was delivered, without what auditd and the rules cause.
func (r *reboot) signals() []otlp.Record {
	var signals []otlp.Record
	for _, record := range r.sink.Records() {
		if record.Event == "kill.signal" {
			signals = append(signals, record)
		}
	}
	return signals
}

func (r *reboot) awaitSignals(count int) {
	r.t.Helper()
	harness.Eventually(r.t, func() bool { return len(r.signals()) >= count }, "%d signals are delivered", count)
}

// senderFile is where the second boot finds who sent before.
var senderFile = filepath.Join(rebootDirectory, "sender")

func (r *reboot) before(c *collector.Collector) {
	r.send()
	r.awaitSignals(rebootSignals)
	c.Stop()
	require.Len(r.t, r.signals(), rebootSignals)
	r.send()
	harness.Eventually(r.t, func() bool {
		log, err := os.ReadFile(r.log)
		return err == nil && strings.Count(string(log), "type=OBJ_PID") == 2*rebootSignals
	}, "auditd has written what is delivered after the reboot")
	require.NoError(r.t, os.WriteFile(senderFile, []byte(strconv.Itoa(r.sender.PID)), 0o600))
}

func (r *reboot) after(c *collector.Collector) {
	r.awaitSignals(rebootSignals)
	r.send()
	r.awaitSignals(2 * rebootSignals)
	c.Stop()
	text, err := os.ReadFile(senderFile)
	require.NoError(r.t, err)
	senders := []int64{int64(harness.Number(string(text))), int64(r.sender.PID)}
	signals := r.signals()
	require.Len(r.t, signals, 2*rebootSignals, "each once")
	for i, signal := range signals {
		assert.Equal(r.t, senders[i/rebootSignals], signal.Attributes["process.pid"], "the older ones come first")
		if i < rebootSignals {
			otlp.AssertAttributes(r.t, signal, map[string]any{"kill.target.executable.path": nil, "kill.target.start_time": nil})
		}
	}
}
