// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/death"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/history"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/journal"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/timeparse"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// whyFlags are the flags of why.
type whyFlags struct {
	at, history, auditLog, kernelLog, passwd, commandLine, output string
}

func newWhy() *cobra.Command {
	var f whyFlags
	cmd := &cobra.Command{
		Use:   "why TARGET",
		Short: "Say why a process died: who or what, asked for by whom, and what else died",
		Long: `Says in a few lines what this host knows of the last death of TARGET: when and how it ended, who
sent which signals and who asked for that, which limit was reached, what it did about a signal
such as SIGTERM, and what else ended then (within 5 seconds, or because the same process asked
for it within the last 10 minutes).

TARGET is the name of a process (mysqld, "postgres*"), the path of its program, its pid (3936),
both (mysqld[3936]), a systemd unit (mariadb.service), the id or the name of a container, or the
uid or the name of a pod. Of a unit, container or pod it is the first process that ended.

It reads what the service otelcol-auditkill remembers (--history), the audit log (--audit-log)
and the kernel's log (--kernel-log), which has the kills for lack of memory, and asks the journal
and systemd about the unit, as far as the rights of whoever runs it permit; it says what it could
not look at. "Nobody was seen to signal it" means that the kernel was
watched; what was not recorded is called so. If no death was, it is said what may have been it, such
as a signal of which nothing says whether it reached TARGET.

Exit codes: 0 if there is an answer, also if that is only what may have ended it; 1 if nothing was
found that may have (standard error says what to turn on for the next time); 2 if something is
wrong with the question.`,
		Example: `  auditkill why mysqld                     what killed mysqld?
  auditkill why mysqld -o json             the same for a program
  sudo auditkill why mariadb.service       with the right to read what the service remembers
  auditkill why nginx --at "yesterday 22:00"   its last death until then
  auditkill why 'java[3936]'               this very process`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return errors.New("name one target, such as mysqld, 3936, mysqld[3936] or mariadb.service; see `auditkill why --help`")
			}
			return nil
		},
		ValidArgsFunction: completeRunning,
		RunE:              f.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.at, "at", "", `the last death until this time: "2 hours ago", yesterday, 03:15, "2026-11-22 03:15", RFC 3339`)
	flags.StringVar(&f.history, "history", history.Default(), "what the service otelcol-auditkill remembers")
	flags.StringVar(&f.auditLog, "audit-log", capture.DefaultLog, "the audit log")
	flags.StringVar(&f.kernelLog, "kernel-log", "", "the kernel's log, as dmesg or journalctl -k prints it; none not to look at it (default: ask journalctl or dmesg)")
	flags.StringVar(&f.passwd, "passwd", "/etc/passwd", "file with the names of users")
	flags.StringVar(&f.commandLine, "command-line", string(redact.Redacted),
		"how to show command lines: redacted, program (only the first word), full or off")
	flags.StringVarP(&f.output, "output", "o", outputText, "text or json (one object)")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{outputText, listing.FormatJSON}, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	_ = cmd.RegisterFlagCompletionFunc("command-line", cobra.FixedCompletions(                                                                         // the flag is there
		[]string{string(redact.Redacted), string(redact.Program), string(redact.Full), string(redact.Off)}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// outputText is the value of --output for sentences.
const outputText = "text"

// namedLog is a log and what it is called.
type namedLog struct {
	path string
	*auditlog.Log
}

// inquiry is a run of the command.
type inquiry struct {
	flags  *whyFlags
	target death.Target
	until  time.Time
	now    time.Time
	logs   *logs
	finder *death.Finder
	named  []namedLog
	// unseen is what could not be looked at, advice what to do about it.
	unseen, advice []string
}

func (f *whyFlags) run(cmd *cobra.Command, arguments []string) error {
	if err := refuseEmpty(cmd.Flags()); err != nil {
		return err
	}
	if !redact.Policy(f.commandLine).Known() {
		return fmt.Errorf("--command-line: %q must be redacted, program, full or off", f.commandLine)
	}
	if f.output != outputText && f.output != listing.FormatJSON {
		return fmt.Errorf("--output: %q must be text or json", f.output)
	}
	q := &inquiry{flags: f, now: time.Now()}
	var err error
	if q.target, err = death.ParseTarget(arguments[0]); err != nil {
		return err
	}
	if f.at != "" {
		if _, q.until, err = timeparse.Parse(f.at, q.now); err != nil {
			return fmt.Errorf("--at: %w", err)
		}
	}
	q.finder = death.NewFinder(q.target, q.until)
	q.read(cmd)
	if cmd.Context().Err() != nil {
		q.logs.notes.say("interrupted")
		return exitError(exitFailure)
	}
	return q.answer(cmd)
}

// read reads the logs that there are.
func (q *inquiry) read(cmd *cobra.Command) {
	ctx, cancel := context.WithCancel(cmd.Context())
	q.logs = &logs{notes: newNotes(cmd.ErrOrStderr()), interrupt: cancel, own: true}
	defer q.logs.close()
	if err := q.logs.openHistory(ctx, q.flags.history); err != nil {
		q.cannotRead("what the service otelcol-auditkill remembers", q.flags.history, err)
	}
	q.openLog(ctx, "the audit log", q.flags.auditLog)
	closeKernelLog := q.openKernelLog(ctx)
	defer closeKernelLog()
	q.logs.show(ctx, cmd)
	host := thisMachine()
	users := process.NewUsers(q.flags.passwd, host.Name)
	for t := range q.logs.merged() {
		if t.Kind == kill.KindTamper {
			continue
		}
		if t.Record == nil {
			users.Fill(t.Event)
		}
		q.finder.Add(t)
	}
	q.logs.bar.Finish()
	q.logs.noteForeign()
	if q.logs.notes.failed.Load() {
		q.unseen = append(q.unseen, "a part of the logs, as said above")
	}
}

// openLog opens a log, or notes why it cannot be read.
func (q *inquiry) openLog(ctx context.Context, what, path string) {
	opened, err := q.logs.open(ctx, nil, path)
	if err != nil {
		q.cannotRead(what, path, err)
		return
	}
	q.logs.add(path, opened)
	q.named = append(q.named, namedLog{path, opened})
}

// noKernelLog is the value of --kernel-log with which that is not read.
const noKernelLog = "none"

// openKernelLog opens the kernel's log. What it returns closes it once it was read.
func (q *inquiry) openKernelLog(ctx context.Context) (closing func()) {
	const what = "the kernel's log"
	switch q.flags.kernelLog {
	case noKernelLog:
		return func() {}
	case "":
	default:
		q.openLog(ctx, what, q.flags.kernelLog)
		return func() {}
	}
	kernel, err := journal.OpenKernel(ctx, q.until)
	if err != nil {
		q.unseen = append(q.unseen, fmt.Sprintf("%s (%s)", what, err))
		return func() {}
	}
	q.logs.add(what, auditlog.New(what, kernel))
	return func() {
		if err := kernel.Close(); err != nil {
			q.unseen = append(q.unseen, fmt.Sprintf("%s (%s)", what, visible.Text(err.Error())))
		}
	}
}

// cannotRead notes what could not be looked at, and what helps.
func (q *inquiry) cannotRead(what, path string, err error) {
	var at *fs.PathError
	if info, wrong := os.Stat(path); wrong == nil && info.IsDir() && errors.As(err, &at) {
		path = at.Path // the file in the folder
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		q.unseen = append(q.unseen, fmt.Sprintf("%s (%s: permission denied; run it as root)", what, path))
		q.advice = append(q.advice, fmt.Sprintf("run it as root: only root may read %s (%s)", what, path))
	case errors.Is(err, fs.ErrNotExist):
		q.unseen = append(q.unseen, fmt.Sprintf("%s (%s does not exist)", what, path))
	default:
		q.unseen = append(q.unseen, fmt.Sprintf("%s (%v)", what, err))
	}
}

// answer writes what was found.
func (q *inquiry) answer(cmd *cobra.Command) error {
	a := &death.Answer{
		Target: q.target, Death: q.finder.Death(), Maybe: q.finder.Maybe(), Now: q.now, CommandLine: redact.Policy(q.flags.commandLine),
	}
	a.Notes, a.Unit = q.systemd(cmd.Context(), a)
	a.Unseen = q.unseen
	q.logs.notes.flush()
	q.logs.noteDoubts()
	if a.Death == nil && a.Maybe == nil && len(a.Notes) == 0 {
		q.nothing()
		return exitError(exitNothing)
	}
	out := cmd.OutOrStdout()
	if q.flags.output == listing.FormatJSON {
		host := thisMachine()
		return a.WriteJSON(out, telemetry.Config{
			Resource: telemetry.DefaultResource(host), HostID: host.ID, CommandLine: a.CommandLine,
		})
	}
	return a.Write(out, terminal.Of(out))
}

// noneHasEnded says that there were signals, and that it is known of each that it has ended nothing.
func noneHasEnded(signals int) string {
	if signals == 1 {
		return "there is 1 signal to it, which has not ended it"
	}
	return fmt.Sprintf("there are %s to it, of which none has ended it", countSignals(signals))
}

// nothing says why there is no answer, and what to do for the next time.
func (q *inquiry) nothing() {
	say := q.logs.notes.say
	first, last, _ := q.logs.span()
	running := runningNames()
	switch survived := q.finder.Survived(); {
	case survived != nil:
		say("%s has not died as far as is known: %s, %s was sent %s, and survived it", q.target, local(survived.Outcome.Began),
			processName(survived), survived.Signal.Name())
	case q.finder.Matched() > 0:
		say("%s has not died as far as is known: %s", q.target, noneHasEnded(q.finder.Matched()))
	case first.IsZero():
		say("nothing is recorded on this host about the death of any process, so not of %s either", q.target)
	default:
		until := ""
		if !q.until.IsZero() {
			until = " until " + local(q.until)
		}
		say("nothing is recorded about the death of %s%s; what is recorded is from %s to %s", q.target, until, local(first), local(last))
	}
	for _, log := range q.named {
		if log.Lines() == 0 {
			say("%s is empty", log.path)
		}
	}
	if names := q.finder.Suggest(running); len(names) > 0 && q.finder.Matched() == 0 && !slices.Contains(running, q.target.String()) {
		say("did you mean %s?", strings.Join(names, " or "))
	}
	if len(q.unseen) > 0 {
		say("not looked at: %s", strings.Join(q.unseen, "; "))
	}
	for _, advice := range q.advice {
		say("%s", advice)
	}
	if len(q.logs.histories) == 0 && len(q.advice) == 0 {
		say("for the next time: install the package otelcol-auditkill, whose service remembers who killed what; " +
			"`auditkill doctor` shows what this host needs, and `auditkill watch` shows what is killed from now on")
	}
}
