// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package problem describes what keeps signals from being captured, and what fixes it. It
// leaves the names of settings to the program that reports a problem: a setting is a key of
// the collector's configuration, but a flag of the command.
package problem

import (
	"errors"
	"slices"
	"strings"

	"github.com/moby/sys/capability"
)

// Advice is a change of the settings that fixes a problem. Each program words it with the names
// of its own settings; a program without such a setting words other advice, or none.
type Advice int

const (
	// UseFile is to read the audit log instead.
	UseFile Advice = iota
	// UseNetlink is to take audit records from the kernel instead.
	UseNetlink
	// UseMulticast is to listen beside the audit daemon.
	UseMulticast
	// UseDaemonsPlace is to take the place of the audit daemon.
	UseDaemonsPlace
	// YieldToDaemon is to make room for an audit daemon that is started.
	YieldToDaemon
	// RaiseReceiveBuffer is to make the socket's buffer larger.
	RaiseReceiveBuffer
	// RaiseRingBuffer is to make the buffer between kernel and program larger.
	RaiseRingBuffer
	// WatchFewer is to watch fewer processes at a time, or for a shorter time.
	WatchFewer
	// LoadRulesByHand is to load the audit rules as root instead of letting the program do it.
	LoadRulesByHand
	// LeaveRules is to let the program leave the audit rules as they are.
	LeaveRules
	// MountRoot is to mount the host's file system for a program in a container.
	MountRoot
	// NameLogFile is to name a log file instead of something else.
	NameLogFile

	advices // how many there are
)

// AllAdvice returns every Advice, for the tests of the programs that word it.
func AllAdvice() []Advice {
	all := make([]Advice, advices)
	for i := range all {
		all[i] = Advice(i)
	}
	return all
}

// Problem is what keeps signals from being captured or their outcomes from being known, and
// what fixes it. It is an error, too.
type Problem struct {
	// What says what is wrong, and what that means.
	What string
	// Err is the error behind it; nil if there is none.
	Err error
	// Lacking are the capabilities that the process lacks.
	Lacking []capability.Cap
	// Fix says what to do apart from changing settings; empty if nothing is known.
	Fix string
	// Advice is what else fixes it, by changing settings; the best first.
	Advice []Advice
	// Lines are the exact commands to run, or the lines to put into a file.
	Lines []string
	// Details say more about this case, in the order in which to show them.
	Details []Detail
}

// Detail is a name with a value: a number or a text.
type Detail struct {
	Name  string
	Value any
}

// Vocabulary is how a program words problems.
type Vocabulary interface {
	// Advise words advice; empty if the program has no such setting.
	Advise(advice Advice) string
	// Lack says which capabilities the process lacks, and how to grant them.
	Lack(lacking []capability.Cap) string
}

// Error implements error, without advice about settings.
func (p *Problem) Error() string { return p.Say(plain{}) }

// Unwrap returns the error behind the problem.
func (p *Problem) Unwrap() error { return p.Err }

// Say words the problem in one line, without its details and lines.
func (p *Problem) Say(v Vocabulary) string {
	var causes []string
	if p.What != "" {
		causes = append(causes, p.What)
	}
	if p.Err != nil {
		causes = append(causes, Text(p.Err, v))
	}
	if len(p.Lacking) > 0 {
		causes = append(causes, v.Lack(p.Lacking))
	}
	text := strings.Join(causes, ": ")
	if remedy := p.Remedy(v); remedy != "" {
		text += "; " + remedy
	}
	return text
}

// Remedy words what fixes the problem; empty if nothing is known.
func (p *Problem) Remedy(v Vocabulary) string {
	var ways []string
	if p.Fix != "" {
		ways = append(ways, p.Fix)
	}
	for _, advice := range p.Advice {
		if way := v.Advise(advice); way != "" && !slices.Contains(ways, way) {
			ways = append(ways, way)
		}
	}
	return strings.Join(ways, ", or ")
}

// Text words an error. The problems that it consists of or wraps are in the words of v.
func Text(err error, v Vocabulary) string {
	if p, ok := err.(*Problem); ok { //nolint:errorlint // what is wrapped is next
		return p.Say(v)
	}
	text := err.Error()
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, each := range joined.Unwrap() {
			text = strings.Replace(text, each.Error(), Text(each, v), 1)
		}
		return text
	}
	if wrapped := errors.Unwrap(err); wrapped != nil {
		text = strings.Replace(text, wrapped.Error(), Text(wrapped, v), 1)
	}
	return text
}

// plain is the vocabulary of a program without settings.
type plain struct{}

func (plain) Advise(Advice) string { return "" }

func (plain) Lack(lacking []capability.Cap) string { return "the process lacks " + Names(lacking) }

// Names returns capabilities as capabilities(7) writes them: "CAP_BPF and CAP_PERFMON".
func Names(capabilities []capability.Cap) string {
	names := make([]string, len(capabilities))
	for i, c := range capabilities {
		names[i] = "CAP_" + strings.ToUpper(c.String())
	}
	return strings.Join(names, " and ")
}
