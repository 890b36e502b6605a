// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package selection tells which signals were asked for, and why the others were not.
package selection

import (
	"fmt"
	"strconv"
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

// Reasons that are told with more than a number.
const (
	reasonTime   = "at another time"
	reasonSignal = "with another signal"
)

// Selection lets through what was asked for, and counts the rest.
type Selection struct {
	config   Config
	criteria []*criterion
	seen     int
}

// criterion is one thing that was asked for.
type criterion struct {
	// wants may take targets out of an event.
	wants    func(*kill.Event) bool
	rejected Rejection
}

// Rejection is how many events were not asked for, and why.
type Rejection struct {
	// Reason completes "3 of them": "with another target".
	Reason string
	Events int
	// Signals is how many there were of each signal, if that is the reason.
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

// Apply reports whether an event is asked for, after taking the targets that are not out
// of it. Its users should have been named before.
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

// InTime reports whether an event is of the time that was asked for.
func (s *Selection) InTime(e *kill.Event) bool {
	return !e.Time.Before(s.config.Since) && (s.config.Until.IsZero() || !e.Time.After(s.config.Until))
}

func (s *Selection) byUser(e *kill.Event) bool {
	p := &e.Sender
	if e.Kind == kill.KindAbend || e.Origin == kill.OriginKernel && p.PID == 0 {
		return false
	}
	if !p.Login.ID.Known && !p.User.ID.Known && !p.RealUser.ID.Known {
		return true // the record that tells is lost
	}
	for _, user := range []kill.User{p.Login, p.User, p.RealUser} {
		if user.ID.Known && (s.config.User == user.Name || s.config.User == strconv.FormatUint(uint64(user.ID.Value), 10)) {
			return true
		}
	}
	return false
}

// mayHaveFailed reports whether a signal did not get through, or the record that tells is
// lost.
func mayHaveFailed(e *kill.Event) bool {
	return e.Result.Failed() || e.Kind == kill.KindSignal && !e.Complete && !e.Result.Known && e.Delivery == kill.DeliveryUnknown
}

// Rejections returns why events were not asked for; an event counts once.
func (s *Selection) Rejections() []Rejection {
	var all []Rejection
	for _, c := range s.criteria {
		if c.rejected.Events > 0 {
			all = append(all, c.rejected)
		}
	}
	return all
}

// Seen returns how many events there were, asked for or not.
func (s *Selection) Seen() int { return s.seen }
