// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package selection selects the signals that the user asks for, and counts why the others were
// not selected.
package selection

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Config says what to select. The zero value selects everything.
type Config struct {
	// Signals, Targets and Senders are as in the receiver's configuration, except that none
	// means all, including signal 0.
	Signals          []kill.Signal
	Targets, Senders []string
	// User is the name or the id of the user behind a signal: who had logged in, or as whom the
	// sender ran.
	User string
	// Since and Until are the first and the last moment; zero for no limit.
	Since, Until time.Time
	// OnlyFailed leaves out signals that got through.
	OnlyFailed bool
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
	seen     int
}

// criterion is one condition of a selection.
type criterion struct {
	// wants may remove targets from an event.
	wants    func(*kill.Event) bool
	rejected Rejection
}

// Rejection is how many events were not selected, and why.
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
		if err := s.filter("with another target", filter.Config{Targets: config.Targets}); err != nil {
			return nil, fmt.Errorf("--target: %w", err)
		}
	}
	if len(config.Senders) > 0 {
		if err := s.filter("with another sender", filter.Config{Senders: config.Senders}); err != nil {
			return nil, fmt.Errorf("--sender: %w", err)
		}
	}
	if config.User != "" {
		s.add("by another user", s.byUser)
	}
	if config.OnlyFailed {
		s.add("that got through", mayHaveFailed)
	}
	return s, nil
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
	s.seen++
	for _, c := range s.criteria {
		if c.wants(e) {
			continue
		}
		c.rejected.Events++
		if c.rejected.Signals != nil {
			c.rejected.Signals[e.Signal]++
		}
		return false
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
	for _, user := range []kill.User{p.Login, p.User, p.RealUser} {
		if user.ID.Known && (s.config.User == user.Name || s.config.User == strconv.FormatUint(uint64(user.ID.Value), 10)) {
			return true
		}
	}
	return false
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

// Rejections returns why events were not selected. Each event counts once.
func (s *Selection) Rejections() []Rejection {
	var all []Rejection
	for _, c := range s.criteria {
		if c.rejected.Events > 0 {
			all = append(all, c.rejected)
		}
	}
	return all
}

// Seen returns how many events there were, selected or not.
func (s *Selection) Seen() int { return s.seen }
