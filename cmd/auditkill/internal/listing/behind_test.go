// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"bufio"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/table"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

// restarted is a signal of systemd's. alice has asked for it from another host.
func restarted(edit func(*kill.Event)) *kill.Event {
	return event(func(e *kill.Event) {
		e.Cause, e.Sender = kill.CauseServiceRestart, kill.Process{PID: 1, Command: "systemd", Title: "/sbin/init\x00"}
		e.Behind = &kill.Behind{
			Managed: true, Evidence: kill.EvidenceObserved,
			Requester: &kill.Process{
				PID: 136, Command: "systemctl", Executable: "/usr/bin/systemctl", Title: "systemctl\x00restart\x00mariadb\x00",
			},
			Initiator: &kill.Ancestor{PID: 135, Command: "sudo", Title: "sudo\x00systemctl\x00restart\x00mariadb\x00"},
			User:      kill.User{ID: kill.NewID(1000), Name: "alice"}, Session: &kill.Session{ID: "21", Address: "10.0.0.5"},
		}
		if edit != nil {
			edit(e)
		}
	})
}

func TestBy(t *testing.T) {
	t.Parallel()
	plain := func(b kill.Behind) func(*kill.Event) {
		return func(e *kill.Event) {
			e.Behind, e.Cause = &b, kill.CauseNone
			e.Sender = kill.Process{Command: "pkill", Title: "pkill\x00mysqld\x00", Login: kill.User{ID: kill.NewID(500), Name: "ann"}}
		}
	}
	for name, tt := range map[string]struct {
		edit func(*kill.Event)
		want string
	}{
		"from another host": {nil, "alice@10.0.0.5: sudo systemctl restart mariadb"},
		"local":             {func(e *kill.Event) { e.Behind.Session = nil }, "alice: sudo systemctl restart mariadb"},
		"by id":             {func(e *kill.Event) { e.Behind.Session, e.Behind.User.Name = nil, "" }, "1000: sudo systemctl restart mariadb"},
		"begun by itself":   {func(e *kill.Event) { e.Behind.Initiator = nil }, "alice@10.0.0.5: systemctl restart mariadb"},
		"no title":          {func(e *kill.Event) { e.Behind.Initiator.Title = "" }, "alice@10.0.0.5: sudo"},
		"no user":           {func(e *kill.Event) { e.Behind.User, e.Behind.Session = kill.User{}, nil }, "sudo systemctl restart mariadb"},
		"inferred":          {func(e *kill.Event) { e.Behind.Evidence = kill.EvidenceInferred }, "~alice@10.0.0.5: sudo systemctl restart mariadb"},
		"session": {
			func(e *kill.Event) { e.Behind.Requester, e.Behind.Initiator, e.Cause = nil, nil, kill.CauseSessionEnd }, "(session_end of alice@10.0.0.5)",
		},
		"session, inferred": {
			func(e *kill.Event) {
				e.Behind.Requester, e.Behind.Initiator, e.Behind.Evidence, e.Cause = nil, nil, kill.EvidenceInferred, kill.CauseSessionEnd
			}, "~(session_end of alice@10.0.0.5)",
		},
		"session that somebody has ended": {func(e *kill.Event) { e.Cause = kill.CauseSessionKill }, "alice@10.0.0.5: sudo systemctl restart mariadb"},
		"session that was ended": {
			func(e *kill.Event) { e.Behind.Requester, e.Behind.Initiator, e.Cause = nil, nil, kill.CauseSessionKill }, "(session_kill of alice@10.0.0.5)",
		},
		"nobody": {
			func(e *kill.Event) { e.Behind, e.Cause = &kill.Behind{Managed: true}, kill.CauseStopTimeout }, "(stop_timeout)",
		},
		"cause alone":            {func(e *kill.Event) { e.Behind, e.Cause = nil, kill.CauseStopTimeout }, "(stop_timeout)"},
		"several":                {func(e *kill.Event) { e.Behind = &kill.Behind{Managed: true, Candidates: 3} }, "one of 3 processes"},
		"nothing more is known":  {func(e *kill.Event) { e.Behind, e.Cause = nil, kill.CauseNone }, ""},
		"nothing behind manager": {func(e *kill.Event) { e.Behind, e.Cause = &kill.Behind{Managed: true}, kill.CauseNone }, ""},
		"sender": {
			plain(kill.Behind{User: kill.User{ID: kill.NewID(1000), Name: "alice"}, Session: &kill.Session{Address: "::1"}}), "alice@::1: pkill mysqld",
		},
		"sender's own login":     {plain(kill.Behind{Session: &kill.Session{Address: "::1"}}), "ann@::1: pkill mysqld"},
		"script":                 {plain(kill.Behind{Initiator: &kill.Ancestor{Command: "cleanup.sh", Title: "sh\x00cleanup.sh"}}), "ann: sh cleanup.sh"},
		"kernel's, of a manager": {func(e *kill.Event) { e.Origin = kill.OriginKernel }, "alice@10.0.0.5: sudo systemctl restart mariadb"},
		"a key on a terminal": {func(e *kill.Event) {
			e.Origin, e.Cause, e.Sender = kill.OriginKernel, kill.CauseTerminalKey, kill.Process{}
			e.Behind = &kill.Behind{User: e.Behind.User, Session: e.Behind.Session}
		}, "(terminal_key of alice@10.0.0.5)"},
		"who writes to cgroup.kill": {func(e *kill.Event) {
			e.Origin, e.Cause, e.Behind = kill.OriginKernel, kill.CauseCgroupKill, nil
			e.Sender = kill.Process{PID: 77, Command: "sh", Title: "sh\x00-c\x00echo 1 >cgroup.kill"}
		}, "sh -c echo 1 >cgroup.kill"},
		"a limit":      {func(e *kill.Event) { e.Origin, e.Behind, e.Cause = kill.OriginKernel, nil, kill.CauseCPULimit }, ""},
		"kernel's own": {func(e *kill.Event) { e.Origin, e.Behind, e.Cause = kill.OriginKernel, nil, kill.CauseOOM }, ""},
		"escaped": {
			func(e *kill.Event) {
				e.Behind.Initiator.Title, e.Behind.User.Name, e.Behind.Session.Address = "a\x1bb", "c\nd", "e\u202e"
			}, `c\nd@e\u202e: a\x1bb`,
		},
	} {
		assert.Equal(t, tt.want, only(restarted(tt.edit)).By(redact.Redacted), name)
	}
	e := only(restarted(func(e *kill.Event) { e.Behind.Initiator.Title = "mysql\x00-phunter2\x00shop\x00" }))
	for policy, want := range map[redact.Policy]string{
		redact.Redacted: "mysql -p*** shop", redact.Program: "mysql", redact.Full: "mysql -phunter2 shop", redact.Off: "sudo",
	} {
		assert.Equal(t, "alice@10.0.0.5: "+want, e.By(policy))
	}
}

func TestBehindEntry(t *testing.T) {
	t.Parallel()
	e := only(restarted(nil))
	assert.Equal(t, []string{
		"alice", "10.0.0.5", "service_restart", "observed", "systemctl", "136", "/usr/bin/systemctl", "systemctl restart mariadb", "sudo",
		"sudo systemctl restart mariadb",
	}, []string{
		e.Login(), e.Address(), e.Cause(), e.Evidence(), e.Requester(), e.RequesterPID(), e.RequesterProgram(),
		e.RequesterCommandLine(redact.Redacted), e.Initiator(), e.InitiatorCommandLine(redact.Redacted),
	})
	for _, unknown := range []Entry{only(event(nil)), only(restarted(func(e *kill.Event) { e.Behind, e.Cause = &kill.Behind{Managed: true}, "" }))} {
		for _, text := range []string{
			unknown.Address(), unknown.Cause(), unknown.Evidence(), unknown.Requester(), unknown.RequesterPID(), unknown.RequesterProgram(),
			unknown.RequesterCommandLine(redact.Full), unknown.Initiator(), unknown.InitiatorCommandLine(redact.Full),
		} {
			assert.Empty(t, text)
		}
	}
	assert.Equal(t, "systemctl", only(restarted(func(e *kill.Event) { e.Behind.Requester.Executable = "" })).RequesterProgram())
}

// lines returns what a terminal of some width shows of events.
func lines(t *testing.T, width int, columns []table.Column[Entry], sample int, events ...*kill.Event) []string {
	t.Helper()
	t.Setenv("NO_COLOR", "1")
	control, tty, err := pty.Open()
	require.NoError(t, err)
	defer control.Close()
	defer tty.Close()
	require.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: uint16(width)}))
	printed := table.New(tty, terminal.Of(tty), columns, sample)
	for _, e := range events {
		require.NoError(t, printed.Print(only(e)))
	}
	require.NoError(t, printed.Flush())
	var all []string
	for screen := bufio.NewReader(control); len(all) < len(events)+1; {
		line, err := screen.ReadString('\n')
		require.NoError(t, err)
		all = append(all, strings.TrimRight(line, "\r\n"))
		assert.LessOrEqual(t, uniseg.StringWidth(all[len(all)-1]), width)
	}
	return all
}

// Names and results are whole on a usual terminal, and so is the person. Columns that say less are left out.
func TestNarrow(t *testing.T) {
	late := restarted(func(e *kill.Event) {
		e.Kind, e.Outcome = kill.KindOutcome, &kill.Outcome{Verdict: kill.VerdictExited, Began: at.Add(-3200 * time.Millisecond)}
	})
	assert.Equal(t, []string{
		"TIME              SIGNAL  TARGET       SENDER      LOGIN BY               RESULT",
		"11-22 03:00:00    SIGKILL mysqld[3936] mysql[3997] alice -                ok",
		"11-22 03:00:00    SIGKILL mysqld[3936] systemd[1]  alice alice@10.0.0.5:… ok",
	}, lines(t, 80, Past(time.UTC, redact.Redacted, false), 9, event(nil), restarted(nil)))
	assert.Contains(t, lines(t, 170, Past(time.UTC, redact.Redacted, false), 9, event(nil), restarted(nil))[2],
		"  alice@10.0.0.5: sudo systemctl restart mariadb  ok")
	assert.Equal(t, []string{
		"TIME     TARGET   PID     SIGN… SENDER   SENDER … USER  BY            RESULT",
		"03:00:00 mysqld   3936    KILL  mysql    3997     alice -             ok",
		"03:00:00 mysqld   3936    KILL  systemd  1        alice alice@10.0.0… ok",
		"03:00:00 mysqld   3936    KILL  systemd  1        alice alice@10.0.0… gone 3.2s",
	}, lines(t, 80, Live(time.UTC, redact.Redacted), 0, event(nil), restarted(nil), late))
	assert.Equal(t, []string{
		"EPOCH      TIME         TARGET        PID     SIGNAL  SENDER       SENDER PID USER     BY                RESULT",
	}, lines(t, 120, Live(time.UTC, redact.Redacted), 0, restarted(nil))[:1])
}
