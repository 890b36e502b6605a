// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/redact"

	"github.com/spf13/cobra"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/chronology"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/summary"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/timeline"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/timeparse"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// sampleRows is how many rows decide the widths of the columns of a table.
const sampleRows = 256

// reportFlags are the flags of report that watch does not have.
type reportFlags struct {
	selectionFlags
	since, until string
	by, plot     string
	passwd       string
}

func newReport() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report [FILE...]",
		Short: "List the signals in an audit log, and who sent them",
		Long: `Reads the audit log and the files rotated from it, compressed or not, and prints a line for
each signal and each of its target processes, newest last: the time, the signal, the target,
the sender, who had logged in, and the result. Without filters it lists every signal in the
log, including signal 0, which only asks whether a process exists.

A FILE is a log, or a directory with an audit.log in it; - is standard input, which may also
be the output of "ausearch --raw" or "ausearch" (not of "ausearch -i"). Without a FILE, it is
this host's own log, ` + capture.DefaultLog + `. Logs of several hosts are merged by time.

The names of users come from the log (log_format=ENRICHED) or else from --passwd, which should
be the file of the log's host. JSON has the same names as the collector's log records
(docs/events.md).

Exit codes: 0 if there is something to report, 1 if nothing matches (standard error says
why), 2 if something could not be read; the rest is reported nevertheless.`,
		Example: `  auditkill report --target mysqld                 who killed mysqld?
  auditkill report -s KILL --since "2 hours ago"   each SIGKILL of the last two hours
  auditkill report --failed --by user              how many signals failed, by user
  auditkill report --plot kills.svg                draw a timeline of the senders
  ausearch --raw -ts today | auditkill report -    report what ausearch has found`,
		RunE: f.run,
	}
	f.register(cmd.Flags(), "all")
	cmd.Flags().StringVar(&f.since, "since", "", `start of the time range: "2 hours ago", yesterday, 03:15, "2026-11-22 03:15", RFC 3339`)
	cmd.Flags().StringVar(&f.until, "until", "", "end of the time range, in the same forms; includes the whole day, minute or second")
	cmd.Flags().StringVar(&f.by, "by", "", "count by sender, target, signal, user or hour instead of listing")
	cmd.Flags().StringVar(&f.plot, "plot", "", "draw a timeline with a lane per sender into this file (.svg or .png) instead of listing")
	cmd.Flags().StringVar(&f.passwd, "passwd", "/etc/passwd", "file with the names of users, such as a copy from the log's host")
	f.complete(cmd)
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions(summary.By(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	return cmd
}

// thisMachine is the host that the report runs on, which is a part of each log.record.uid. Tests
// replace it by one that is the same everywhere.
var thisMachine = func() machine.Machine { return machine.This("") }

func (f *reportFlags) run(cmd *cobra.Command, paths []string) error {
	config, err := f.config(time.Now())
	if err != nil {
		return err
	}
	chosen, err := selection.New(config)
	if err != nil {
		return err
	}
	logs, err := openLogs(cmd, paths)
	if err != nil {
		return err
	}
	defer logs.close()
	if err := f.checkFiles(logs); err != nil {
		return err
	}
	// A second interrupt ends it at once, even if nothing reads its output.
	defer context.AfterFunc(cmd.Context(), func() { signal.Reset(os.Interrupt, syscall.SIGQUIT, syscall.SIGTERM) })()
	host := thisMachine()
	r := &report{flags: f, chosen: chosen, logs: logs, notes: logs.notes, host: host, users: process.NewUsers(f.passwd, host.Name)}
	if err := r.openOutputs(cmd); err != nil {
		return err
	}
	if err := r.read(); err != nil {
		logs.bar.Finish()
		r.notes.flush()
		return err
	}
	return r.end(cmd.Context(), config)
}

// config checks all flags before a log is read, which may take a long time.
func (f *reportFlags) config(now time.Time) (selection.Config, error) {
	config, err := f.selectionFlags.config()
	if err != nil {
		return config, err
	}
	if f.since != "" {
		if config.Since, _, err = timeparse.Parse(f.since, now); err != nil {
			return config, fmt.Errorf("--since: %w", err)
		}
	}
	if f.until != "" {
		if _, config.Until, err = timeparse.Parse(f.until, now); err != nil {
			return config, fmt.Errorf("--until: %w", err)
		}
	}
	if !config.Until.IsZero() && config.Until.Before(config.Since) {
		return config, fmt.Errorf("--until: %s is before --since", f.until)
	}
	if err := summary.Check(f.by); err != nil {
		return config, err
	}
	if f.plot == "" {
		return config, nil
	}
	if f.by == "" && f.flags.Changed("output") {
		return config, errors.New("--output: the ending of its file name gives the format of a drawing; leave it out")
	}
	if err := timeline.Check(f.plot); err != nil {
		return config, fmt.Errorf("--plot: %w", err)
	}
	return config, nil
}

// checkFiles checks the other files before a long log is read rather than after.
func (f *reportFlags) checkFiles(logs *logs) error {
	if f.flags.Changed("passwd") {
		file, err := os.Open(f.passwd)
		if err != nil {
			return fmt.Errorf("--passwd: %w", err)
		}
		_ = file.Close() // was only opened
	}
	if info, err := os.Stat(f.plot); err == nil && logs.contain(info) {
		return fmt.Errorf("--plot: %s is a log that the report reads", f.plot)
	}
	return nil
}

// report is a run of the command.
type report struct {
	flags  *reportFlags
	chosen *selection.Selection
	logs   *logs
	notes  *notes
	users  *process.Users
	host   machine.Machine

	// Outputs that were not asked for are nil.
	rows    listing.Printer
	summary *summary.Summary
	drawing *timeline.Timeline
	// write writes the summary.
	write func() error

	kills, incomplete int
}

func (r *report) openOutputs(cmd *cobra.Command) (err error) {
	f, out, on := r.flags, cmd.OutOrStdout(), terminal.Of(cmd.OutOrStdout())
	if on.IsTerminal {
		out = r.logs.bar.Above(out)
	}
	if f.plot != "" {
		r.drawing = timeline.New("Signals", time.Local)
	}
	if f.by != "" {
		r.summary = summary.New(f.by, time.Local)
		r.write = func() error { return r.summary.Write(out, f.output, on) }
	}
	if r.drawing != nil || r.summary != nil {
		return nil
	}
	conceal := redact.Policy(f.commandLine)
	r.rows, err = listing.New(out, listing.Settings{
		Format: f.output, Columns: listing.Past(time.Local, conceal, len(r.logs.opened) > 1), Sample: sampleRows, Terminal: on,
		Telemetry: telemetry.Config{HostName: r.host.Name, HostID: r.host.ID, OSType: r.host.OS, CommandLine: conceal},
	})
	return err
}

// read reads the logs to the end, or until the command is interrupted.
func (r *report) read() error {
	for e := range chronology.Merged(r.logs.events()...) {
		r.users.Fill(e)
		if e.Kind == kill.KindTamper {
			if r.chosen.InTime(e) {
				r.notes.tampered(e)
			}
			continue
		}
		if !r.chosen.Apply(e) {
			continue
		}
		if !e.Complete {
			r.incomplete++
		}
		for _, entry := range listing.Entries(e) {
			if err := r.take(entry); err != nil {
				r.logs.interrupt() // otherwise it would wait for the end of the input
				return err
			}
		}
	}
	return nil
}

func (r *report) take(entry listing.Entry) error {
	r.kills++
	if r.drawing != nil {
		r.drawing.Add(timeline.Mark{
			Time: entry.Event.Time, Sender: entry.Program(), Signal: entry.Signal(), Failed: entry.Failed(),
		})
	}
	if r.summary != nil {
		r.summary.Add(entry)
	}
	if r.rows != nil {
		return r.rows.Print(entry)
	}
	return nil
}

// end writes what was gathered, and the notes about it.
func (r *report) end(ctx context.Context, config selection.Config) error {
	err := r.finish()
	r.logs.bar.Finish()
	r.notes.flush()
	if err != nil {
		return err
	}
	interrupted := ctx.Err() != nil
	switch {
	case interrupted:
		r.notes.say("interrupted: the log was not read to its end")
	case r.kills == 0:
		r.notes.hint(r.chosen, config, r.logs)
		if r.drawing != nil {
			r.notes.say("nothing to draw: %s is unchanged", r.flags.plot)
		}
	case r.incomplete > 0:
		r.notes.say("%s incomplete because records are missing", count(r.incomplete, "signal"))
	}
	switch {
	case interrupted || r.notes.failed.Load():
		return exitError(exitFailure)
	case r.kills == 0:
		return exitError(exitNothing)
	}
	return nil
}

func (r *report) finish() error {
	if r.rows != nil {
		return r.rows.Flush()
	}
	if r.kills == 0 {
		return nil
	}
	if r.summary != nil {
		if err := r.write(); err != nil {
			return err
		}
	}
	if r.drawing == nil {
		return nil
	}
	if err := r.drawing.Save(r.flags.plot); err != nil {
		return fmt.Errorf("--plot: %w", err)
	}
	return nil
}
