// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package wording puts the problems and losses of the capture engine into the words of the
// command: with its flags, in lines for a person at a terminal.
package wording

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moby/sys/capability"

	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// Words is the vocabulary of the command: its flags.
type Words struct{}

var _ problem.Vocabulary = Words{}

// Advise implements problem.Vocabulary.
func (Words) Advise(advice problem.Advice) string {
	switch advice {
	case problem.UseFile:
		return "use --source file"
	case problem.UseNetlink:
		return "use --source multicast"
	case problem.UseMulticast:
		return "use --source multicast, which listens beside it"
	case problem.UseDaemonsPlace:
		return "use --source unicast"
	case problem.YieldToDaemon:
		return "auditkill makes room for it without --source unicast"
	case problem.RaiseReceiveBuffer:
		return "ask for fewer with --signal"
	case problem.RaiseRingBuffer:
		return "ask for fewer with --signal or --target"
	case problem.WatchFewer:
		return "set a shorter --outcome-timeout, or name a --target"
	case problem.LoadRulesByHand:
		return "load them as root"
	case problem.LeaveRules:
		return "use --source ebpf"
	case problem.MountRoot:
		return "run it on the host itself"
	case problem.NameLogFile:
		return "set --file to the log file, such as " + capture.DefaultLog
	}
	return ""
}

// Lack implements problem.Vocabulary.
func (Words) Lack(lacking []capability.Cap) string { return "it lacks " + problem.Names(lacking) }

// Error returns an error in the words of the command, in one line.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(Line(problem.Text(err, Words{})))
}

// Line makes one line of a text, and escapes what a terminal would act on.
func Line(text string) string {
	return visible.Message(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))
}

// Warning words a problem, with its lines below it.
func Warning(p *problem.Problem) string {
	var details []string
	for _, d := range p.Details {
		details = append(details, Line(fmt.Sprintf("%s %v", strings.ReplaceAll(d.Name, "_", " "), d.Value)))
	}
	text := "warning: " + Line(p.Say(Words{}))
	if len(details) > 0 {
		text += " (" + strings.Join(details, ", ") + ")"
	}
	lines := []string{text}
	for _, line := range p.Lines {
		lines = append(lines, Line(line))
	}
	return strings.Join(lines, "\n    ")
}

// sum words the total of a loss.
func sum(loss source.Loss) string {
	switch loss {
	case source.RingSignals, source.RingProcesses:
		return "the buffer of the kernel's programs was full for %d records"
	case source.ProgramsSkipped:
		return "the kernel has skipped tracing programs %d times"
	case source.KernelRecords:
		return "the kernel has lost %d audit records"
	case source.ReceiveOverruns:
		return "the buffer for audit records was full %d times"
	case source.SequenceGaps:
		return "%d audit events are missing"
	case source.QueueFull:
		return "%d signals came faster than they were printed"
	case source.KernelLogMessages:
		return "%d messages of the kernel's log were overwritten before they were read"
	case source.RotatedFiles:
		return "a part of the log was rotated away %d times before it was read"
	}
	return ""
}

// Lost returns what was lost in total, a line for each reason.
func Lost(counts *source.Counts) []string {
	sums := map[string]int64{}
	var reasons []string
	for _, loss := range source.AllLosses() {
		reason := sum(loss)
		if n := counts.Lost(loss); n > 0 {
			if sums[reason] == 0 {
				reasons = append(reasons, reason)
			}
			sums[reason] += n
		}
	}
	var lines []string
	for _, reason := range reasons {
		lines = append(lines, "signals may be missing: "+fmt.Sprintf(reason, sums[reason]))
	}
	return lines
}
