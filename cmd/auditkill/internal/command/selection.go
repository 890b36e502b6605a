// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/redact"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// selectionFlags are the flags that select signals.
type selectionFlags struct {
	signals          []string
	targets, senders []string
	user             string
	failed           bool
	output           string
	commandLine      string

	flags *pflag.FlagSet
}

func (f *selectionFlags) register(flags *pflag.FlagSet, signals string) {
	f.flags = flags
	flags.StringSliceVarP(&f.signals, "signal", "s", nil, "signals, such as KILL,TERM, 9 or SIGRTMIN+1 (default "+signals+")")
	flags.StringSliceVarP(&f.targets, "target", "t", nil, "names of the target processes, such as mysqld or \"postgres*\"")
	flags.StringSliceVar(&f.senders, "sender", nil, "names of the sending processes, or paths of their programs, such as \"/usr/*/kill\"")
	flags.StringVarP(&f.user, "user", "u", "", "user (name or id) who had logged in, or as whom the sender ran")
	flags.BoolVar(&f.failed, "failed", false, "only signals that failed (EPERM, ESRCH, ...)")
	flags.StringVarP(&f.output, "output", "o", listing.FormatTable, "table, json (one object per line) or csv")
	flags.StringVar(&f.commandLine, "command-line", string(redact.Redacted),
		"how to show the sender's command line: redacted, program (only its first word), full or off")
}

// complete registers the values of flags that a shell completes.
func (f *selectionFlags) complete(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("signal", completeSignals) // the flag is there
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

// config returns the selection that the flags ask for. An error names the flag that is wrong.
func (f *selectionFlags) config() (selection.Config, error) {
	config := selection.Config{Targets: f.targets, Senders: f.senders, User: f.user, OnlyFailed: f.failed}
	if err := refuseEmpty(f.flags); err != nil {
		return config, err
	}
	var err error
	if config.Signals, err = parseSignals(f.signals); err != nil {
		return config, err
	}
	for flag, globs := range map[string][]string{"target": f.targets, "sender": f.senders} {
		for _, glob := range globs {
			if err := filter.Check(glob); err != nil {
				return config, fmt.Errorf("--%s: %w", flag, err)
			}
		}
	}
	if !slices.Contains(listing.Formats(), f.output) {
		return config, fmt.Errorf("--output: %q must be table, json or csv", f.output)
	}
	if !redact.Policy(f.commandLine).Known() {
		return config, fmt.Errorf("--command-line: %q must be redacted, program, full or off", f.commandLine)
	}
	return config, nil
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
			return nil, fmt.Errorf("--signal: %w", err)
		}
		signals = append(signals, signal)
	}
	if all {
		return nil, nil
	}
	return signals, nil
}
