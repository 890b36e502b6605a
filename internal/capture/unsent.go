// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// tellsUnsent reports whether ends are reported of processes to which no signal was seen. If only some
// senders are wanted, it would be wrong to say that nobody was seen.
func (s *Settings) tellsUnsent() bool {
	return s.OutcomeTimeout > 0 && s.Unsent != kill.UnsentNone && len(s.Senders) == 0 && !s.ExcludesSenders
}

// sees reports whether a signal is seen whoever sends it, and whatever its target does about it.
func (s *Settings) sees(signal kill.Signal) bool {
	return len(s.Senders) == 0 && !s.ExcludesSenders && slices.Contains(s.Signals, signal)
}

// tellsExits reports whether ends by exit may be among them, too.
func (s *Settings) tellsExits() bool {
	return s.Unsent == kill.UnsentAll || s.Unsent == kill.UnsentUsual && len(s.Targets) > 0
}

// wantsUnsent reports whether the end of a process is wanted to which no signal was seen.
func (c *Capture) wantsUnsent(end *kill.End) bool {
	s := &c.settings
	if !s.tellsUnsent() || !c.wantsEnd(end) || !c.wantsProcess(end.Process) {
		return false
	}
	// A signal that was blocked when it was sent was not told: it did not end its target then.
	end.Complete = end.Complete && !slices.Contains(s.Ending, end.Exit.Signal())
	named := &kill.Event{Targets: []kill.Process{*end.Process}}
	c.users.Fill(named)
	c.names.Fill(named)
	end.Process = &named.Targets[0]
	return true
}

// wantsEnd reports whether the way in which a process has ended is of interest. Of signals that were not
// asked for, nobody looks for the sender.
func (c *Capture) wantsEnd(end *kill.End) bool {
	s := &c.settings
	switch signal := end.Exit.Signal(); signal {
	case 0:
		return s.tellsExits() && (s.Unsent == kill.UnsentAll || end.Parent == nil || !c.wantsProcess(end.Parent))
	case kill.SIGPIPE:
		if s.Unsent == kill.UnsentAll && len(s.Ending) > 0 {
			return true
		}
		fallthrough
	default:
		return slices.Contains(s.Signals, signal) || slices.Contains(s.Ending, signal)
	}
}

// wantsProcess reports whether a process is one of the targets.
func (c *Capture) wantsProcess(p *kill.Process) bool {
	e := &kill.Event{Kind: kill.KindOutcome, TargetCount: -1, Complete: true}
	*e.AddTarget() = *p
	return c.handler.WantsEnd(e)
}

// Ending returns the signals that are reported only if their target ends of them, for a user who has
// not said which signals he wants. SIGPIPE is one only for named targets: every `yes | head` ends by it.
func Ending(targets []string) []kill.Signal {
	return slices.DeleteFunc(kill.EndingSignals(), func(s kill.Signal) bool { return s == kill.SIGPIPE && len(targets) == 0 })
}
