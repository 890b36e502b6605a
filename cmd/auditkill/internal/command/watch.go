// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/redact"

	"github.com/spf13/cobra"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/live"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// watchFlags are the flags of watch that report does not have.
type watchFlags struct {
	selectionFlags
	source, file, key string
	lasts, outcome    span
	all               bool

	// open begins to capture signals.
	open func(context.Context, live.Config) (watched, error)
}

// watched captures signals until it is closed.
type watched interface {
	Source() string
	Run(ctx context.Context, show func(*kill.Event) error, finish func() error) error
	Close() error
}

func newWatch() *cobra.Command {
	f := watchFlags{open: func(ctx context.Context, config live.Config) (watched, error) { return live.Open(ctx, config) }}
	return f.command()
}

func (f *watchFlags) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "List signals as they are sent, and how their targets end",
		Long: `Prints a line for each signal the moment it is sent: the time, the target, the signal, the
sender, who had logged in, who is behind it if the sender only carries it out, as systemd does,
and the result. When a process ends after a fatal signal, a second line says how long that took,
and how it ended: "gone after 3.2 s, by SIGKILL".

These are the sources; auto uses the first one that works, and says which and why:

  ebpf       programs in the kernel, which see every signal; needs CAP_BPF and CAP_PERFMON
  multicast  audit records, beside the audit daemon; needs CAP_AUDIT_READ
  unicast    audit records, in the place of the daemon; needs CAP_AUDIT_CONTROL
  file       the log of the audit daemon; needs read access, and audit rules (auditkill rules)

With multicast and unicast, it loads the audit rules that record the signals while it runs,
which needs CAP_AUDIT_CONTROL, and leaves all other rules alone. root has all of these
capabilities. At the end it leaves the kernel as it found it, with one exception: if it has
turned audit on, and other programs rely on that by then, audit stays on, and it says so.
The source file reports signals only, not how processes end.

A table has one line for a signal to a group, and for a sweep: signals that follow each other at
once and differ only in their target, such as those of pkill. --all prints a line for each target,
as JSON and CSV always do.

JSON has the same names as the collector's log records (docs/events.md).

It ends with Ctrl-C, after --for, or when nothing reads its output any more.

Exit codes: 0 if it has watched, 2 if it could not.`,
		Example: `  sudo auditkill watch                               who sends which signals from now on
  sudo auditkill watch -t mysqld -s KILL,TERM        each SIGKILL and SIGTERM to mysqld
  sudo auditkill watch -s all --sender systemd       all signals that systemd sends
  sudo auditkill watch --from 10.0.0.0/8             whatever somebody from there is behind
  sudo auditkill watch --for 10m -o csv > kills.csv  for ten minutes, into a file
  sudo auditkill watch -t mysqld -o json | head -1   wait for the next signal to mysqld
  auditkill watch --source file                      without root, if you may read the log`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	f.register(flags, "those that people send to end a process, STOP, and those of crashes; all means every signal")
	flags.StringVar(&f.source, "source", live.Auto, "auto, ebpf, multicast, unicast or file")
	flags.StringVar(&f.file, "file", capture.DefaultLog, "the audit log, for --source file")
	flags.StringVarP(&f.key, "key", "k", live.DefaultKey, "the key of the audit rules that it loads")
	flags.Var(&f.lasts, "for", "how long to watch, such as 10m or 1d12h (default until Ctrl-C)")
	flags.BoolVar(&f.all, "all", false, "print a line for each target, also of a group or a sweep")
	f.outcome = span(capture.DefaultOutcomeTimeout)
	flags.Var(&f.outcome, "outcome-timeout",
		"how long to wait for a process to end after a fatal signal; 0 does not wait")
	f.complete(cmd)
	_ = cmd.RegisterFlagCompletionFunc("source", // the flag is there
		cobra.FixedCompletions(live.Sources(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (f *watchFlags) run(cmd *cobra.Command) error {
	config, err := f.config(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	printer, err := f.printer(cmd.OutOrStdout(), config.Host)
	if err != nil {
		return err
	}
	// A closed pipe must end the watch, not kill this process before it has cleaned up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := untilUnread(cmd.Context(), cmd.OutOrStdout())
	defer stop()
	w, err := f.open(ctx, config)
	if err != nil {
		return err
	}
	if f.lasts > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(f.lasts))
		defer cancel()
	}
	watching := "watching with " + w.Source()
	if terminal.Of(cmd.ErrOrStderr()).IsTerminal {
		watching += "; press Ctrl-C to stop"
	}
	config.Say(watching)
	if err = printer.Begin(); err != nil {
		err = fmt.Errorf("printing: %w", err)
	} else {
		err = w.Run(ctx, func(e *kill.Event) error { return show(printer, e) }, printer.Flush)
	}
	if errors.Is(err, syscall.EPIPE) {
		err = nil // the reader has seen enough
	}
	return errors.Join(err, w.Close())
}

// show prints a line for each target.
func show(printer listing.Printer, e *kill.Event) error {
	for _, entry := range listing.Entries(e) {
		if err := printer.Print(entry); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return nil
}

// config returns what the flags ask for. An error names the flag that is wrong.
func (f *watchFlags) config(errs io.Writer) (live.Config, error) {
	asked, err := f.selectionFlags.config()
	switch {
	case err != nil:
		return live.Config{}, err
	case !slices.Contains(live.Sources(), f.source):
		return live.Config{}, fmt.Errorf("--source: %q must be auto, ebpf, multicast, unicast or file", f.source)
	case f.lasts == 0 && f.flags.Changed("for"):
		return live.Config{}, errors.New("--for: must be more than 0; leave it out to watch until Ctrl-C")
	}
	if err := validKey(f.key); err != nil {
		return live.Config{}, err
	}
	var ending []kill.Signal
	if len(f.signals) == 0 {
		asked.Signals, ending = kill.DefaultSignals(), capture.Ending(selection.Globs(asked.Targets))
	}
	return live.Config{
		Source: f.source, Path: f.file, Key: f.key, Asked: asked, Ending: ending, OutcomeTimeout: time.Duration(f.outcome),
		CommandLine: redact.Policy(f.commandLine), Host: machine.This(""),
		Say: func(text string) { fmt.Fprintf(errs, "auditkill: %s\n", text) },
	}, nil
}

// printer returns a printer that writes each line at once, or rows of a table as soon as they are joined.
func (f *watchFlags) printer(out io.Writer, host machine.Machine) (listing.Printer, error) {
	printer, err := listing.New(out, listing.Settings{
		Format: f.output, Columns: listing.Live(time.Local, redact.Policy(f.commandLine)), Terminal: terminal.Of(out),
		Telemetry: telemetry.Config{
			Resource: telemetry.DefaultResource(host), HostID: host.ID, CommandLine: redact.Policy(f.commandLine),
		},
	})
	if err != nil || f.all || f.output != listing.FormatTable {
		return printer, err
	}
	return listing.NewJoined(printer, redact.Policy(f.commandLine)), nil
}
