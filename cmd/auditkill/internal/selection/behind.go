// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Behind says who and what has to be behind a signal. Unlike the other conditions, these want it to be known.
type Behind struct {
	// User is the name or the id of the person.
	User string
	// From is the host that the login came from: an address, a network such as 10.0.0.0/8, or a name.
	From string
	// Causes are those of which it has to be one, or the last signal of an outcome.
	Causes []kill.Cause
	// Requesters are globs on the program that has asked for it, or that has begun it.
	Requesters []string
}

// Empty reports whether it asks for nothing.
func (b *Behind) Empty() bool {
	return b.User == "" && b.From == "" && len(b.Causes) == 0 && len(b.Requesters) == 0
}

func (s *Selection) addBehind() error {
	asked := &s.config.Behind
	add := func(reason string, wants func(*kill.Event) bool) {
		s.behind = append(s.behind, &criterion{wants: wants, rejected: Rejection{Reason: reason}})
	}
	if asked.User != "" {
		add("with another user behind it", asked.byUser)
	}
	if asked.From != "" {
		add("from another address", asked.from())
	}
	if len(asked.Causes) > 0 {
		add("with another cause", asked.because)
	}
	if len(asked.Requesters) > 0 {
		names, err := filter.NewNames(asked.Requesters)
		if err != nil {
			return fmt.Errorf("--requester: %w", err)
		}
		add("with another requester", func(e *kill.Event) bool { return requestedBy(e.Behind, names) })
	}
	return nil
}

// ApplyBehind reports whether who and what is behind an event is what was asked for. That is often known only
// after Apply.
func (s *Selection) ApplyBehind(e *kill.Event) bool { return apply(s.behind, e) }

func (b *Behind) byUser(e *kill.Event) bool {
	person := e.Behind.Person(&e.Sender)
	return person != (kill.User{}) && isUser(person, b.User)
}

// fourNumbers is how an IPv4 address is written; no name of a host is written so.
var fourNumbers = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+$`)

// CheckFrom refuses what is written as an address or a network and is none, which would be taken for the name of a host.
func CheckFrom(from string) error {
	if _, err := netip.ParsePrefix(from); err != nil && strings.Contains(from, "/") {
		return fmt.Errorf("%q is no network; write one as 10.0.0.0/8", from)
	}
	if _, err := netip.ParseAddr(from); err != nil && fourNumbers.MatchString(from) {
		return fmt.Errorf("%q is no address; write one as 10.0.0.5, a network as 10.0.0.0/8", from)
	}
	return nil
}

// from returns what checks where a login came from. An address may be written in several ways.
func (b *Behind) from() func(*kill.Event) bool {
	network, err := netip.ParsePrefix(b.From)
	if address, wrong := netip.ParseAddr(b.From); wrong == nil {
		address = address.Unmap()
		network, err = netip.PrefixFrom(address.WithZone(""), address.BitLen()), nil
	}
	return func(e *kill.Event) bool {
		if e.Behind == nil || e.Behind.Session == nil || e.Behind.Session.Address == "" {
			return false
		}
		from := e.Behind.Session.Address
		address, wrong := netip.ParseAddr(from)
		return strings.EqualFold(from, b.From) || err == nil && wrong == nil && network.Contains(address.Unmap().WithZone(""))
	}
}

func (b *Behind) because(e *kill.Event) bool {
	return slices.Contains(b.Causes, e.Cause) || e.Outcome != nil && slices.Contains(b.Causes, e.Outcome.LastCause)
}

// requestedBy reports whether one of some globs matches the program that has asked for a signal, or that has
// begun it.
func requestedBy(b *kill.Behind, names filter.Names) bool {
	if b == nil {
		return false
	}
	known := func(p *kill.Process) bool { return p.Command != "" || p.Executable != "" }
	if b.Requester != nil && known(b.Requester) && names.Match(b.Requester) {
		return true
	}
	return b.Initiator != nil && b.Initiator.Command != "" && names.Match(&kill.Process{Command: b.Initiator.Command})
}
