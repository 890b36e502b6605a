// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	formatAuditctl = "auditctl"
	formatRulesD   = "rules.d"
	outputTable    = "table"
	outputJSON     = "json"
)

// rulesFlags are the flags of rules.
type rulesFlags struct {
	signals             []string
	key, format, output string
	check, requesters   bool
}

func newRules() *cobra.Command {
	var f rulesFlags
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Print the audit rules that make the kernel record signals, or check them",
		Long: `Prints the fewest audit rules that make the kernel record a set of signals: as commands that
load them now, or as a file for /etc/audit/rules.d that loads them at boot. Every rule adds to
the cost of every system call on the host, so there are four, however many signals there are.
The sources netlink (multicast and unicast) and file need them, ebpf does not.

"--signal all" means all except signal 0, which only asks whether a process exists: some
programs send it many times a second. "--signal all,0" records it, too.

With --requesters, it adds rules for the start of programs by which people ask others to stop
something, such as systemctl, service, docker, supervisorctl and shutdown, as far as they are on
this host. Then it is certain who has asked: sudo, cron and login write records of their own in any
case.
These rules cost next to nothing but when such a program is started. The kernel finds them by the
file, so that the records of pkill include those of pgrep where the two are one program.

With --check, it prints no rules to load, but compares the loaded rules with the needed ones.
A loaded rule may record more. Each finding comes with the command that fixes it:

  recorded   the kernel records everything that the rule is for
  partly     it records some of that
  missing    it records nothing of that
  shadowed   another rule (never) suppresses it first, for all processes or for some

--check needs CAP_AUDIT_CONTROL on the host itself: run it as root. It changes nothing.

Exit codes with --check: 0 if everything is recorded, 1 if something is missing, shadowed or
locked, or audit is off, 2 if the kernel could not be asked.

--check --output json prints one object:

  {"recorded": bool, "enabled": 0, 1 or 2 (locked, as auditctl -s),
   "rules": [{"rule", "state", "by": [rules], "unseen": ["SIGKILL by tkill"],
              "shadows": [rules], "mend": [commands]}],
   "problems": [{"what", "mend", "lines": [commands]}]}`,
		Example: `  auditkill rules                                  rules for the default signals
  auditkill rules --signal KILL,TERM | sudo sh     load rules for two signals, until the next boot
  auditkill rules --format rules.d | sudo tee ` + auditrules.Path + `
  sudo augenrules --load                           load the rules now, and at every boot
  auditkill rules --requesters | sudo sh           record also who starts systemctl and the like
  sudo auditkill rules --check                     is everything recorded?`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&f.signals, "signal", "s", nil,
		"signals, such as KILL,TERM, 9 or SIGRTMIN+1; all means all except 0 (default those that people send to end a process, STOP, and those of crashes)")
	flags.StringVarP(&f.key, "key", "k", capture.DefaultKey, "the key of the records (ausearch -k)")
	flags.StringVar(&f.format, "format", formatAuditctl, "auditctl (commands) or rules.d (a file)")
	flags.BoolVar(&f.check, "check", false, "compare with the loaded rules, and change nothing")
	flags.BoolVar(&f.requesters, "requesters", false, "also record the start of programs that ask managers, such as systemctl")
	flags.StringVarP(&f.output, "output", "o", outputTable, "with --check: table or json")
	f.complete(cmd)
	return cmd
}

func (f *rulesFlags) complete(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("signal", completeSignals) // the flag is there
	for flag, values := range map[string][]string{
		"format": {formatAuditctl, formatRulesD}, "output": {outputTable, outputJSON}, "key": nil,
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	}
}

func (f *rulesFlags) run(cmd *cobra.Command) error {
	signals, err := f.validate(cmd)
	if err != nil {
		return err
	}
	if f.check {
		return checkRules(cmd.OutOrStdout(), signals, f.key, f.output)
	}
	rules := auditrules.For(signals, f.key, 0)
	if len(rules) == 0 {
		return fmt.Errorf("no audit rules are known for this machine (%s)", runtime.GOARCH)
	}
	if f.requesters {
		rules = append(rules, auditrules.ForRequesters(f.key)...)
	}
	return printRules(cmd.OutOrStdout(), rules, f.format)
}

// validate returns the signals. An error names the flag that is wrong.
func (f *rulesFlags) validate(cmd *cobra.Command) ([]kill.Signal, error) {
	if err := refuseEmpty(cmd.Flags()); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{formatAuditctl, formatRulesD}, f.format) {
		return nil, fmt.Errorf("--format: %q must be %s or %s", f.format, formatAuditctl, formatRulesD)
	}
	if !slices.Contains([]string{outputTable, outputJSON}, f.output) {
		return nil, fmt.Errorf("--output: %q must be %s or %s", f.output, outputTable, outputJSON)
	}
	switch {
	case f.check && cmd.Flags().Changed("format"):
		return nil, errors.New("--format says how rules are printed, and --check prints none: leave one of them out")
	case f.check && f.requesters:
		return nil, errors.New("--requesters adds rules to those that are printed, and --check prints none: leave one of them out")
	case cmd.Flags().Changed("output") && !f.check:
		return nil, errors.New("--output is for --check; --format says how rules are printed")
	}
	if err := validKey(f.key); err != nil {
		return nil, err
	}
	return f.recorded()
}

// recorded returns the signals to record. Unlike in report and watch, which select from what is
// recorded, all does not include signal 0 unless that is named, too.
func (f *rulesFlags) recorded() ([]kill.Signal, error) {
	isAll := func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), "all") }
	signals, err := parseSignals(slices.DeleteFunc(slices.Clone(f.signals), isAll))
	switch {
	case err != nil:
		return nil, err
	case len(f.signals) == 0:
		return kill.DefaultSignals(), nil
	case !slices.ContainsFunc(f.signals, isAll):
		return signals, nil
	case slices.Contains(signals, 0):
		return kill.AllSignals(), nil
	}
	return kill.AllSignals()[1:], nil
}

// validKey refuses what cannot be the key of audit rules.
func validKey(key string) error {
	if err := auditrules.CheckKey(key); err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	return nil
}

func printRules(w io.Writer, rules []auditrules.Rule, format string) error {
	text := auditrules.File(rules)
	if format == formatAuditctl {
		var commands strings.Builder
		for _, r := range rules {
			fmt.Fprintln(&commands, r.Command())
		}
		text = commands.String()
	}
	_, err := io.WriteString(w, text)
	return err
}
