// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/redact"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/likeness"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// selectionFlags are the flags that select signals.
type selectionFlags struct {
	signals          []string
	targets, senders []string
	pids             []string
	noTargets        []string
	noSenders        []string
	user             string
	failed           bool
	byUser, from     string
	causes           []string
	requesters       []string
	output           string
	commandLine      string

	flags *pflag.FlagSet
}

func (f *selectionFlags) register(flags *pflag.FlagSet, signals string) {
	f.flags = flags
	flags.StringSliceVarP(&f.signals, "signal", "s", nil, "signals, such as KILL,TERM, 9 or SIGRTMIN+1 (default "+signals+")")
	flags.StringSliceVarP(&f.targets, "target", "t", nil, "target processes by name, pid or both, such as mysqld, \"postgres*\", 3936 or \"mysqld[3936]\"")
	flags.StringSliceVarP(&f.pids, "pid", "p", nil, "pids of the target processes")
	flags.StringSliceVar(&f.noTargets, "exclude-target", nil, "target processes to leave out, in the same forms")
	flags.StringSliceVar(&f.senders, "sender", nil, "sending processes in the same forms, or paths of their programs, such as \"/usr/*/kill\"")
	flags.StringSliceVar(&f.noSenders, "exclude-sender", nil, "sending processes to leave out, in the same forms")
	flags.StringVarP(&f.user, "user", "u", "", "user (name or id) who had logged in, or as whom the sender ran")
	flags.StringVar(&f.byUser, "by-user", "", "user (name or id) behind the signal: whose login it was, or who has asked the sender")
	flags.StringVar(&f.from, "from", "", "where that login came from: an address, a network such as 10.0.0.0/8, or a name")
	flags.StringSliceVar(&f.causes, "cause", nil, "why it was sent, such as service_stop,stop_timeout")
	flags.StringSliceVar(&f.requesters, "requester", nil, "names of the programs that have asked for it or begun it, or their paths, such as \"ansible*\"")
	flags.BoolVar(&f.failed, "failed", false, "only signals that failed (EPERM, ESRCH, ...)")
	flags.StringVarP(&f.output, "output", "o", listing.FormatTable, "table, json (one object per line) or csv")
	flags.StringVar(&f.commandLine, "command-line", string(redact.Redacted),
		"how to show the sender's command line: redacted, program (only its first word), full or off")
}

// complete registers the values of flags that a shell completes.
func (f *selectionFlags) complete(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("signal", completeSignals) // the flag is there
	_ = cmd.RegisterFlagCompletionFunc("cause", completeCauses)   // the flag is there
	fixed := map[string][]string{
		"output":       listing.Formats(),
		"command-line": {string(redact.Redacted), string(redact.Program), string(redact.Full), string(redact.Off)},
	}
	for flag, values := range fixed {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	}
}

// completeSignals returns the signals that may continue a list: KILL,TE becomes KILL,TERM.
func completeSignals(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	listed := begun[:strings.LastIndexByte(begun, ',')+1]
	names := []string{listed + "all"}
	for _, signal := range kill.AllSignals()[1:] {
		names = append(names, listed+strings.TrimPrefix(signal.Name(), "SIG"))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeCauses returns the causes that may continue a list.
func completeCauses(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	listed := begun[:strings.LastIndexByte(begun, ',')+1]
	var names []string
	for _, cause := range kill.Causes() {
		names = append(names, listed+string(cause))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// parseCauses reads the values of --cause.
func parseCauses(names []string) ([]kill.Cause, error) {
	var causes []kill.Cause
	for _, name := range names {
		cause := kill.Cause(strings.TrimSpace(name))
		if !slices.Contains(kill.Causes(), cause) {
			return nil, fmt.Errorf("--cause: unknown cause %q: use one or more of %s", name, joined(kill.Causes()))
		}
		causes = append(causes, cause)
	}
	return causes, nil
}

func joined(causes []kill.Cause) string {
	var names []string
	for _, cause := range causes {
		names = append(names, string(cause))
	}
	return strings.Join(names, ", ")
}

// config returns the selection that the flags ask for. An error names the flag that is wrong.
func (f *selectionFlags) config() (selection.Config, error) {
	config := selection.Config{
		Targets: f.targets, ExcludeTargets: f.noTargets, ExcludeSenders: f.noSenders, Senders: f.senders, User: f.user, OnlyFailed: f.failed,
		Behind: selection.Behind{User: f.byUser, From: f.from, Requesters: f.requesters},
	}
	if err := refuseEmpty(f.flags); err != nil {
		return config, err
	}
	var err error
	if config.Signals, err = parseSignals(f.signals); err != nil {
		return config, err
	}
	if config.Behind.Causes, err = parseCauses(f.causes); err != nil {
		return config, err
	}
	for _, text := range f.pids {
		pid, err := strconv.Atoi(strings.TrimSpace(text))
		switch {
		case err != nil:
			return config, fmt.Errorf("--pid: %q is no pid; use --target for names", text)
		case pid <= 0:
			return config, fmt.Errorf("--pid: %q is no pid", text)
		}
		config.Targets = append(slices.Clip(config.Targets), strconv.Itoa(pid))
	}
	if err := f.checkProcesses(); err != nil {
		return config, err
	}
	if !slices.Contains(listing.Formats(), f.output) {
		return config, fmt.Errorf("--output: %q must be table, json or csv", f.output)
	}
	if !redact.Policy(f.commandLine).Known() {
		return config, fmt.Errorf("--command-line: %q must be redacted, program, full or off", f.commandLine)
	}
	return config, nil
}

// checkProcesses returns an error that names the flag by which nothing can be meant.
func (f *selectionFlags) checkProcesses() error {
	for _, each := range []struct {
		flag  string
		texts []string
		check func(string) error
	}{
		{"target", f.targets, selection.Check},
		{"exclude-target", f.noTargets, selection.Check},
		{"sender", f.senders, selection.Check},
		{"exclude-sender", f.noSenders, selection.Check},
		{"requester", f.requesters, checkRequester},
		{"from", []string{f.from}, selection.CheckFrom},
	} {
		for _, text := range each.texts {
			if err := each.check(text); err != nil {
				return fmt.Errorf("--%s: %w", each.flag, err)
			}
		}
	}
	return nil
}

func checkRequester(glob string) error {
	if err := selection.CheckBraces(glob); err != nil {
		return err
	}
	return filter.Check(glob)
}

// likeSignals asks whether signals of names that are like another one are meant.
func likeSignals(asked string) string {
	name := func(yield func(string) bool) {
		for _, signal := range kill.AllSignals()[1:] {
			if !yield(strings.TrimPrefix(signal.Name(), "SIG")) {
				return
			}
		}
	}
	near := likeness.Nearest(strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(asked)), "SIG"), name)
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

// parseSignals reads the values of --signal. It returns none if "all" is among them, or if there
// are none.
func parseSignals(names []string) ([]kill.Signal, error) {
	var signals []kill.Signal
	all := false
	for _, name := range names {
		if strings.EqualFold(strings.TrimSpace(name), "all") {
			all = true
			continue
		}
		signal, err := kill.ParseSignal(name)
		if err != nil {
			return nil, fmt.Errorf("--signal: %w%s", err, likeSignals(name))
		}
		signals = append(signals, signal)
	}
	if all {
		return nil, nil
	}
	return signals, nil
}
