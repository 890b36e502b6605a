// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/live"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// script is a watch that shows the events of a test.
type script struct {
	config live.Config
	events []*kill.Event
	fails  error
	closed bool
	// waits says whether it goes on until it is ended.
	waits bool
}

func (s *script) open(_ context.Context, config live.Config) (watched, error) {
	s.config = config
	return s, s.fails
}

func (*script) Source() string { return "script" }

func (s *script) Run(ctx context.Context, show func(*kill.Event) error, finish func() error) (err error) {
	defer func() { err = errors.Join(err, finish()) }()
	for _, e := range s.events {
		if err := show(e); err != nil {
			return err
		}
	}
	if s.waits {
		<-ctx.Done()
	}
	return nil
}

func (s *script) Close() error {
	s.closed = true
	return nil
}

func (s *script) watch() *watchFlags { return &watchFlags{open: s.open} }

func TestWatch(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"table", "json", "csv"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := script{events: scene()}
			out, errs, code, err := executeLoudly(t, s.watch().command(), "--output", format)
			require.NoError(t, err)
			assert.Equal(t, "auditkill: watching with script\n", errs, "also where standard error is no terminal")
			assert.Equal(t, exitFound, code)
			assert.True(t, s.closed)
			// The id is of this host.
			golden(t, "watch_"+format+".txt", regexp.MustCompile(`[0-9a-f]{32}`).ReplaceAllString(out, "an id"))
		})
	}
}

// Who is behind a signal is told in each format.
func TestWatchBehind(t *testing.T) {
	t.Parallel()
	user := func(id uint32, name string) kill.User { return kill.User{ID: kill.NewID(id), Name: name} }
	systemd := kill.Process{PID: 1, Command: "systemd", Executable: "/usr/lib/systemd/systemd", User: user(0, "root")}
	alice := &kill.Behind{
		Managed: true, Evidence: kill.EvidenceObserved, Unit: "mariadb.service", User: user(1000, "alice"),
		Requester: &kill.Process{
			PID: 136, ParentPID: 135, Command: "systemctl", Executable: "/usr/bin/systemctl", Title: "systemctl\x00restart\x00mariadb\x00",
			User: user(0, "root"), Ancestry: []kill.Ancestor{{PID: 135, Command: "sudo", Title: "sudo\x00systemctl\x00restart\x00mariadb\x00"}},
		},
		Initiator: &kill.Ancestor{PID: 135, Command: "sudo", Title: "sudo\x00systemctl\x00restart\x00mariadb\x00"},
		Session:   &kill.Session{ID: "21", Service: "sshd", TTY: "pts/0", UserName: "alice", Address: "10.0.0.5", Port: 50022},
	}
	at := time.Date(2026, 11, 23, 3, 15, 0, 250e6, time.UTC)
	event := func(after time.Duration, cause kill.Cause, b *kill.Behind, edit func(*kill.Event)) *kill.Event {
		e := &kill.Event{
			Kind: kill.KindSignal, Time: at.Add(after), Signal: kill.SIGTERM, SignalKnown: true, Complete: true, Source: "ebpf", TargetCount: 1,
			Origin: kill.OriginUser, Scope: kill.ScopeProcess, Syscall: "kill", Result: kill.Success(), Sender: systemd, Cause: cause, Behind: b,
		}
		*e.AddTarget() = kill.Process{PID: 5932, Command: "mariadbd"}
		edit(e)
		return e
	}
	late := &kill.Behind{Managed: true, Evidence: kill.EvidenceObserved, Unit: "mariadb.service", Limit: 90 * time.Second}
	guessed := *alice
	guessed.Evidence, guessed.Initiator, guessed.Session = kill.EvidenceInferred, nil, nil
	events := []*kill.Event{
		event(0, kill.CauseServiceRestart, alice, func(*kill.Event) {}),
		event(90*time.Second, kill.CauseStopTimeout, late, func(e *kill.Event) { e.Signal = kill.SIGKILL }),
		event(91*time.Second, kill.CauseServiceRestart, alice, func(e *kill.Event) {
			e.Kind, e.Outcome = kill.KindOutcome, &kill.Outcome{
				Began: at, Verdict: kill.VerdictKilled, Exit: kill.Exit{Known: true, Status: 9}, Escalated: true, LastSignal: kill.SIGKILL,
				LastSender: &systemd, LastCause: kill.CauseStopTimeout, Signals: []kill.Sent{
					{Time: at, Signal: kill.SIGTERM, Sender: &systemd, Cause: kill.CauseServiceRestart, Behind: alice},
					{Time: at, Signal: kill.SIGKILL, Sender: &systemd, Cause: kill.CauseStopTimeout, Behind: late},
				},
			}
		}),
		event(92*time.Second, kill.CauseServiceStop, &guessed, func(*kill.Event) {}),
	}
	for _, format := range []string{"table", "json", "csv"} {
		s := script{events: events}
		out, _, _, err := executeLoudly(t, s.watch().command(), "--output", format)
		require.NoError(t, err)
		golden(t, "watch_behind_"+format+".txt", regexp.MustCompile(`[0-9a-f]{32}`).ReplaceAllString(out, "an id"))
	}
}

// The header comes before the first signal, so that people see that it runs.
func TestWatchBegins(t *testing.T) {
	t.Parallel()
	for format, begins := range map[string]string{"table": "EPOCH ", "csv": "time,event,", "json": ""} {
		s := script{}
		out, _, code, err := executeLoudly(t, s.watch().command(), "--output", format)
		require.NoError(t, err)
		assert.Equal(t, exitFound, code)
		assert.Equal(t, min(1, len(begins)), strings.Count(out, "\n"), out)
		assert.True(t, strings.HasPrefix(out, begins), out)
	}
}

// scene is what a watch may see.
func scene() []*kill.Event {
	user := func(id uint32, name string) kill.User { return kill.User{ID: kill.NewID(id), Name: name} }
	mysqld := kill.Process{PID: 3936, Command: "mysqld", Executable: "/usr/sbin/mysqld", RealUser: user(102, "mysql")}
	admin := kill.Process{
		PID: 4194303, Command: "mykill", Executable: "/opt/bin/mykill", Title: "mykill\x00--password\x00hunter2\x003936\x00",
		User: user(0, "root"), RealUser: user(0, "root"), Login: user(1000, "an.administrator"),
	}
	at := time.Date(2026, 11, 23, 3, 15, 0, 250e6, time.UTC)
	var events []*kill.Event
	add := func(after time.Duration, e kill.Event, targets ...kill.Process) {
		e.Time, e.SignalKnown, e.Complete, e.Source, e.TargetCount = at.Add(after), true, true, "ebpf", len(targets)
		for _, target := range targets {
			*e.AddTarget() = target
		}
		events = append(events, &e)
	}
	call := func(signal kill.Signal, result kill.Result) kill.Event {
		return kill.Event{
			Kind: kill.KindSignal, Signal: signal, Syscall: "kill", Origin: kill.OriginUser, Sender: admin,
			Scope: kill.ScopeProcess, Result: result, Requested: 3936,
		}
	}
	outcome := func(signal kill.Signal, after time.Duration, verdict kill.Verdict, status int) {
		e := call(signal, kill.Success())
		e.Kind, e.Outcome = kill.KindOutcome, &kill.Outcome{
			Began: at, Verdict: verdict, Exit: kill.Exit{Known: true, Status: status}, LastSignal: signal, LastSender: &admin,
			Signals: []kill.Sent{{Time: at, Signal: signal, Sender: &admin}},
		}
		add(after, e, mysqld)
	}
	add(0, call(kill.SIGTERM, kill.Success()), mysqld)
	add(time.Millisecond, call(kill.SIGKILL, kill.Result{Known: true, Errno: 1, Error: "EPERM"}), mysqld)
	add(2*time.Millisecond, call(kill.SIGKILL, kill.Result{Known: true, Errno: 3, Error: "ESRCH"}))
	oom := call(kill.SIGKILL, kill.Success())
	oom.Origin, oom.Cause, oom.Syscall = kill.OriginKernel, kill.CauseOOM, ""
	add(3*time.Millisecond, oom, kill.Process{PID: 7, Command: "evil\x1b]0;\a"})
	group := call(37, kill.Success())
	group.Scope, group.Delivery = kill.ScopeProcessGroup, kill.DeliveryIgnored
	add(4*time.Millisecond, group, mysqld, kill.Process{PID: 3937, Command: "a-name-of-many-columns"})
	outcome(kill.SIGTERM, 3200*time.Millisecond, kill.VerdictKilled, 9)
	outcome(kill.SIGTERM, 42*time.Second, kill.VerdictExited, 3<<8)
	outcome(kill.SIGSEGV, time.Millisecond, kill.VerdictCoreDumped, 11|0x80)
	outcome(kill.SIGTERM, 2*time.Minute, kill.VerdictSurvived, 0)
	outcome(kill.SIGTERM, 300*time.Millisecond, kill.VerdictEnded, 0)
	return events
}

func TestWatchRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		arguments []string
		says      string
	}{
		"a signal":           {[]string{"--signal", "KILLL"}, "--signal: "},
		"a source":           {[]string{"--source", "netlink"}, `--source: "netlink" must be auto, ebpf, multicast, unicast or file`},
		"an output":          {[]string{"-o", "xml"}, `--output: "xml"`},
		"a cause":            {[]string{"--cause", "service_stop,stopped"}, `--cause: unknown cause "stopped": use one or more of oom, crash, `},
		"a requester":        {[]string{"--requester", "[a"}, "--requester: "},
		"no user behind it":  {[]string{"--by-user", ""}, "--by-user: is empty"},
		"no address":         {[]string{"--from", ""}, "--from: is empty"},
		"no network":         {[]string{"--from", "10.0.0.0/33"}, `--from: "10.0.0.0/33" is no network; write one as 10.0.0.0/8`},
		"no IPv4 address":    {[]string{"--from", "300.1.2.3"}, `--from: "300.1.2.3" is no address; write one as 10.0.0.5, a network as 10.0.0.0/8`},
		"no IPv4 number":     {[]string{"--from", "010.0.0.5"}, `--from: "010.0.0.5" is no address`},
		"no pid":             {[]string{"--pid", "mysqld"}, `--pid: "mysqld" is no pid; use --target for names`},
		"braces":             {[]string{"--requester", "{a,b}"}, `--requester: "{a" has braces, which match only themselves: write a,b or repeat the flag`},
		"a glob":             {[]string{"--target", "[a"}, "--target: "},
		"a time":             {[]string{"--for", "10"}, `"10" for "--for" flag: give it as 30s, 10m, 1h30m, 2d or 1d12h`},
		"time that is past":  {[]string{"--for", "-1s"}, "give it as 30s"},
		"no time":            {[]string{"--for", "0"}, "--for: must be more than 0"},
		"nothing for a time": {[]string{"--for", ""}, "give it as 30s"},
		"a negative outcome": {[]string{"--outcome-timeout", "-1s"}, "give it as 30s"},
		"no source":          {[]string{"--source", ""}, "--source: is empty"},
		"no key":             {[]string{"--key", ""}, "--key: is empty"},
		"no log":             {[]string{"--source", "file", "--file", ""}, "--file: is empty"},
		"no target":          {[]string{"--target", ""}, "--target: is empty"},
		"all, and no signal": {[]string{"-s", "all,foo"}, `unknown signal "foo"`},
		"a key":              {[]string{"--key", "a b"}, "--key: "},
		"a file":             {[]string{"audit.log"}, "unexpected argument \"audit.log\"; see `watch --help`"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s script
			out, code, err := execute(t, s.watch().command(), tt.arguments...)
			require.ErrorContains(t, err, tt.says)
			assert.Equal(t, exitFailure, code)
			assert.Empty(t, out)
			assert.False(t, s.closed, "nothing was opened")
		})
	}
}

func TestWatchAsks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		arguments []string
		wants     func(*live.Config)
	}{
		"usually": {nil, func(*live.Config) {}},
		"all":     {[]string{"-s", "all"}, func(c *live.Config) { c.Asked.Signals = nil }},
		"some": {
			[]string{"-s", "KILL,term", "-t", "mysqld", "--sender", "cron", "-u", "root", "--failed"},
			func(c *live.Config) {
				c.Asked.Signals = []kill.Signal{9, 15}
				c.Asked.Targets, c.Asked.Senders, c.Asked.User, c.Asked.OnlyFailed = []string{"mysqld"}, []string{"cron"}, "root", true
			},
		},
		"behind": {
			[]string{"--by-user", "alice", "--from", "10.0.0.0/8", "--cause", "service_stop,stop_timeout", "--requester", "ansible*"},
			func(c *live.Config) {
				c.Asked.Behind = selection.Behind{
					User: "alice", From: "10.0.0.0/8", Causes: []kill.Cause{kill.CauseServiceStop, kill.CauseStopTimeout},
					Requesters: []string{"ansible*"},
				}
			},
		},
		"a file":      {[]string{"--source", "file", "--file", "a.log"}, func(c *live.Config) { c.Source, c.Path = live.File, "a.log" }},
		"rules":       {[]string{"--source", "unicast", "-k", "mine"}, func(c *live.Config) { c.Source, c.Key = live.Unicast, "mine" }},
		"no outcomes": {[]string{"--outcome-timeout", "0"}, func(c *live.Config) { c.OutcomeTimeout = 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s script
			_, _, _, err := executeLoudly(t, s.watch().command(), tt.arguments...)
			require.NoError(t, err)
			want := live.Config{
				Source: live.Auto, Path: "/var/log/audit/audit.log", Key: "audit_kill_watch",
				OutcomeTimeout: 2 * time.Minute, CommandLine: "redacted",
			}
			want.Asked.Signals = kill.DefaultSignals()
			tt.wants(&want)
			if slices.Equal(want.Asked.Signals, kill.DefaultSignals()) {
				want.Ending = capture.Ending(want.Asked.Targets)
			}
			assert.NotNil(t, s.config.Say)
			assert.NotEmpty(t, s.config.Host.OS)
			s.config.Say, s.config.Host = nil, want.Host
			if len(s.config.Asked.Targets) == 0 {
				s.config.Asked.Targets, s.config.Asked.Senders = nil, nil
			}
			assert.Equal(t, want, s.config)
		})
	}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script script
		out    error
		code   int
		err    string
	}{
		"after a while":              {script{waits: true}, nil, exitFound, ""},
		"when nobody reads":          {script{events: scene(), waits: true}, fmt.Errorf("write |1: %w", syscall.EPIPE), exitFound, ""},
		"when it cannot be written":  {script{events: scene(), waits: true}, syscall.ENOSPC, exitFailure, "printing: no space left on device"},
		"if it cannot be begun with": {script{fails: errors.New("no source can be used")}, nil, exitFailure, "no source can be used"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := tt.script.watch().command()
			cmd.SetArgs([]string{"--for", "50ms"})
			cmd.SetOut(failing{tt.out})
			cmd.SetErr(&bytes.Buffer{})
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			err := cmd.ExecuteContext(t.Context())
			if tt.err == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tt.err)
			}
			assert.Equal(t, tt.script.fails == nil, tt.script.closed)
		})
	}
}

// failing is an output that cannot be written.
type failing struct{ err error }

var _ io.Writer = failing{}

func (f failing) Write(text []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return len(text), nil
}
