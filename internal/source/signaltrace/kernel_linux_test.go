// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package signaltrace

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap/zaptest"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/process"
)


// watch is a source on the real kernel.
type watch struct {
	*Source
	t *testing.T

	mutex  sync.Mutex
	events []*kill.Event
}

// start loads the programs into the kernel, until the test ends.
func start(t *testing.T, change func(*Settings)) *watch {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: loading programs into the kernel takes root")
	}
	builder, err := metadata.NewTelemetryBuilder(componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	settings := Settings{
		RingBuffer: 4 << 20, Signals: kill.DefaultSignals(), IncludeFailed: true,
		Processes:          process.NewTable(process.Config{}),
		CorrelationTimeout: 2 * time.Second, MaxPending: 1000,
		Telemetry: builder, Logger: zaptest.NewLogger(t), Report: func(err error) { assert.NoError(t, err) },
	}
	if change != nil {
		change(&settings)
	}
	w := &watch{Source: New(settings), t: t}
	require.NoError(t, w.Start(t.Context()))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx, w.deliver) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		assert.NoError(t, w.Close())
	})
	return w
}

func (w *watch) deliver(events []*kill.Event) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.events = append(w.events, events...)
	return nil
}

// find waits for an event.
func (w *watch) find(matches func(*kill.Event) bool) *kill.Event {
	w.t.Helper()
	var found *kill.Event
	require.Eventually(w.t, func() bool {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		for _, e := range w.events {
			if matches(e) {
				found = e
				return true
			}
		}
		return false
	}, limit, time.Millisecond)
	return found
}

// to matches a signal to a process.
func to(pid int, signal kill.Signal) func(*kill.Event) bool {
	return func(e *kill.Event) bool {
		return e.Kind == kill.KindSignal && e.Signal == signal && len(e.Targets) > 0 && e.Targets[0].PID == pid
	}
}

func TestKill(t *testing.T) {
	w := start(t, nil)
	victim := exec.CommandContext(t.Context(), "sleep", "1000")
	require.NoError(t, victim.Start())
	killer := exec.CommandContext(t.Context(), "sh", "-c", `/bin/kill -TERM "$0"; :`, itoa(victim.Process.Pid))
	require.NoError(t, killer.Run())
	_ = victim.Wait()
	e := w.find(to(victim.Process.Pid, kill.SIGTERM))
	t.Logf("%+v", e)
	t.Logf("%+v", e.Sender.Instance)
	t.Logf("%+v", e.Targets[0].Instance)
}

func itoa(n int) string { return strconv.Itoa(n) }
