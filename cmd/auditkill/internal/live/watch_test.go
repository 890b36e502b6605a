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

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// shown is what a watch shows of what a source plays.
func shown(t *testing.T, asked selection.Config, p *played) ([]string, *said) {
	t.Helper()
	w, said := newFake(t, asked, p)
	return run(t, w, p), said
}

func run(t *testing.T, w *Watch, p *played) []string {
	t.Helper()
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
	}, finished))
	require.NoError(t, w.Close())
	assert.Equal(t, 1, p.closed)
	return lines
}

func TestShowsWhatIsAskedForAndWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	p := play(
		[]source.Observation{sent(kill.SIGTERM, "mysqld"), sent(kill.SIGTERM, "postgres")},
		[]source.Observation{sent(kill.SIGKILL, "mysqld"), sent(10, "mysqld"), end("mysqld", 9), end("postgres", 15)},
	)
	lines, said := shown(t, selection.Config{Signals: kill.DefaultSignals(), Targets: []string{"mysqld"}}, p)
	assert.Equal(t, []string{"SIGTERM to mysqld", "SIGKILL to mysqld", "mysqld killed"}, lines)
	assert.Empty(t, said.all())
}

func TestTellsOnlyFailedOnes(t *testing.T) {
	t.Parallel()
	failed := sent(kill.SIGKILL, "mysqld")
	failed.Event.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"}
	lines, _ := shown(t, selection.Config{OnlyFailed: true}, play([]source.Observation{sent(kill.SIGKILL, "nginx"), failed}))
	assert.Equal(t, []string{"SIGKILL to mysqld"}, lines)
}

// Who is behind a signal may be found out only after it was wanted.
func TestTellsOnlyWhatSomebodyIsBehind(t *testing.T) {
	t.Parallel()
	alices, nobodys := sent(kill.SIGTERM, "mysqld"), sent(kill.SIGTERM, "nginx")
	alices.Event.Sender.Login, alices.Event.Sender.Session = kill.User{ID: kill.NewID(1000)}, kill.NewID(17)
	login := source.Observation{Fact: &attribution.Fact{Login: &attribution.Login{
		Time: time.Now(), User: kill.User{ID: kill.NewID(1000)}, Session: kill.Session{ID: "17", UserName: "alice", Address: "10.0.0.5"},
	}}}
	asked := selection.Config{Behind: selection.Behind{From: "10.0.0.5"}}
	lines, _ := shown(t, asked, play([]source.Observation{login, alices, nobodys, end("mysqld", 15), end("nginx", 15)}))
	assert.Equal(t, []string{"SIGTERM to mysqld", "mysqld killed"}, lines)

	config, _ := fakeConfig(asked)
	assert.Equal(t, kill.UnsentNone, config.unsent())
}

func TestDoesNotFollowIfNobodyWantsToKnow(t *testing.T) {
	t.Parallel()
	config, _ := fakeConfig(selection.Config{})
	config.OutcomeTimeout = 0
	p := play([]source.Observation{sent(kill.SIGKILL, "mysqld"), end("mysqld", 9)})
	w, err := open(t.Context(), config, []capture.Candidate{capture.Custom("played", p)})
	require.NoError(t, err)
	assert.Equal(t, []string{"SIGKILL to mysqld"}, run(t, w, p))
}

// A watch without any events may last for hours.
func TestWaitsForNothingIfItWatchesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := newFake(t, selection.Config{}, play())
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Hour)
		defer stop()
		require.NoError(t, w.Run(ctx, func(*kill.Event) error { return nil }, finished))
		require.NoError(t, w.Close())
	})
}

// A process that survives the wait is reported even while nothing else happens.
func TestTellsOfSurvivors(t *testing.T) {
	t.Parallel()
	config, _ := fakeConfig(selection.Config{})
	config.OutcomeTimeout = 50 * time.Millisecond
	o := sent(kill.SIGTERM, "survivor")
	o.Event.Targets[0].PID = os.Getpid()
	if known, ok := process.NewTable(process.Config{}).Lookup(os.Getpid()); ok { // on Linux
		o.Event.Targets[0].Instance = &kill.Instance{SinceBoot: known.Start}
	}
	p := play([]source.Observation{o})
	w, err := open(t.Context(), config, []capture.Candidate{capture.Custom("played", p)})
	require.NoError(t, err)
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	var verdict kill.Verdict
	require.NoError(t, w.Run(ctx, func(e *kill.Event) error {
		if e.Outcome != nil {
			verdict = e.Outcome.Verdict
			stop()
		}
		return nil
	}, finished))
	assert.Equal(t, kill.VerdictSurvived, verdict)
	require.NoError(t, w.Close())
}

// Who blinds the monitor is of interest, whatever was asked for.
func TestSaysWhoTampers(t *testing.T) {
	t.Parallel()
	e := &kill.Event{
		Kind: kill.KindTamper, Sender: kill.Process{PID: pidBase, Command: "auditctl\x1b[31m"},
		Tamper: &kill.Tamper{Action: kill.TamperAuditDisabled}, Result: kill.Success(),
	}
	lines, said := shown(t, selection.Config{Targets: []string{"mysqld"}, OnlyFailed: true}, play([]source.Observation{{Event: e}}))
	assert.Empty(t, lines)
	assert.Equal(t, []string{`"auditctl\x1b[31m"[8388608] turned auditing off`}, said.all())
}

func TestEndsWhenNothingCanBeShown(t *testing.T) {
	t.Parallel()
	p := play([]source.Observation{sent(kill.SIGKILL, "mysqld")}, []source.Observation{sent(kill.SIGKILL, "nginx")})
	w, _ := newFake(t, selection.Config{}, p)
	calls := 0
	require.ErrorIs(t, w.Run(t.Context(), func(*kill.Event) error {
		calls++
		return errBroken
	}, finished), errBroken)
	assert.Equal(t, 1, calls)
	require.NoError(t, w.Close())
}

// Whoever reads the output may have stopped doing so. Cleaning up does not wait for that.
func TestEndsWhileTheOutputIsStuck(t *testing.T) {
	t.Parallel()
	p := play([]source.Observation{sent(kill.SIGKILL, "mysqld")}, []source.Observation{sent(kill.SIGKILL, "nginx")})
	w, _ := newFake(t, selection.Config{}, p)
	w.patience = 10 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	stuck := make(chan struct{})
	require.ErrorIs(t, w.Run(ctx, func(*kill.Event) error {
		stop()
		<-stuck
		return nil
	}, finished), errStuck)
	require.ErrorIs(t, p.refused, errGivenUp)
	require.NoError(t, w.Close())
	close(stuck)
}

// Nothing is stuck while nothing is to be shown: the last signals of a busy host may take longer.
func TestWaitsForTheLastSignals(t *testing.T) {
	t.Parallel()
	w, _ := newFake(t, selection.Config{}, play())
	w.patience = time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	stop()
	h := &handler{watch: w, batches: make(chan []*kill.Event)}
	shown := make(chan error, 1)
	go func() {
		time.Sleep(20 * w.patience)
		close(h.batches)
		shown <- h.showAll(nil, finished)
	}()
	require.NoError(t, w.await(ctx, h, shown))
	require.NoError(t, w.Close())
}

func TestSaysWhatWasLost(t *testing.T) {
	t.Parallel()
	w, said := newFake(t, selection.Config{}, play())
	counts := w.capture.Counts()
	for range 2 {
		counts.Lose(source.KernelRecords, 20)
	}
	counts.Lose(source.RingSignals, 1)
	counts.Lose(source.RingProcesses, 2)
	counts.Lose(source.QueueFull, 0)
	counts.Records.Add(7)
	require.NoError(t, w.Close())
	assert.Equal(t, []string{
		"warning: the kernel has lost audit records because its queue was full, or over its rate limit; " +
			"see backlog_limit and rate_limit of auditctl -s (records 20)",
		"warning: signals were lost because the ring buffer was full; ask for fewer with --signal or --target (signals 1)",
		"warning: the starts or ends of processes were lost because the ring buffer was full; " +
			"ask for fewer with --signal or --target (records 2)",
		"signals may be missing: the buffer of the kernel's programs was full for 3 records",
		"signals may be missing: the kernel has lost 40 audit records",
	}, said.all())
}

// The same problem is said once in a while, with what fixes it.
func TestWarns(t *testing.T) {
	t.Parallel()
	w, said := newFake(t, selection.Config{}, play())
	for range 3 {
		w.warn(&problem.Problem{
			What: "a process is not watched", Err: errBroken, Advice: []problem.Advice{problem.WatchFewer},
			Details: []problem.Detail{{Name: "pid", Value: 7}}, Lines: []string{"auditctl -e 1"},
		})
	}
	require.NoError(t, w.Close())
	assert.Equal(t, []string{
		"warning: a process is not watched: broken; set a shorter --outcome-timeout, or name a --target (pid 7)\n    auditctl -e 1",
	}, said.all())
}

// finished is for watches whose output needs nothing at the end.
func finished() error { return nil }
