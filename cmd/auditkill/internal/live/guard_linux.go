// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/moby/sys/capability"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/occasional"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// guardInterval is how often the guard looks at the rules on its own: while audit is
	// off, nothing tells that they are removed. It is short, as somebody waits for lines.
	guardInterval = time.Second
	// guardDelay is how long it waits after it was told: auditctl -D removes one rule
	// after the other.
	guardDelay = 250 * time.Millisecond
)

// guard keeps audit rules loaded that make the kernel record what is asked for.
type guard struct {
	rules  *auditrules.Manager
	key    string
	logger *zap.Logger
	// suspicion holds a token once there is reason to look.
	suspicion chan struct{}
	// off is true without the right to load rules.
	off bool
}

func newGuard(w *Watch) *guard {
	return &guard{
		rules: auditrules.New(auditrules.Settings{Signals: w.config.signals(), Key: w.config.Key, Logger: w.logger}),
		key:   w.config.Key, logger: occasional.Logger(w.logger), suspicion: make(chan struct{}, 1),
	}
}

// install loads the rules, and returns what keeps signals from being recorded nevertheless.
func (g *guard) install() []string {
	if lacking := lacking(capability.CAP_AUDIT_CONTROL); lacking != nil {
		g.off = true
		return []string{"warning: no audit rules are loaded, as " + lacking.Error() +
			": only what others have the kernel record is seen"}
	}
	return told(g.rules.Install())
}

// told says problems to a person.
func told(problems []auditrules.Problem) []string {
	var texts []string
	for _, p := range problems {
		what := p.What
		if p.Err != nil {
			what += ": " + p.Err.Error()
		}
		lines := []string{"warning: " + plain(what) + "; " + plain(p.Mend)}
		for _, line := range p.Lines {
			lines = append(lines, plain(line))
		}
		texts = append(texts, strings.Join(lines, "\n    "))
	}
	return texts
}

// suspect makes the guard look.
func (g *guard) suspect() {
	select {
	case g.suspicion <- struct{}{}:
	default: // it will
	}
}

// run puts back what somebody removes, until ctx is done, and tells of it.
func (g *guard) run(ctx context.Context, deliver source.Deliver) {
	if g.off {
		return
	}
	for g.wait(ctx) {
		if events := g.restore(); len(events) > 0 && deliver(events) != nil {
			return
		}
	}
}

// wait waits until it is time to look. It reports false if ctx is done.
func (g *guard) wait(ctx context.Context) bool {
	timer := time.NewTimer(guardInterval)
	defer timer.Stop()
	select {
	case <-g.suspicion:
		timer.Reset(guardDelay)
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// restore returns an event for each rule that it has put back.
func (g *guard) restore() []*kill.Event {
	found, err := g.rules.Restore()
	for _, text := range told(found.Obstacles) {
		g.logger.Warn(strings.TrimPrefix(text, "warning: "))
	}
	switch {
	case errors.Is(err, auditrules.ErrTooOften):
		g.logger.Error("audit rules are removed again and again, so that signals stay unseen", zap.Error(err))
	case err != nil:
		g.logger.Error("audit rules could not be put back, so that signals stay unseen", zap.Error(err))
	}
	var events []*kill.Event
	for _, rule := range found.Restored {
		events = append(events, kill.RestoredRule(time.Now(), rule.String(), g.key))
	}
	if found.Enabled {
		events = append(events, kill.RestoredAudit(time.Now()))
	}
	return events
}

// close removes the rules that were added.
func (g *guard) close() error {
	if g.off {
		return nil
	}
	return g.rules.Remove()
}
