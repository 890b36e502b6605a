// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// shown is what a watch shows of what a source plays.
func shown(t *testing.T, w *Watch, p *played) []string {
	t.Helper()
	require.NoError(t, w.open(t.Context(), []candidate{{name: "played", Source: p, tellsProcesses: true}}))
	ctx, stop := context.WithCancel(t.Context())
	var lines []string
	go func() {
		<-p.finished
		stop()
	}()
	require.NoError(t, w.Run(ctx, func(e *kill.Event) error {
		line := e.Signal.Name() + " to " + e.Targets[0].Command
		if e.Outcome != nil {
			line = e.Targets[0].Command + " " + string(e.Outcome.Verdict)
		}
		lines = append(lines, line)
		return nil
	}))
	require.NoError(t, w.Close())
	assert.Equal(t, 1, p.closed)
	return lines
}

func TestShowsWhatIsAskedForAndWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	w, said := newFake(t, selection.Config{Signals: kill.DefaultSignals(), Targets: []string{"mysqld"}})
	p := play(
		[]*kill.Event{sent(kill.SIGTERM, "mysqld"), sent(kill.SIGTERM, "postgres")},
		[]*kill.Event{sent(kill.SIGKILL, "mysqld"), sent(10, "mysqld"), end("mysqld", 9), end("postgres", 15)},
	)
	assert.Equal(t, []string{"SIGTERM to mysqld", "SIGKILL to mysqld", "mysqld killed"}, shown(t, w, p))
	assert.Empty(t, said.all())
}

func TestTellsOnlyFailedOnes(t *testing.T) {
	t.Parallel()
	w, _ := newFake(t, selection.Config{OnlyFailed: true})
	failed := sent(kill.SIGKILL, "mysqld")
	failed.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"}
	assert.Equal(t, []string{"SIGKILL to mysqld"}, shown(t, w, play([]*kill.Event{sent(kill.SIGKILL, "nginx"), failed})))
}

func TestDoesNotFollowIfNobodyWantsToKnow(t *testing.T) {
	t.Parallel()
	w, _ := newFake(t, selection.Config{})
	w.config.OutcomeTimeout = 0
	p := play([]*kill.Event{sent(kill.SIGKILL, "mysqld"), end("mysqld", 9)})
	assert.Equal(t, []string{"SIGKILL to mysqld"}, shown(t, w, p))
}

// A watch that follows nobody may last for hours.
func TestWaitsForNothingIfItFollowsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := newFake(t, selection.Config{})
		events, ended := make(chan []*kill.Event), make(chan error)
		go func() { ended <- w.showAll(events, func(*kill.Event) error { return nil }) }()
		time.Sleep(2 * time.Hour)
		close(events)
		require.NoError(t, <-ended)
		require.NoError(t, w.Close())
	})
}

// A process that outlives the wait is told of while nothing else happens.
func TestTellsOfSurvivors(t *testing.T) {
	t.Parallel()
	w, _ := newFake(t, selection.Config{})
	w.config.OutcomeTimeout = 50 * time.Millisecond
	e := sent(kill.SIGTERM, "survivor")
	e.Targets[0].PID = os.Getpid()
	if known, ok := w.processes.Lookup(os.Getpid()); ok { // on Linux
		e.Targets[0].Instance = &kill.Instance{SinceBoot: known.Start}
	}
	require.NoError(t, w.open(t.Context(), []candidate{{name: "played", Source: play([]*kill.Event{e}), tellsProcesses: true}}))
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	var verdict kill.Verdict
	require.NoError(t, w.Run(ctx, func(e *kill.Event) error {
		if e.Outcome != nil {
			verdict = e.Outcome.Verdict
			stop()
		}
		return nil
	}))
	assert.Equal(t, kill.VerdictSurvived, verdict)
	require.NoError(t, w.Close())
}

// Who blinds the monitor is of interest, whatever was asked for.
func TestSaysWhoTampers(t *testing.T) {
	t.Parallel()
	w, said := newFake(t, selection.Config{Targets: []string{"mysqld"}, OnlyFailed: true})
	e := &kill.Event{
		Kind: kill.KindTamper, Sender: kill.Process{PID: pidBase, Command: "auditctl\x1b[31m"},
		Tamper: &kill.Tamper{Action: kill.TamperAuditDisabled}, Result: kill.Success(),
	}
	assert.Empty(t, shown(t, w, play([]*kill.Event{e})))
	assert.Equal(t, []string{`auditctl\x1b[31m[8388608] turned auditing off`}, said.all())
}

func TestEndsWhenNothingCanBeShown(t *testing.T) {
	t.Parallel()
	w, _ := newFake(t, selection.Config{})
	p := play([]*kill.Event{sent(kill.SIGKILL, "mysqld")}, []*kill.Event{sent(kill.SIGKILL, "nginx")})
	require.NoError(t, w.open(t.Context(), []candidate{{name: "played", Source: p, tellsProcesses: true}}))
	calls := 0
	require.ErrorIs(t, w.Run(t.Context(), func(*kill.Event) error {
		calls++
		return errBroken
	}), errBroken)
	assert.Equal(t, 1, calls)
	require.NoError(t, w.Close())
}

// Whoever reads the output may have stopped doing so. Cleaning up does not wait for that.
func TestEndsWhileTheOutputIsStuck(t *testing.T) {
	t.Parallel()
	w, _ := newFake(t, selection.Config{})
	w.patience = 10 * time.Millisecond
	p := play([]*kill.Event{sent(kill.SIGKILL, "mysqld")}, []*kill.Event{sent(kill.SIGKILL, "nginx")})
	require.NoError(t, w.open(t.Context(), []candidate{{name: "played", Source: p, tellsProcesses: true}}))
	ctx, stop := context.WithCancel(t.Context())
	stuck := make(chan struct{})
	require.ErrorIs(t, w.Run(ctx, func(*kill.Event) error {
		stop()
		<-stuck
		return nil
	}), errStuck)
	require.ErrorIs(t, p.refused, errGivenUp)
	require.NoError(t, w.Close())
	close(stuck)
}

func TestSaysWhatWasLost(t *testing.T) {
	t.Parallel()
	w, said := newFake(t, selection.Config{})
	for range 2 {
		w.telemetry.ReceiverAuditKillKernelLost.Add(t.Context(), 20)
	}
	w.telemetry.ReceiverAuditKillRingDropped.Add(t.Context(), 1)
	w.telemetry.ReceiverAuditKillQueueDropped.Add(t.Context(), 0)
	w.telemetry.ReceiverAuditKillRecordsRead.Add(t.Context(), 7)
	require.NoError(t, w.Close())
	assert.Equal(t, []string{
		"signals may be missing: the buffer of the kernel's programs was full for 1 records",
		"signals may be missing: the kernel has lost 40 audit records",
	}, said.all())
}

// A counter that has another name by now would never tell.
func TestKnowsTheCounters(t *testing.T) {
	t.Parallel()
	w, _ := newFake(t, selection.Config{})
	for _, c := range []any{
		w.telemetry.ReceiverAuditKillRingDropped, w.telemetry.ReceiverAuditKillMissed,
		w.telemetry.ReceiverAuditKillKernelLost, w.telemetry.ReceiverAuditKillReceiveOverruns,
		w.telemetry.ReceiverAuditKillSequenceGaps, w.telemetry.ReceiverAuditKillQueueDropped,
		w.telemetry.ReceiverAuditKillFileLost,
	} {
		assert.IsType(t, counter{}, c)
	}
	assert.IsType(t, noop.Int64Counter{}, w.telemetry.ReceiverAuditKillRecordsRead)
	require.NoError(t, w.Close())
}
