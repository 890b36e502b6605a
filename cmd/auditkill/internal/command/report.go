// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/redact"

	"github.com/spf13/cobra"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/history"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/page"
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

// standardOutput is the name of standard output as a file.
const standardOutput = "-"

// now is the current time. Tests replace it by one that is always the same.
var now = time.Now

// sampleRows is how many rows decide the widths of the columns of a table.
const sampleRows = 256

// reportFlags are the flags of report that watch does not have.
type reportFlags struct {
	selectionFlags
	since, until string
	by           string
	incidents    bool
	plot, html   string
	passwd       string
	history      string
	tampering    bool
	journal      bool
}

func newReport() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report [FILE...]",
		Short: "List the signals in an audit log, and who sent them",
		Long: `Reads the audit log and the files rotated from it, compressed or not, and prints a line for
each signal and each of its target processes, newest last: the time, the signal, the target,
the sender, who had logged in, who is behind it if the sender only carries it out, as systemd
does, and the result. Without filters it lists every signal in the log, including signal 0,
which only asks whether a process exists.

A FILE is a log, or a directory with an audit.log in it; - is standard input, which may also
be the output of "ausearch --raw" or "ausearch" (not of "ausearch -i"). A FILE may also be what
a collector has written with the file exporter, as OTLP JSON: then its outcomes are listed, too.
Without a FILE, it is this host's own log, ` + capture.DefaultLog + `, and what the service
otelcol-auditkill remembers (--history), each signal once. Logs of several hosts are merged by
time.

A FILE may also be the kernel's log or the journal, as dmesg or journalctl (also with -o
short-iso, short-precise or json) prints it: it has the processes that the kernel killed for
lack of memory, and which limit was reached, and on a host without auditd the audit records;
--journal asks journalctl itself. What grep, cat -n or a mail puts before a line does not matter.

The names of users come from the log (log_format=ENRICHED) or else from --passwd, which should
be the file of the log's host. JSON has the same names as the collector's log records
(docs/events.md).

Exit codes: 0 if there is something to report, 1 if nothing matches (standard error says
why), 2 if something could not be read; the rest is reported nevertheless.`,
		Example: `  auditkill report --target mysqld                 who killed mysqld?
  auditkill report -s KILL --since "2 hours ago"   each SIGKILL of the last two hours
  auditkill report --failed --by user              how many signals failed, by user
  auditkill report --by-user alice --by target     what alice has stopped, also by systemctl
  auditkill report --incidents                     one row for each restart, sweep or group kill
  auditkill report --plot kills.svg                draw a timeline of the senders
  auditkill report --html kills.html --since 2h    write a page to attach to a ticket
  ausearch --raw -ts today | auditkill report -    report what ausearch has found
  auditkill report --journal --since yesterday     what the journal has, also without auditd`,
		RunE: f.run,
	}
	f.register(cmd.Flags(), "all")
	cmd.Flags().StringVar(&f.since, "since", "", `start of the time range: "2 hours ago", yesterday, 03:15, "2026-11-22 03:15", RFC 3339`)
	cmd.Flags().StringVar(&f.until, "until", "", "end of the time range, in the same forms; includes the whole day, minute or second")
	cmd.Flags().StringVar(&f.by, "by", "", "count by "+summary.Choice()+" instead of listing")
	cmd.Flags().BoolVar(&f.incidents, "incidents", false, "join signals that belong together: one row with counts for a restart, a sweep or a group kill")
	cmd.Flags().StringVar(&f.plot, "plot", "", "draw a timeline with a lane per sender and target into this file (.svg or .png; - prints SVG) instead of listing")
	cmd.Flags().StringVar(&f.html, "html", "", "write a page for a ticket into this file instead of listing: a timeline, and a table with a search")
	cmd.Flags().StringVar(&f.passwd, "passwd", "/etc/passwd", "file with the names of users, such as a copy from the log's host")
	cmd.Flags().StringVar(&f.history, "history", history.Default(), "what the service otelcol-auditkill remembers; read if no FILE is named")
	cmd.Flags().BoolVar(&f.journal, "journal", false, "read what journalctl has of the audit system and the kernel, instead of this host's log or with each FILE")
	cmd.Flags().BoolVar(&f.tampering, "tampering", false, "say each change of the audit system after which signals may be missing, instead of only the last")
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
	var asked *selection.Config
	if f.journal {
		asked = &config
	}
	logs, err := openLogs(cmd, paths, f.history, asked)
	if err != nil {
		return err
	}
	defer logs.close()
	logs.notes.all = f.tampering
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
	logs.closeJournal()
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
	return config, f.checkDrawings()
}

// checkDrawings checks what is written instead of a list.
func (f *reportFlags) checkDrawings() error {
	if f.incidents && (f.by != "" || f.plot != "" || f.html != "") {
		return errors.New("--incidents: is a list of its own; leave out --by, --plot and --html")
	}
	if f.plot == "" && f.html == "" {
		return nil
	}
	if f.by == "" && f.flags.Changed("output") {
		return errors.New("--output: the ending of its file name gives the format of a drawing or page; leave it out")
	}
	if f.plot != "" && f.plot != standardOutput {
		if err := timeline.Check(f.plot); err != nil {
			return fmt.Errorf("--plot: %w", err)
		}
	}
	if f.plot == standardOutput && f.by != "" {
		return errors.New("--plot: - prints the drawing where --by prints its table; name a file for one of them")
	}
	if f.html != "" {
		if err := page.Check(f.html); err != nil {
			return fmt.Errorf("--html: %w", err)
		}
	}
	return nil
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
	for flag, path := range map[string]string{"plot": f.plot, "html": f.html} {
		if info, err := os.Stat(path); err == nil && logs.contain(info) {
			return fmt.Errorf("--%s: %s is a log that the report reads", flag, path)
		}
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
	joined  *joinedRows
	summary *summary.Summary
	drawing *timeline.Timeline
	page    *page.Page
	out     io.Writer
	// write writes the summary.
	write func() error

	kills, incomplete int
}

func (r *report) openOutputs(cmd *cobra.Command) (err error) {
	f, out, on := r.flags, cmd.OutOrStdout(), terminal.Of(cmd.OutOrStdout())
	if on.IsTerminal {
		out = r.logs.bar.Above(out)
	}
	r.out = out
	if f.plot != "" {
		r.drawing = timeline.New("Signals", time.Local)
	}
	if f.html != "" {
		r.page = page.New(page.Config{
			Logs: r.logs.paths, SeveralLogs: r.logs.severalNamed(), Version: ownVersion(), Made: now(), Location: time.Local, Conceal: redact.Policy(f.commandLine),
		})
	}
	if f.by != "" {
		r.summary = summary.New(f.by, time.Local)
		r.write = func() error { return r.summary.Write(out, f.output, on) }
	}
	if r.drawing != nil || r.page != nil || r.summary != nil {
		return nil
	}
	conceal := redact.Policy(f.commandLine)
	if f.incidents {
		r.joined, err = r.openIncidents(out, on)
		return err
	}
	r.rows, err = listing.New(out, listing.Settings{
		Format: f.output, Columns: listing.Past(time.Local, conceal, r.logs.severalNamed()), Sample: sampleRows, Terminal: on,
		Telemetry: telemetry.Config{Resource: telemetry.DefaultResource(r.host), HostID: r.host.ID, CommandLine: conceal},
	})
	return err
}

// read reads the logs to the end, or until the command is interrupted.
func (r *report) read() error {
	for t := range r.logs.merged() {
		e := t.Event
		if t.Record == nil { // what was recorded has the names that were true then
			r.users.Fill(e)
		}
		if e.Kind == kill.KindTamper {
			if r.chosen.InTime(e) {
				r.notes.tampered(e)
			}
			continue
		}
		if !r.chosen.Apply(e) || !r.chosen.ApplyBehind(e) {
			continue
		}
		if !e.Complete {
			r.incomplete += max(1, len(e.Targets)) * e.Signals()
		}
		for _, entry := range listing.Entries(e) {
			entry.Record = t.Record
			if err := r.take(entry); err != nil {
				r.logs.interrupt() // otherwise it would wait for the end of the input
				return err
			}
		}
	}
	return nil
}

func (r *report) take(entry listing.Entry) error {
	if entry.Event.Outcome == nil || r.rows != nil { // an outcome is no signal
		r.kills += entry.Event.Signals()
	}
	if r.rows != nil {
		return r.rows.Print(entry)
	}
	if r.joined != nil {
		return r.joined.add(entry)
	}
	if r.page != nil {
		r.page.Add(entry)
	}
	if entry.Event.Outcome != nil {
		return nil
	}
	if r.drawing != nil {
		draw(r.drawing, entry)
	}
	if r.summary != nil {
		r.summary.Add(entry)
	}
	return nil
}

// end writes what was gathered, and the notes about it.
func (r *report) end(ctx context.Context, config selection.Config) error {
	err := r.finish()
	r.logs.bar.Finish()
	r.notes.flush()
	r.logs.noteForeign()
	r.logs.noteDoubts()
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
		if r.page != nil {
			r.notes.say("nothing to show: %s is unchanged", r.flags.html)
		}
	case r.incomplete > 0:
		r.notes.say("%s incomplete because records are missing", countSignals(r.incomplete))
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
	if r.joined != nil {
		return r.joined.end(r.notes)
	}
	if r.kills == 0 {
		return nil
	}
	if r.summary != nil {
		if err := r.write(); err != nil {
			return err
		}
	}
	if r.page != nil {
		if err := r.page.Save(r.flags.html); err != nil {
			return fmt.Errorf("--html: %w", err)
		}
	}
	return r.draw()
}

// draw writes the drawing, if there is one.
func (r *report) draw() error {
	var err error
	switch {
	case r.drawing == nil:
	case r.flags.plot == standardOutput:
		err = r.drawing.WriteSVG(r.out)
	default:
		err = r.drawing.Save(r.flags.plot)
	}
	if err != nil {
		return fmt.Errorf("--plot: %w", err)
	}
	return nil
}
