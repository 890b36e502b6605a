// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// watched is a watch of a kernel with our rules, whose clock moves only when the test says so.
type watched struct {
	*watch
	k    *fakeKernel
	m    *Manager
	at   time.Time
	logs *observer.ObservedLogs
}

func newWatched(t *testing.T, lines ...string) *watched {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	w := &watched{k: newKernel(t, append(lines, ours(self)...)...), at: time.Unix(1e9, 0), logs: logs}
	w.m, _ = newManager(t, w.k)
	w.watch = newWatch(&Guard{Changes: new(Changes), Logger: zap.New(core)})
	w.now = func() time.Time { return w.at }
	w.limit.now = w.now
	return w
}

// look looks after a while, and describes the events.
func (w *watched) look(after time.Duration) []string {
	w.at = w.at.Add(after)
	var texts []string
	for _, e := range w.watch.look(w.m) {
		text := fmt.Sprintf("%s %s", e.Tamper.Action, e.Tamper.Rule)
		if e.Audit.Recorded {
			text += fmt.Sprintf(" by %d", e.Sender.PID)
		}
		texts = append(texts, text)
	}
	return texts
}

// changed is a change that a record tells of.
func (w *watched) changed(pid int, action kill.TamperAction, rule string, keys ...string) {
	w.changes.Add(&kill.Event{
		Kind: kill.KindTamper, Time: w.at, Tamper: &kill.Tamper{Action: action, Rule: rule}, Result: kill.Success(),
		Sender: kill.Process{PID: pid}, Audit: kill.Audit{Recorded: true, Keys: keys},
	})
}

const (
	never    = "-A never,exit -F arch=b64 -S kill"
	shadowed = "rule_shadowed -a never,exit -F arch=b64 -S kill"
)

func TestWatchTellsWho(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	assert.Empty(t, w.look(0))
	for range 2 { // and again when it is undone and done again
		w.at = w.at.Add(time.Second)
		w.k.load(never)
		w.changed(77, kill.TamperRuleAdded, "exit")
		assert.Equal(t, []string{shadowed + " by 77"}, w.look(time.Second))
		assert.Empty(t, w.look(time.Second), "once")
		w.k.unload("never")
		assert.Empty(t, w.look(time.Second))
	}
}

func TestWatchAccusesNobodyFalsely(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		line string
		do   func(w *watched)
		want string
	}{
		"nobody": {never, func(*watched) {}, shadowed},
		"two who may have": {never, func(w *watched) {
			w.changed(77, kill.TamperRuleAdded, "exit")
			w.changed(78, kill.TamperRuleAdded, "exit")
		}, shadowed},
		"one, twice": {never, func(w *watched) {
			w.changed(77, kill.TamperRuleAdded, "exit")
			w.changed(77, kill.TamperRuleAdded, "exit")
		}, shadowed + " by 77"},
		"to another list": {never, func(w *watched) { w.changed(77, kill.TamperRuleAdded, "task") }, shadowed},
		"another key":     {never, func(w *watched) { w.changed(77, kill.TamperRuleAdded, "exit", "x") }, shadowed},
		"the same keys": {
			"-A never,exit -F arch=b64 -S kill -k a -k b", func(w *watched) { w.changed(77, kill.TamperRuleAdded, "exit", "a", "b") },
			shadowed + " -F key=a\x01b by 77",
		},
		"another change": {never, func(w *watched) { w.changed(77, kill.TamperRuleRemoved, "exit") }, shadowed},
		"before": {never, func(w *watched) {
			w.at = w.at.Add(-time.Second)
			w.changed(77, kill.TamperRuleAdded, "exit")
			w.at = w.at.Add(time.Second)
		}, shadowed},
		"in vain": {never, func(w *watched) {
			w.changes.Add(&kill.Event{
				Time: w.at, Tamper: &kill.Tamper{Action: kill.TamperRuleAdded, Rule: "exit"},
				Result: kill.Result{Known: true, Errno: -1},
			})
		}, shadowed},
		"while records are lost": {"-a always,exclude -F msgtype=CONFIG_CHANGE", func(w *watched) {
			w.changed(77, kill.TamperRuleAdded, "exclude")
		}, "record_type_excluded -a always,exclude -F msgtype=CONFIG_CHANGE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatched(t)
			assert.Empty(t, w.look(0))
			w.k.load(test.line)
			test.do(w)
			events := w.look(guardDelay)
			if len(events) == 0 {
				assert.Empty(t, w.look(guardDelay), "its record may come")
				events = w.look(recordDelay)
			}
			assert.Equal(t, []string{test.want}, events)
			assert.Empty(t, w.waiting)
			assert.Empty(t, w.look(recordDelay))
		})
	}
}

// What hinders from the start is told without who has done it.
func TestWatchBegins(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "-a never,exit -F arch=b64 -S kill")
	w.k.status.RateLimit = 5
	w.changed(77, kill.TamperRuleAdded, "exit")
	assert.Equal(t, []string{shadowed, "rate_limited -r 5"}, w.look(0))
	assert.Empty(t, w.look(time.Minute))
}

// A setting whose record was reported is not reported again.
func TestWatchSettings(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	assert.Empty(t, w.look(0))
	w.k.status.RateLimit = 5
	w.changed(77, kill.TamperRateLimited, "-r 5")
	assert.Empty(t, w.look(guardDelay))
	assert.Empty(t, w.look(time.Minute))
	w.k.status.RateLimit = 6
	assert.Empty(t, w.look(guardDelay))
	w.changed(77, kill.TamperRateLimited, "-r 6")
	assert.Empty(t, w.look(recordDelay), "the record was late")
	w.k.status.RateLimit = 0
	assert.Empty(t, w.look(guardDelay))
	w.k.status.RateLimit = 6
	assert.Empty(t, w.look(time.Minute))
	assert.Equal(t, []string{"rate_limited -r 6"}, w.look(recordDelay), "no record came")
	w.k.status.Enabled = 0
	assert.Empty(t, w.look(guardDelay))
	w.k.status.Enabled = 1
	assert.Empty(t, w.look(recordDelay), "not what is over before it is told")
	assert.Empty(t, w.waiting)
}

func TestWatchIsLimited(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.look(0)
	told := 0
	for range 2 * maxHindrances {
		w.k.load(never)
		w.changed(77, kill.TamperRuleAdded, "exit")
		told += len(w.look(time.Second / 4))
		w.k.unload("never")
		told += len(w.look(time.Second / 4))
	}
	assert.Equal(t, maxHindrances, told)
	assert.Equal(t, maxHindrances, w.logs.FilterMessageSnippet("again and again").Len())
	w.k.load(never)
	w.changed(77, kill.TamperRuleAdded, "exit")
	assert.Len(t, w.look(restorationWindow), 1)
}

func TestWatchNeedsNotWork(t *testing.T) {
	t.Parallel()
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		w := newWatched(t)
		w.k.refuse["list"] = unix.EPERM
		assert.Empty(t, w.look(0))
		asked := len(w.k.asked)
		assert.Empty(t, w.look(time.Minute))
		assert.Len(t, w.k.asked, asked, "it stays refused")
		assert.Equal(t, 1, w.logs.Len())
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		w := newWatched(t, "-a never,exit -F arch=b64 -S kill")
		w.k.refuse["list"] = assert.AnError
		assert.Empty(t, w.look(0))
		delete(w.k.refuse, "list")
		assert.Equal(t, []string{shadowed}, w.look(time.Minute))
	})
	t.Run("does not apply", func(t *testing.T) {
		t.Parallel()
		w := newWatched(t, "-a never,exit -F arch=b64 -S kill")
		w.applies = func(daemon int) bool { return daemon == 7 }
		assert.Empty(t, w.look(0))
		w.k.status.PID = 7
		assert.Equal(t, []string{shadowed}, w.look(time.Minute), "once it does")
	})
}

func TestChangesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	for i := range 3 * maxChanges {
		w.changed(i, kill.TamperRuleAdded, "exit")
	}
	assert.Len(t, w.changes.seen, maxChanges)
	assert.Equal(t, 2*maxChanges, w.changes.seen[0].Sender.PID)
}
