// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"strings"
	"time"

	"github.com/moby/sys/capability"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// guardInterval is how often the guard looks at the rules on its own: while audit is off,
// nothing tells that they are removed. It is short, as somebody waits for lines.
const guardInterval = time.Second

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
		key:   w.config.Key, logger: logsampling.New(w.logger), suspicion: make(chan struct{}, 1),
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
	looking := auditrules.Guard{
		Manager: g.rules, Key: g.key, Interval: guardInterval, Suspicion: g.suspicion, Tell: g.tell, Logger: g.logger,
	}
	looking.Run(ctx, func(events []*kill.Event) bool { return deliver(events) == nil })
}

func (g *guard) tell(problems []auditrules.Problem) {
	for _, text := range told(problems) {
		g.logger.Warn(strings.TrimPrefix(text, "warning: "))
	}
}

// close removes the rules that were added.
func (g *guard) close() error {
	if g.off {
		return nil
	}
	return g.rules.Remove()
}
