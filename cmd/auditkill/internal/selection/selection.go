// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package selection selects the signals that the user asks for, and counts why the others were
// not selected.
package selection

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Config says what to select. The zero value selects everything.
type Config struct {
	// Signals, Targets and Senders are as in the receiver's configuration, except that none
	// means all, including signal 0, and that a pid (3936) or a name with a pid (mysqld[3936]) is a process.
	Signals                        []kill.Signal
	Targets, Senders               []string
	ExcludeTargets, ExcludeSenders []string
	// User is the name or the id of the user behind a signal: who had logged in, or as whom the
	// sender ran.
	User string
	// Since and Until are the first and the last moment; zero for no limit.
	Since, Until time.Time
	// OnlyFailed leaves out signals that got through.
	OnlyFailed bool
	// Behind says who and what has to be behind a signal.
	Behind Behind
}

// Reasons that need more than a number.
const (
	reasonTime   = "at another time"
	reasonSignal = "with another signal"
)

// Selection passes what was asked for, and counts the rest.
type Selection struct {
	config   Config
	criteria []*criterion
	// behind are the conditions that ApplyBehind checks.
	behind []*criterion
	seen   int
	// targets, senders and users are the names that were seen of those that are asked for.
	targets, senders, users names
}

// maxNames bounds the names that are remembered to suggest one of them: processes choose their own.
const maxNames = 10_000

// names are names that were seen; nil remembers none.
type names map[string]bool

func (n names) add(name string) {
	if n != nil && len(n) < maxNames {
		n[name] = true
	}
}

// criterion is one condition of a selection.
type criterion struct {
	// wants may remove targets from an event.
	wants    func(*kill.Event) bool
	rejected Rejection
}

// Rejection is how many signals were not selected, and why. A signal to several targets counts for each of them.
type Rejection struct {
	// Reason completes "3 of them": "with another target".
	Reason string
	Events int
	// Signals counts the events of each signal, if that is the reason.
	Signals map[kill.Signal]int
}

// New returns a Selection. It fails if a name is not a valid glob.
func New(config Config) (*Selection, error) {
	s := &Selection{config: config}
	if !config.Since.IsZero() || !config.Until.IsZero() {
		s.add(reasonTime, s.InTime)
	}
	if len(config.Signals) > 0 {
		if err := s.filter(reasonSignal, filter.Config{Signals: config.Signals}); err != nil {
			return nil, err
		}
	}
	if len(config.Targets) > 0 {
		asked, err := newProcesses(config.Targets)
		if err != nil {
			return nil, fmt.Errorf("--target: %w", err)
		}
		s.targets = make(names)
		s.add("with another target", asked.areTargets)
	}
	if len(config.Senders) > 0 {
		asked, err := newProcesses(config.Senders)
		if err != nil {
			return nil, fmt.Errorf("--sender: %w", err)
		}
		s.senders = make(names)
		s.add("with another sender", asked.haveSent)
	}
	if len(config.ExcludeTargets) > 0 {
		asked, err := newProcesses(config.ExcludeTargets)
		if err != nil {
			return nil, fmt.Errorf("--exclude-target: %w", err)
		}
		s.add("with a target that is excluded", asked.areNotTargets)
	}
	if len(config.ExcludeSenders) > 0 {
		asked, err := newProcesses(config.ExcludeSenders)
		if err != nil {
			return nil, fmt.Errorf("--exclude-sender: %w", err)
		}
		s.add("by a sender that is excluded", func(e *kill.Event) bool { return !asked.hold(&e.Sender) })
	}
	if config.User != "" {
		s.users = make(names)
		s.add("by another user", s.byUser)
	}
	if config.OnlyFailed {
		s.add("that got through", mayHaveFailed)
	}
	err := s.addBehind()
	return s, err
}

func (s *Selection) add(reason string, wants func(*kill.Event) bool) {
	c := &criterion{wants: wants, rejected: Rejection{Reason: reason}}
	if reason == reasonSignal {
		c.rejected.Signals = make(map[kill.Signal]int)
	}
	s.criteria = append(s.criteria, c)
}

func (s *Selection) filter(reason string, config filter.Config) error {
	config.IncludeFailed = true
	f, err := filter.New(config)
	if err == nil {
		s.add(reason, f.Apply)
	}
	return err
}

// Apply removes unwanted targets from an event, and reports whether the event is selected. The
// names of its users should be filled in before.
func (s *Selection) Apply(e *kill.Event) bool {
	s.seen += weight(e)
	for i := range e.Targets {
		s.targets.add(e.Targets[i].Command)
	}
	s.senders.add(e.Sender.Command)
	for _, user := range []kill.User{e.Sender.Person(), e.Sender.User, e.Sender.RealUser} {
		s.users.add(user.Name)
	}
	return apply(s.criteria, e)
}

// weight is how many signals an event stands for: one for each target, as often as it was sent.
func weight(e *kill.Event) int { return max(1, len(e.Targets)) * e.Signals() }

// Targets returns the names of the targets that were seen, if targets were asked for.
func (s *Selection) Targets() iter.Seq[string] { return maps.Keys(s.targets) }

// Senders and Users do the same for theirs.
func (s *Selection) Senders() iter.Seq[string] { return maps.Keys(s.senders) }

// Users are all users of the senders.
func (s *Selection) Users() iter.Seq[string] { return maps.Keys(s.users) }

func apply(criteria []*criterion, e *kill.Event) bool {
	for _, c := range criteria {
		before := weight(e)
		wanted := c.wants(e)
		if wanted {
			before -= weight(e) // targets that were taken out
		}
		c.rejected.Events += before
		if c.rejected.Signals != nil && before > 0 {
			c.rejected.Signals[e.Signal] += before
		}
		if !wanted {
			return false
		}
	}
	return true
}

// InTime reports whether an event is within the time range.
func (s *Selection) InTime(e *kill.Event) bool {
	return !e.Time.Before(s.config.Since) && (s.config.Until.IsZero() || !e.Time.After(s.config.Until))
}

func (s *Selection) byUser(e *kill.Event) bool {
	p := &e.Sender
	if e.Kind == kill.KindAbend || e.Origin == kill.OriginKernel && p.PID == 0 {
		return false
	}
	if !p.Login.ID.Known && !p.User.ID.Known && !p.RealUser.ID.Known {
		return true // the record with the users is lost
	}
	for _, user := range []kill.User{p.Person(), p.User, p.RealUser} {
		if user.ID.Known && isUser(user, s.config.User) {
			return true
		}
	}
	return false
}

// isUser reports whether a name or an id is that of a user.
func isUser(user kill.User, asked string) bool {
	return asked == user.Name || user.ID.Known && asked == strconv.FormatUint(uint64(user.ID.Value), 10)
}

// mayHaveFailed removes the targets that a signal reached, and reports whether there was another,
// or nobody knows.
func mayHaveFailed(e *kill.Event) bool {
	if len(e.Targets) == 0 {
		return failedFor(e, nil)
	}
	e.Targets = slices.DeleteFunc(e.Targets, func(p kill.Process) bool { return !failedFor(e, &p) })
	return len(e.Targets) > 0
}

func failedFor(e *kill.Event, target *kill.Process) bool {
	result := e.ResultFor(target)
	return result.Failed() || e.Kind == kill.KindSignal && !result.Known && e.DeliveryTo(target) == kill.DeliveryUnknown
}

// Rejections returns why signals were not selected. Each signal counts once for each target.
func (s *Selection) Rejections() []Rejection {
	var all []Rejection
	for _, c := range slices.Concat(s.criteria, s.behind) {
		if c.rejected.Events > 0 {
			all = append(all, c.rejected)
		}
	}
	return all
}

// Seen returns how many signals there were, selected or not. A signal to several targets counts for each of them.
func (s *Selection) Seen() int { return s.seen }
