// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// byAlice is how a sentence goes on if alice has asked for something.
const byAlice = "asked for by systemctl[136] (systemctl restart mariadb) of alice from 10.0.0.5"

// quick is alice without whoever has begun it.
func quick(change func(*kill.Behind)) *kill.Behind {
	b := alice()
	b.Initiator = nil
	change(b)
	return b
}

// alone is a manager that nobody has asked for anything.
func alone(change func(*kill.Behind)) *kill.Behind {
	b := &kill.Behind{Managed: true, Evidence: kill.EvidenceObserved, Unit: "mariadb.service"}
	change(b)
	return b
}

func TestCauses(t *testing.T) {
	t.Parallel()
	const ninety = 90 * time.Second
	nothing := func(*kill.Behind) {}
	inSession := func(b *kill.Behind) {
		b.Unit, b.User, b.Session = "session-21.scope", user(1000, "alice"), &kill.Session{ID: "21", Address: "10.0.0.5"}
	}
	tests := map[string]struct {
		cause  kill.Cause
		behind *kill.Behind
		want   string
	}{
		"stop":                     {kill.CauseServiceStop, quick(nothing), ": stop of mariadb.service, " + byAlice},
		"restart":                  {kill.CauseServiceRestart, quick(nothing), ": restart of mariadb.service, " + byAlice},
		"reload":                   {kill.CauseServiceReload, quick(nothing), ": reload of mariadb.service, " + byAlice},
		"kill":                     {kill.CauseServiceKill, quick(nothing), ": kill of mariadb.service, " + byAlice},
		"main process":             {kill.CauseMainProcessEnd, alone(nothing), ": the rest of mariadb.service after its main process"},
		"stop timeout":             {kill.CauseStopTimeout, alone(func(b *kill.Behind) { b.Limit = ninety }), ": mariadb.service did not stop within 90 s"},
		"stop timeout, unknown":    {kill.CauseStopTimeout, alone(nothing), ": mariadb.service did not stop in time"},
		"start timeout":            {kill.CauseStartTimeout, alone(func(b *kill.Behind) { b.Limit = ninety }), ": mariadb.service did not start within 90 s"},
		"start timeout, unknown":   {kill.CauseStartTimeout, alone(nothing), ": mariadb.service did not start in time"},
		"runtime":                  {kill.CauseRuntimeLimit, alone(func(b *kill.Behind) { b.Limit = 5 * time.Minute }), ": mariadb.service ran for longer than its limit of 5 min"},
		"runtime, unknown":         {kill.CauseRuntimeLimit, alone(nothing), ": mariadb.service ran for longer than its limit"},
		"watchdog":                 {kill.CauseWatchdog, alone(func(b *kill.Behind) { b.Limit = 30 * time.Second }), ": the watchdog of mariadb.service was not served for 30 s"},
		"watchdog, unknown":        {kill.CauseWatchdog, alone(nothing), ": the watchdog of mariadb.service was not served in time"},
		"dependency":               {kill.CauseDependency, quick(func(b *kill.Behind) { b.Named = "network.target" }), ": stop of mariadb.service because of network.target, " + byAlice},
		"dependency, unknown":      {kill.CauseDependency, alone(nothing), ": stop of mariadb.service because of another unit"},
		"OOM policy":               {kill.CauseOOMPolicy, alone(nothing), ": the kernel killed a process of mariadb.service for lack of memory, and its OOMPolicy stops the rest"},
		"memory pressure":          {kill.CauseMemoryPressure, alone(nothing), ": memory pressure in mariadb.service"},
		"memory pressure, nowhere": {kill.CauseMemoryPressure, alone(func(b *kill.Behind) { b.Unit = "" }), ": memory pressure"},
		"swap pressure":            {kill.CauseSwapPressure, alone(nothing), ": swap pressure in mariadb.service"},
		"swap pressure, nowhere":   {kill.CauseSwapPressure, alone(func(b *kill.Behind) { b.Unit = "" }), ": swap pressure"},
		"session end":              {kill.CauseSessionEnd, alone(inSession), ": end of session 21 of alice from 10.0.0.5"},
		"session end, unit alone":  {kill.CauseSessionEnd, alone(func(b *kill.Behind) { b.Unit = "session-c1.scope" }), ": end of session c1"},
		"session end, all of them": {kill.CauseSessionEnd, alone(func(b *kill.Behind) { b.Unit, b.User = "user@1000.service", user(1000, "alice") }), ": end of user@1000.service of alice"},
		"session end, unknown":     {kill.CauseSessionEnd, alone(func(b *kill.Behind) { b.Unit = "" }), ": end of a session"},
		"session kill":             {kill.CauseSessionKill, quick(func(b *kill.Behind) { b.Unit = "session-7.scope" }), ": session 7 was ended by systemctl[136] (systemctl restart mariadb) of alice from 10.0.0.5"},
		"session kill, inferred":   {kill.CauseSessionKill, quick(func(b *kill.Behind) { b.Unit, b.Evidence = "session-7.scope", kill.EvidenceInferred }), ": session 7 was ended, probably by systemctl[136] (systemctl restart mariadb) of alice from 10.0.0.5"},
		"session kill, by nobody":  {kill.CauseSessionKill, alone(inSession), ": session 21 of alice from 10.0.0.5 was ended"},
		"session kill, by one of":  {kill.CauseSessionKill, alone(func(b *kill.Behind) { b.Unit, b.Candidates = "session-7.scope", 2 }), ": session 7 was ended by one of 2 processes"},
		"shutdown":                 {kill.CauseShutdown, quick(nothing), ": shutdown, " + byAlice},
		"shutdown, by nobody":      {kill.CauseShutdown, alone(nothing), ": shutdown"},
		"container":                {kill.CauseContainerStop, alone(func(b *kill.Behind) { b.Unit = container }), ": stop of container 4f5e6d7c8b9a"},
		"container with a name":    {kill.CauseContainerStop, alone(func(b *kill.Behind) { b.Unit = "web" }), ": stop of container web"},
		"container, unknown":       {kill.CauseContainerStop, alone(func(b *kill.Behind) { b.Unit = "" }), ": stop of a container"},
		"unit unknown":             {kill.CauseServiceStop, alone(func(b *kill.Behind) { b.Unit = "" }), ": stop of a unit"},
		"cause alone":              {kill.CauseServiceStop, nil, ": stop of a unit"},
		"inferred cause":           {kill.CauseServiceStop, alone(func(b *kill.Behind) { b.Evidence = kill.EvidenceInferred }), ": probably stop of mariadb.service"},
		"inferred requester":       {kill.CauseServiceStop, quick(func(b *kill.Behind) { b.Evidence = kill.EvidenceInferred }), ": stop of mariadb.service, probably " + byAlice},
		"candidates":               {kill.CauseServiceStop, alone(func(b *kill.Behind) { b.Candidates = 3 }), ": stop of mariadb.service, asked for by one of 3 processes"},
		"candidates of one user":   {kill.CauseServiceStop, alone(func(b *kill.Behind) { b.Candidates, b.User = 3, user(1000, "alice") }), ": stop of mariadb.service, asked for by one of 3 processes of alice"},
		"candidates, inferred":     {kill.CauseServiceStop, alone(func(b *kill.Behind) { b.Candidates, b.Evidence = 3, kill.EvidenceInferred }), ": stop of mariadb.service, probably asked for by one of 3 processes"},
		"person without program":   {kill.CauseServiceStop, alone(func(b *kill.Behind) { b.User = user(1000, "") }), ": stop of mariadb.service, asked for by user 1000"},
		"address without person":   {kill.CauseServiceStop, alone(func(b *kill.Behind) { b.Session = &kill.Session{Address: "fe80::1%eth0"} }), ": stop of mariadb.service, asked for by somebody from fe80::1%eth0"},
		"local session":            {kill.CauseServiceStop, quick(func(b *kill.Behind) { b.Session = &kill.Session{TTY: "tty1"} }), ": stop of mariadb.service, asked for by systemctl[136] (systemctl restart mariadb) of alice"},
		"nobody had logged in":     {kill.CauseServiceStop, quick(func(b *kill.Behind) { b.Session, b.User = nil, kill.User{} }), ": stop of mariadb.service, asked for by systemctl[136] (systemctl restart mariadb)"},
		"initiator":                {kill.CauseServiceRestart, alice(), ": restart of mariadb.service, " + byAlice + ", begun by ansible-playbook[77] (ansible-playbook --password=*** site.yml)"},
		"initiator is requester":   {kill.CauseServiceRestart, quick(func(b *kill.Behind) { b.Initiator = &kill.Ancestor{PID: 136, Command: "systemctl"} }), ": restart of mariadb.service, " + byAlice},
		"initiator is sudo": {kill.CauseServiceRestart, quick(func(b *kill.Behind) {
			b.Initiator = &kill.Ancestor{PID: 135, Command: "sudo", Title: "sudo\x00" + b.Requester.Title}
		}), ": restart of mariadb.service, " + byAlice},
		"no cause":                  {kill.CauseNone, quick(nothing), ", " + byAlice},
		"unit with escapes":         {kill.CauseServiceStop, alone(func(b *kill.Behind) { b.Unit = `dm\x2dcrypt.service` }), `: stop of "dm\\x2dcrypt.service"`},
		"person of another cause":   {kill.CauseMemoryPressure, alone(func(b *kill.Behind) { b.User = user(1000, "alice") }), ": memory pressure in mariadb.service, asked for by alice"},
		"initiator without request": {kill.CauseContainerStop, alone(func(b *kill.Behind) { b.Unit, b.Initiator = "web", &kill.Ancestor{PID: 5, Command: "dockerd"} }), ": stop of container web, begun by dockerd[5]"},
	}
	seen := map[kill.Cause]bool{}
	for name, tt := range tests {
		seen[tt.cause] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := managedEvent(func(e *kill.Event) { e.Cause, e.Behind, e.Sender.Executable = tt.cause, tt.behind, "" })
			if tt.behind == nil {
				e.Sender.User = kill.User{}
			}
			assert.Equal(t, "systemd[1] sent SIGTERM to mariadbd[5932]"+tt.want, convert(testConfig(), e).Body().Str())
		})
	}
	for cause := range phrases {
		assert.True(t, cause.Managed() && seen[cause], cause)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		90 * time.Second: "90 s", time.Minute: "1 min", 5 * time.Minute: "5 min", 2 * time.Hour: "2 h", 150 * time.Millisecond: "150 ms",
		1500 * time.Millisecond: "1500 ms", 1500 * time.Microsecond: "0.0015 s",
	} {
		assert.Equal(t, want, string(appendLimit(nil, d)))
	}
}

// The rest of a sentence stays what it is.
func TestBehindInSentences(t *testing.T) {
	t.Parallel()
	cleanup := &kill.Ancestor{PID: 290, Command: "cleanup.sh", Title: "/bin/sh\x00/opt/cleanup.sh\x00"}
	plain := func(e *kill.Event, b *kill.Behind) {
		e.Cause, e.Behind = kill.CauseNone, b
		e.Sender = kill.Process{PID: 300, Command: "pkill", Executable: "/usr/bin/pkill", User: user(0, ""), Login: user(1000, "")}
	}
	tests := map[string]struct {
		change func(*kill.Event)
		want   string
	}{
		"begun by a script": {
			func(e *kill.Event) { plain(e, &kill.Behind{Initiator: cleanup}) },
			"pkill[300] (/usr/bin/pkill, uid 0, login 1000) sent SIGTERM to mariadbd[5932], begun by cleanup.sh[290] (/bin/sh /opt/cleanup.sh)",
		},
		"begun by a script of alice's": {
			func(e *kill.Event) {
				plain(e, &kill.Behind{Initiator: cleanup, User: user(1000, "alice"), Session: &kill.Session{Address: "10.0.0.5"}})
			},
			"pkill[300] (/usr/bin/pkill, uid 0, login 1000) sent SIGTERM to mariadbd[5932], " +
				"begun by cleanup.sh[290] (/bin/sh /opt/cleanup.sh) of alice from 10.0.0.5",
		},
		"by alice herself": {
			func(e *kill.Event) {
				plain(e, &kill.Behind{User: user(1000, "alice"), Session: &kill.Session{Address: "10.0.0.5"}})
			},
			"pkill[300] (/usr/bin/pkill, uid 0, login 1000) sent SIGTERM to mariadbd[5932], on behalf of alice from 10.0.0.5",
		},
		"initiator is the sender": {
			func(e *kill.Event) { plain(e, &kill.Behind{Initiator: &kill.Ancestor{PID: 300, Command: "pkill"}}) },
			"pkill[300] (/usr/bin/pkill, uid 0, login 1000) sent SIGTERM to mariadbd[5932]",
		},
		"refused": {
			func(e *kill.Event) {
				plain(e, &kill.Behind{User: user(1000, "alice")})
				e.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"}
			},
			"pkill[300] (/usr/bin/pkill, uid 0, login 1000) sent SIGTERM to mariadbd[5932], on behalf of alice: EPERM",
		},
		"doubtful": {
			func(e *kill.Event) {
				e.Behind, e.Scope, e.Requested = quick(func(*kill.Behind) {}), kill.ScopeProcessGroup, 7
				e.Targets[0].Result = &kill.Result{}
			},
			"systemd[1] sent SIGTERM to process group 7: restart of mariadb.service, " + byAlice + "; whether it reached mariadbd[5932] is not recorded",
		},
		"manager of a user": {
			func(e *kill.Event) {
				e.Behind, e.Sender.User, e.Sender.PID = quick(func(*kill.Behind) {}), user(1000, "alice"), 900
			},
			"systemd[900] (/usr/lib/systemd/systemd, uid 1000) sent SIGTERM to mariadbd[5932]: restart of mariadb.service, " + byAlice,
		},
		"by the kernel, for systemd": {
			func(e *kill.Event) {
				e.Behind, e.Origin, e.Signal = alone(func(*kill.Behind) {}), kill.OriginKernel, kill.SIGKILL
				e.Cause = kill.CauseMainProcessEnd
			},
			"the kernel sent SIGKILL to mariadbd[5932], prompted by systemd[1] (/usr/lib/systemd/systemd, uid 0): " +
				"the rest of mariadb.service after its main process",
		},
		"container of the target": {
			func(e *kill.Event) {
				e.Behind, e.Cause = alone(func(b *kill.Behind) { b.Unit = "web" }), kill.CauseContainerStop
				e.Targets[0].Instance = &kill.Instance{Container: container}
			},
			"systemd[1] sent SIGTERM to mariadbd[5932]: stop of container 4f5e6d7c8b9a",
		},
		"title like details": {
			func(e *kill.Event) {
				e.Behind = quick(func(b *kill.Behind) { b.Requester.Title, b.Session = "uid\x000\x00", nil })
			},
			`systemd[1] sent SIGTERM to mariadbd[5932]: restart of mariadb.service, asked for by systemctl[136] ("uid 0") of alice`,
		},
		"script": {
			func(e *kill.Event) {
				e.Behind = quick(func(b *kill.Behind) { b.Requester.Title, b.Session = "sh\x00-c\x00systemctl stop x; true\x00", nil })
			},
			`systemd[1] sent SIGTERM to mariadbd[5932]: restart of mariadb.service, asked for by systemctl[136] ("sh -c systemctl stop x; true") of alice`,
		},
		"endless title": {
			func(e *kill.Event) {
				e.Behind = quick(func(b *kill.Behind) { b.Requester.Title, b.Session = strings.Repeat("x\x00", 1<<16), nil })
			},
			"systemd[1] sent SIGTERM to mariadbd[5932]: restart of mariadb.service, asked for by systemctl[136] (" +
				strings.TrimRight(strings.Repeat("x ", 128), " ") + "…) of alice",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, convert(testConfig(), managedEvent(tt.change)).Body().Str())
		})
	}
}

func TestOutcomeBehind(t *testing.T) {
	t.Parallel()
	const stopped = "mysqld[3936] was killed by SIGKILL, 1.000 s after systemd[1] sent SIGTERM: restart of mariadb.service, " + byAlice
	escalated := func(e *kill.Event, last *kill.Behind, cause kill.Cause) {
		o := e.Outcome
		o.Escalated, o.LastSignal, o.LastCause, o.Exit.Status = true, kill.SIGKILL, cause, 9
		o.Signals = append(o.Signals, kill.Sent{Signal: kill.SIGKILL, Sender: o.LastSender, Cause: cause, Behind: last})
	}
	late := func(b *kill.Behind) { b.Limit = 90 * time.Second }
	tests := map[string]struct {
		change func(*kill.Event)
		want   string
	}{
		"stopped": {
			func(e *kill.Event) { e.Outcome.Verdict, e.Outcome.Exit.Status = kill.VerdictExited, 0 },
			strings.Replace(stopped, "was killed by SIGKILL", "exited with code 0", 1),
		},
		"did not stop": {
			func(e *kill.Event) { escalated(e, alone(late), kill.CauseStopTimeout) },
			stopped + "; escalated to SIGKILL: mariadb.service did not stop within 90 s",
		},
		"did not stop, for the same requester": {
			func(e *kill.Event) { escalated(e, quick(late), kill.CauseStopTimeout) },
			stopped + "; escalated to SIGKILL: mariadb.service did not stop within 90 s",
		},
		"killed for another": {
			func(e *kill.Event) {
				escalated(e, quick(func(b *kill.Behind) { b.Requester.PID, b.User = 137, user(1001, "bob") }), kill.CauseServiceKill)
			},
			stopped + "; escalated to SIGKILL: kill of mariadb.service, asked for by systemctl[137] (systemctl restart mariadb) " +
				"of bob from 10.0.0.5",
		},
		"killed for another, as audit records tell it, without pids": {
			func(e *kill.Event) {
				recorded := func(b *kill.Behind) { b.Requester.PID = 0 }
				e.Behind = quick(recorded)
				escalated(e, quick(func(b *kill.Behind) { recorded(b); b.User = user(1001, "bob") }), kill.CauseServiceKill)
			},
			"mysqld[3936] was killed by SIGKILL, 1.000 s after systemd[1] sent SIGTERM: restart of mariadb.service, asked for by systemctl " +
				"(systemctl restart mariadb) of alice from 10.0.0.5; escalated to SIGKILL: kill of mariadb.service, asked for by systemctl " +
				"(systemctl restart mariadb) of bob from 10.0.0.5",
		},
		"did not stop, for the same requester without a pid": {
			func(e *kill.Event) {
				recorded := func(b *kill.Behind) { b.Requester.PID = 0 }
				e.Behind = quick(recorded)
				escalated(e, quick(func(b *kill.Behind) { recorded(b); late(b) }), kill.CauseStopTimeout)
			},
			"mysqld[3936] was killed by SIGKILL, 1.000 s after systemd[1] sent SIGTERM: restart of mariadb.service, asked for by systemctl " +
				"(systemctl restart mariadb) of alice from 10.0.0.5; escalated to SIGKILL: mariadb.service did not stop within 90 s",
		},
		"killed for one of several": {
			func(e *kill.Event) {
				escalated(e, alone(func(b *kill.Behind) { b.Candidates = 2 }), kill.CauseServiceKill)
			},
			stopped + "; escalated to SIGKILL: kill of mariadb.service, asked for by one of 2 processes",
		},
		"killed by another": {
			func(e *kill.Event) {
				bob := &kill.Process{PID: 5, Command: "kill", Login: user(1001, "bob")}
				e.Outcome.LastSender = bob
				escalated(e, &kill.Behind{User: user(1001, "bob")}, kill.CauseNone)
			},
			stopped + "; then kill[5] (login 1001) sent SIGKILL, on behalf of bob",
		},
		"nothing known of the last": {
			func(e *kill.Event) { escalated(e, nil, kill.CauseNone) },
			stopped + "; escalated to SIGKILL",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := outcomeEvent(func(e *kill.Event) {
				e.Cause, e.Behind = kill.CauseServiceRestart, quick(func(*kill.Behind) {})
				tt.change(e)
			})
			assert.Equal(t, tt.want, convert(testConfig(), e).Body().Str())
		})
	}
}

var (
	quotedText    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"…?`)
	parenthesized = regexp.MustCompile(`\([^()]*\)`)
	ordinaryText  = regexp.MustCompile(`[^ ,;:()\[\]]+`)
)

// skeleton is what of a sentence nobody else may choose: what is between the texts in it.
func skeleton(sentence string) string {
	sentence = quotedText.ReplaceAllString(sentence, "text")
	sentence = parenthesized.ReplaceAllString(sentence, "()")
	return ordinaryText.ReplaceAllString(sentence, "x")
}

// Whatever names and command lines somebody chooses, the sentence around them stays the same.
func TestForgedBehind(t *testing.T) {
	t.Parallel()
	forged := func(text string) *kill.Event {
		return managedEvent(func(e *kill.Event) {
			e.Cause, e.Result = kill.CauseDependency, kill.Result{Known: true, Errno: 1, Error: "EPERM"}
			b := e.Behind
			b.Requester.Command, b.Requester.Title, b.Initiator.Command, b.Initiator.Title = text, text, text, text
			b.User.Name, b.Session.Address, b.Unit, b.Named = text, text, text, text
		})
	}
	want := skeleton(convert(testConfig(), forged("word")).Body().Str())
	require.Equal(t, "x[x] x x x x[x]: x x x x x x, x x x x[x] () x x x x, x x x[x] (): x", want)
	pieces := []string{
		"a", "systemctl", " ", "(", ")", "[1]", "\"", "\\", ",", "; ", ": ", "\x00", "\n", "…", "'", "\xff", "\u202e", "of root from 10.0.0.1",
		"asked for by", ") of root", "uid 0", "login 0", "begun by x[1]", "\\\"", "é", "…\"", "?",
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in each run
	for range 5000 {
		var text strings.Builder
		text.WriteString("x")
		for range random.IntN(8) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		body := convert(testConfig(), forged(text.String())).Body().Str()
		// A word may end with a colon, which is followed by no blank of its own.
		require.Equal(t, want, skeleton(strings.ReplaceAll(body, "x: ", "x ")), "%q: %s", text.String(), body)
	}
}
