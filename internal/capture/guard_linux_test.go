// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// fakeRules stands in for the kernel's list of rules.
type fakeRules struct {
	mutex   sync.Mutex
	enabled uint32
	rules   [][]byte
	err     error
}

func (f *fakeRules) GetStatus() (*libaudit.AuditStatus, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return &libaudit.AuditStatus{Enabled: f.enabled}, f.err
}

func (f *fakeRules) SetEnabled(enabled bool, _ libaudit.WaitMode) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.enabled = 0
	if enabled {
		f.enabled = 1
	}
	return f.err
}

func (f *fakeRules) GetRules() ([][]byte, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return slices.Clone(f.rules), f.err
}

func (f *fakeRules) AddRule(rule []byte) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.rules = append(f.rules, slices.Clone(rule))
	return f.err
}

func (f *fakeRules) DeleteRule(rule []byte) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.rules = slices.DeleteFunc(f.rules, func(r []byte) bool { return slices.Equal(r, rule) })
	return f.err
}

func (f *fakeRules) removeAll() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.rules = nil
}

func (f *fakeRules) count() int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return len(f.rules)
}

// guarded is a capture that only guards rules.
type guarded struct {
	*Capture
	logs   *observer.ObservedLogs
	warned []*problem.Problem
}

func newGuarded(t *testing.T, kernel *fakeRules) *guarded {
	t.Helper()
	core, logs := observer.New(zapcore.WarnLevel)
	g := &guarded{logs: logs}
	g.Capture = newCapture(Settings{
		Logger: zap.New(core), Warn: func(p *problem.Problem) { g.warned = append(g.warned, p) },
	})
	g.guard = &guard{
		rules: auditrules.New(auditrules.Settings{Signals: []kill.Signal{9, 15}, Key: "audit_kill", Kernel: kernel}),
		key:   "audit_kill",
	}
	g.guard.problems = g.guard.rules.Install()
	g.beginGuard()
	return g
}

// restore makes the guard check once.
func (g *guarded) restore() []*kill.Event { return g.guard.checks.Restore() }

func TestGuardPutsBack(t *testing.T) {
	t.Parallel()
	kernel := &fakeRules{enabled: 1}
	g := newGuarded(t, kernel)
	loaded := len(kernel.rules)
	require.NotZero(t, loaded)
	assert.Empty(t, g.warned)
	assert.Empty(t, g.restore(), "nothing is missing")

	kernel.removeAll()
	kernel.enabled = 0
	events := g.restore()
	require.Len(t, events, loaded+1)
	for _, e := range events {
		assert.Equal(t, kill.KindTamper, e.Kind)
	}
	assert.Equal(t, kill.TamperRuleRestored, events[0].Tamper.Action)
	assert.Contains(t, events[0].Tamper.Rule, "-a always,exit -F arch=b64 -S kill,")
	assert.Equal(t, kill.TamperAuditRestored, events[loaded].Tamper.Action)
	assert.Len(t, kernel.rules, loaded)
	assert.EqualValues(t, 1, kernel.enabled)

	require.NoError(t, g.guard.close())
	assert.Empty(t, kernel.rules)
}

func TestGuardReportsWhatItCannotFix(t *testing.T) {
	t.Parallel()
	kernel := &fakeRules{enabled: 1, err: unix.EPERM}
	g := newGuarded(t, kernel)
	require.Len(t, g.warned, 1)
	require.ErrorContains(t, g.warned[0], "CAP_AUDIT_CONTROL")
	assert.Contains(t, g.warned[0].Lines[0], "auditctl -a always,exit")

	kernel.err = nil
	assert.Empty(t, g.restore(), "a rule that could not be loaded at the start was not tampered with")
	assert.NotEmpty(t, kernel.rules)
	for range 10 {
		kernel.removeAll()
		g.restore()
	}
	assert.Empty(t, kernel.rules, "not again and again")
	assert.Equal(t, 1, g.logs.FilterMessageSnippet("removed again and again").Len(), "logged once in a while")
}

// The guard checks as soon as it is requested, and does not wait for the pipeline.
func TestGuardChecksOnRequest(t *testing.T) {
	t.Parallel()
	kernel := &fakeRules{enabled: 1}
	g := newGuarded(t, kernel)
	ctx, cancel := context.WithCancel(t.Context())
	stuck, done := make(chan struct{}), make(chan struct{})
	h := &handler{signal: func(*kill.Event) error {
		<-stuck
		return nil
	}}
	g.handler = h
	go func() {
		defer close(done)
		g.runGuard(ctx)
	}()
	loaded := kernel.count()
	for range 2 {
		kernel.removeAll()
		g.requestRulesCheck()
		require.Eventually(t, func() bool { return kernel.count() == loaded }, time.Minute, 10*time.Millisecond)
	}
	close(stuck)
	cancel()
	<-done
	assert.Len(t, h.signals, 2*loaded)
}

func TestGuardEndsWithTheReceiver(t *testing.T) {
	t.Parallel()
	kernel := &fakeRules{enabled: 1}
	g := newGuarded(t, kernel)
	ctx, cancel := context.WithCancel(t.Context())
	kernel.removeAll()
	g.requestRulesCheck()
	g.handler = &handler{signal: func(*kill.Event) error {
		cancel()
		return errors.New("shutting down")
	}}
	g.runGuard(ctx)
}

// Whoever hinders the rules as soon as records arrive is named, even if the guard does not run yet.
func TestGuardNamesWhoComesBeforeItRuns(t *testing.T) {
	t.Parallel()
	kernel := &fakeRules{enabled: 1}
	g := newGuarded(t, kernel)
	parsed, err := flags.Parse("-a task,never -F uid=54321")
	require.NoError(t, err)
	hindrance, err := rule.Build(parsed)
	require.NoError(t, err)
	require.NoError(t, kernel.AddRule(hindrance))
	g.changes.Add(&kill.Event{
		Time: time.Now(), Tamper: &kill.Tamper{Action: kill.TamperRuleAdded, Rule: "task"},
		Sender: kill.Process{PID: 77},
	})
	g.requestRulesCheck()
	ctx, cancel := context.WithCancel(t.Context())
	g.handler = &handler{signal: func(e *kill.Event) error {
		assert.Equal(t, kill.TamperRuleShadowed, e.Tamper.Action)
		assert.Equal(t, 77, e.Sender.PID)
		cancel()
		return nil
	}}
	g.runGuard(ctx)
}

// A guard of rules that others load changes nothing, but reports what hinders them, and who did that
// if a record says so.
func TestGuardOnlyObserves(t *testing.T) {
	t.Parallel()
	kernel := &fakeRules{enabled: 0}
	g := newGuarded(t, kernel)
	loaded := kernel.count()
	kernel.enabled = 0
	daemon := -1
	g.guard = &guard{
		rules:      auditrules.New(auditrules.Settings{Signals: []kill.Signal{9, 15}, Key: "audit_kill", Kernel: kernel}),
		fromKernel: func(pid int) bool { daemon = pid; return true },
	}
	g.beginGuard()
	assert.False(t, g.ManagesRules())
	ctx, cancel := context.WithCancel(t.Context())
	g.handler = &handler{signal: func(e *kill.Event) error {
		assert.Equal(t, kill.TamperAuditDisabled, e.Tamper.Action)
		assert.Zero(t, e.Sender.PID)
		cancel()
		return nil
	}}
	g.runGuard(ctx)
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	assert.Zero(t, daemon, "there is none")
	assert.EqualValues(t, 0, kernel.enabled)
	assert.Equal(t, loaded, kernel.count())
	require.NoError(t, g.guard.close())
	assert.Equal(t, loaded, kernel.count())
}

func TestNoteChange(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, &fakeRules{enabled: 1})
	g.correlation(&Candidate{}).Changed(&kill.Event{
		Kind: kill.KindTamper, Tamper: &kill.Tamper{Action: kill.TamperRuleAdded}, Result: kill.Success(),
	})
	assert.Len(t, g.rulesCheck, 1)
}
