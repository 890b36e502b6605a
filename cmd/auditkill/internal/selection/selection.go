// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package selection tells which signals were asked for, and why the others were not.
package selection

import (
	"fmt"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Config says what is asked for. The zero value asks for everything.
type Config struct {
	// Signals, Targets and Senders are as in the receiver's configuration, but that none
	// means all, signal 0 too.
	Signals          []kill.Signal
	Targets, Senders []string
	// User is the name or the id of whoever is behind a signal: who logged in, or who the
	// sender ran as.
	User string
	// Since and Until are the first and the last moment; zero for no limit.
	Since, Until time.Time
	// OnlyFailed leaves out what got through.
	OnlyFailed bool
}

// Selection lets through what was asked for, and counts the rest.
type Selection struct {
	config   Config
	criteria []*criterion
	signals  map[kill.Signal]int
}

// criterion is one thing that was asked for.
type criterion struct {
	name string
	// wants may take targets out of an event.
	wants    func(*kill.Event) bool
	rejected int
}

// New returns a Selection. It fails if a name is no valid glob.
func New(config Config) (*Selection, error) {
	s := &Selection{config: config, signals: make(map[kill.Signal]int)}
	if !config.Since.IsZero() || !config.Until.IsZero() {
		s.add("at another time", s.inTime)
	}
	if len(config.Signals) > 0 {
		if err := s.filter("another signal", filter.Config{Signals: config.Signals}); err != nil {
			return nil, err
		}
	}
	if len(config.Targets) > 0 {
		if err := s.filter("another target", filter.Config{Targets: config.Targets}); err != nil {
			return nil, fmt.Errorf("--target: %w", err)
		}
	}
	if len(config.Senders) > 0 {
		if err := s.filter("another sender", filter.Config{Senders: config.Senders}); err != nil {
			return nil, fmt.Errorf("--sender: %w", err)
		}
	}
	if config.User != "" {
		s.add("another user", s.byUser)
	}
	if config.OnlyFailed {
		s.add("successful", func(e *kill.Event) bool { return e.Result.Failed() })
	}
	return s, nil
}

func (s *Selection) add(name string, wants func(*kill.Event) bool) {
	s.criteria = append(s.criteria, &criterion{name: name, wants: wants})
}

func (s *Selection) filter(name string, config filter.Config) error {
	config.IncludeFailed = true
	f, err := filter.New(config)
	if err == nil {
		s.add(name, f.Apply)
	}
	return err
}

// Apply reports whether an event is asked for, after taking the targets that are not out
// of it. Its users should have been named before.
func (s *Selection) Apply(e *kill.Event) bool {
	if e.SignalKnown {
		s.signals[e.Signal]++
	}
	for _, c := range s.criteria {
		if !c.wants(e) {
			c.rejected++
			return false
		}
	}
	return true
}

func (s *Selection) inTime(e *kill.Event) bool {
	return !e.Time.Before(s.config.Since) && (s.config.Until.IsZero() || !e.Time.After(s.config.Until))
}

func (s *Selection) byUser(e *kill.Event) bool {
	p := &e.Sender
	if e.Kind == kill.KindAbend || e.Origin == kill.OriginKernel && p.PID == 0 {
		return false
	}
	for _, user := range []kill.User{p.Login, p.User, p.RealUser} {
		if user.ID.Known && (s.config.User == user.Name || s.config.User == fmt.Sprint(user.ID.Value)) {
			return true
		}
	}
	return false
}

// Rejection is how many events were not asked for, and why: "another target".
type Rejection struct {
	Reason string
	Events int
}

// Rejections returns why events were not asked for; an event counts once.
func (s *Selection) Rejections() []Rejection {
	var all []Rejection
	for _, c := range s.criteria {
		if c.rejected > 0 {
			all = append(all, Rejection{c.name, c.rejected})
		}
	}
	return all
}

// Signals returns how many events of each signal there were, asked for or not.
func (s *Selection) Signals() map[kill.Signal]int { return s.signals }
