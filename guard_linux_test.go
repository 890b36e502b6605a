// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
)

// fakeRules plays the kernel's list of rules.
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

func newTestGuard(t *testing.T, kernel *fakeRules) (*guard, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.WarnLevel)
	logger := zap.New(core)
	g := &guard{
		rules: auditrules.New(auditrules.Settings{Signals: []kill.Signal{9, 15}, Key: "audit_kill", Kernel: kernel}),
		key:   "audit_kill", logger: logger, sampled: logsampling.New(logger),
	}
	g.tell(g.rules.Install())
	return g, logs
}

func TestGuardPutsBack(t *testing.T) {
	t.Parallel()
	kernel := &fakeRules{enabled: 1}
	g, logs := newTestGuard(t, kernel)
	loaded := len(kernel.rules)
	require.NotZero(t, loaded)
	assert.Empty(t, logs.All())
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

	require.NoError(t, g.close())
	assert.Empty(t, kernel.rules)
}

func TestGuardTellsWhatItCannotMend(t *testing.T) {
	t.Parallel()
	kernel := &fakeRules{enabled: 1, err: unix.EPERM}
	g, logs := newTestGuard(t, kernel)
	require.Len(t, logs.All(), 1)
	told := logs.All()[0].ContextMap()
	assert.Contains(t, told["mend"], "CAP_AUDIT_CONTROL")
	assert.Contains(t, told["lines"].([]any)[0], "auditctl -a always,exit")

	kernel.err = nil
	assert.Empty(t, g.restore(), "what could not be done at the start is no tampering")
	assert.NotEmpty(t, kernel.rules)
	for range 10 {
		kernel.removeAll()
		g.restore()
	}
	assert.Empty(t, kernel.rules, "not again and again")
	assert.Equal(t, 1, logs.FilterMessageSnippet("removed again and again").Len(), "told once in a while")
}

// The guard looks as soon as it is told, and does not wait for the pipeline.
func TestGuardIsTold(t *testing.T) {
	t.Parallel()
	kernel := &fakeRules{enabled: 1}
	g, _ := newTestGuard(t, kernel)
	suspicion := make(chan struct{}, 1)
	g.suspicion = suspicion
	ctx, cancel := context.WithCancel(t.Context())
	stuck, done := make(chan struct{}), make(chan struct{})
	var delivered []*kill.Event
	go func() {
		defer close(done)
		g.run(ctx, func(events []*kill.Event) error {
			<-stuck
			delivered = append(delivered, events...)
			return nil
		})
	}()
	loaded := kernel.count()
	for range 2 {
		kernel.removeAll()
		suspicion <- struct{}{}
		require.Eventually(t, func() bool { return kernel.count() == loaded }, time.Minute, 10*time.Millisecond)
	}
	close(stuck)
	cancel()
	<-done
	assert.Len(t, delivered, 2*loaded)
}

func TestGuardEndsWithTheReceiver(t *testing.T) {
	t.Parallel()
	kernel := &fakeRules{enabled: 1}
	g, _ := newTestGuard(t, kernel)
	suspicion := make(chan struct{}, 1)
	g.suspicion = suspicion
	ctx, cancel := context.WithCancel(t.Context())
	kernel.removeAll()
	suspicion <- struct{}{}
	g.run(ctx, func([]*kill.Event) error {
		cancel()
		return errStopping
	})
}
