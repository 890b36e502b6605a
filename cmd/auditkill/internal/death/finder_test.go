// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/telling"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

// The kernel drops a signal that the first process of a pid namespace does not handle, also SIGKILL, and lets the call succeed.
func TestInitDoesNotDie(t *testing.T) {
	t.Parallel()
	inside := signaled(0, shell, kill.SIGKILL, kill.Process{PID: 4711, Command: "systemd"})
	inside.Requested = 1
	for name, sent := range map[string]telling.Telling{
		"the host's":               signaled(0, shell, kill.SIGKILL, systemd),
		"a container's from there": inside,
	} {
		target, err := ParseTarget("systemd")
		require.NoError(t, err)
		f := NewFinder(target, time.Time{})
		f.Add(sent)
		assert.Nil(t, f.Death(), name)
		assert.Nil(t, f.Maybe(), name)
	}
	f := NewFinder(Target{}, time.Time{})
	f.Add(signaled(0, shell, kill.SIGKILL, kill.Process{PID: 4711, Command: "systemd"}))
	assert.NotNil(t, f.Death(), "a container's from outside")
}

func TestWhy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		target   string
		tellings []telling.Telling
		until    time.Time
		want     string
	}{
		"killed at once": {
			"mysqld",
			[]telling.Telling{
				signaled(0, shell, kill.SIGKILL, mysqld), ended(time.Millisecond, 0, kill.SIGKILL, mysqld, same),
			},
			time.Time{},
			"mysqld[3936] was killed by SIGKILL on 2026-11-28 at 03:15:00, 60 min ago.\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGKILL to mysqld[3936]\n",
		},
		"a stop that took too long": {
			"mysqld[3936]",
			[]telling.Telling{
				signaled(0, systemd, kill.SIGTERM, mysqld), signaled(90*time.Second, systemd, kill.SIGKILL, mysqld),
				ended(90*time.Second+5*time.Millisecond, 0, kill.SIGTERM, mysqld, escalated), signaled(92*time.Second, systemd, kill.SIGKILL, helper),
			},
			time.Time{},
			"mysqld[3936] was killed by SIGKILL on 2026-11-28 at 03:16:30, 58 min ago.\n" +
				"  03:15:00.000  systemd[1] sent SIGTERM to mysqld[3936]\n" +
				"  03:16:30.000  systemd[1] sent SIGKILL to mysqld[3936]\n" +
				"  On SIGTERM it did not end for 90.0 s: then SIGKILL came.\n" +
				"  Within 5 s of that also ended: helper[3940] (was sent SIGKILL, 2.0 s later).\n",
		},
		"exit code 143": {
			"3936",
			[]telling.Telling{
				signaled(0, systemd, kill.SIGTERM, mysqld), ended(time.Second, 0, kill.SIGTERM, mysqld, exited(143)),
			},
			time.Time{},
			"mysqld[3936] exited with code 143 (128 + SIGTERM) on 2026-11-28 at 03:15:01, 60 min ago.\n" +
				"  03:15:00.000  systemd[1] sent SIGTERM to mysqld[3936]\n" +
				"  After SIGTERM it exited by itself with code 143, 1.0 s later.\n" +
				"  Exit code 143 is 128 + 15: so shells and runtimes report that SIGTERM ended what they ran, and some programs exit so when " +
				"they handle it. The code alone does not say that anybody sent it.\n",
		},
		"a signal that it ignores, before it exits": {
			"3936",
			[]telling.Telling{
				changed(signaled(0, shell, kill.SIGTERM, mysqld), ignored), ended(2*time.Second, 0, kill.SIGTERM, mysqld, exited(0)),
			},
			time.Time{},
			"mysqld[3936] exited with code 0 on 2026-11-28 at 03:15:02, 60 min ago.\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGTERM to mysqld[3936]: ignored\n" +
				"  SIGTERM had no effect; it exited by itself with code 0, 2.0 s later.\n",
		},
		"a signal that it ignores, before SIGKILL": {
			"3936",
			[]telling.Telling{
				changed(signaled(0, shell, kill.SIGTERM, mysqld), ignored), signaled(2*time.Second, shell, kill.SIGKILL, mysqld),
				ended(2*time.Second, 0, kill.SIGTERM, mysqld, escalated),
			},
			time.Time{},
			"mysqld[3936] was killed by SIGKILL on 2026-11-28 at 03:15:02, 60 min ago.\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGTERM to mysqld[3936]: ignored\n" +
				"  03:15:02.000  bash[4000] (uid 0) sent SIGKILL to mysqld[3936]\n" +
				"  SIGTERM had no effect; 2.0 s later SIGKILL came.\n",
		},
		"others that ended before": {
			"mysqld",
			[]telling.Telling{
				changed(signaled(-time.Minute, shell, kill.SIGKILL, nginx), begun),
				ended(-3*time.Second, -4*time.Second, kill.SIGTERM, helper, exited(0)),
				changed(signaled(0, shell, kill.SIGKILL, mysqld), begun), changed(ended(0, 0, kill.SIGKILL, mysqld, same), begun),
			},
			time.Time{},
			"mysqld[3936] was killed by SIGKILL on 2026-11-28 at 03:15:00, 60 min ago.\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGKILL to mysqld[3936], begun by cleanup.sh[3990]\n" +
				"  Within 5 s of that also ended: helper[3940] (exit code 0, 3.0 s before).\n" +
				"  The same process was also behind earlier ends: nginx[99] (was sent SIGKILL, at 03:14:00).\n",
		},
		"nobody was seen": {
			"/usr/sbin/mysqld",
			[]telling.Telling{ended(0, 0, 0, mysqld, unsent)},
			time.Time{},
			"mysqld[3936] exited with code 1 on 2026-11-28 at 03:15:00, 60 min ago.\n" +
				"  03:15:00.000  mysqld[3936] exited with code 1; nobody was seen to signal it\n",
		},
		"the first of a unit": {
			"mysql",
			[]telling.Telling{
				signaled(0, systemd, kill.SIGTERM, mysqld), signaled(0, systemd, kill.SIGTERM, helper),
				ended(time.Second, 0, kill.SIGTERM, mysqld, same), ended(2*time.Second, 0, kill.SIGTERM, helper, exited(0)),
			},
			time.Time{},
			"mysqld[3936] was killed by SIGTERM on 2026-11-28 at 03:15:01, 60 min ago.\n" +
				"  03:15:00.000  systemd[1] sent SIGTERM to mysqld[3936]\n" +
				"  SIGTERM itself ended it, 1.0 s after it was sent.\n" +
				"  Within 5 s of that also ended: helper[3940] (exit code 0, 1.0 s later).\n",
		},
		"of a container by its id": {
			"4f5e6d7c",
			[]telling.Telling{signaled(0, shell, kill.SIGKILL, nginx)},
			time.Time{},
			"nginx[99] was sent SIGKILL on 2026-11-28 at 03:15:00, 60 min ago, which no process can handle; its end itself was not recorded.\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGKILL to nginx[99]\n",
		},
		"only a SIGTERM, as in an audit log": {
			"mysqld",
			[]telling.Telling{signaled(0, shell, kill.SIGTERM, mysqld)},
			time.Time{},
			"mysqld[3936] was sent SIGTERM on 2026-11-28 at 03:15:00, 60 min ago; what became of it was not recorded.\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGTERM to mysqld[3936]\n",
		},
		"another signal later": {
			"mysqld",
			[]telling.Telling{
				ended(0, 0, kill.SIGKILL, mysqld, same), signaled(2*time.Minute, shell, kill.SIGTERM, again),
			},
			time.Time{},
			"mysqld[3936] was killed by SIGKILL on 2026-11-28 at 03:15:00, 60 min ago.\n" +
				"  03:15:00.000  mysqld[3936] was killed by SIGKILL, right after systemd[1] sent SIGKILL\n" +
				"  Later, 03:17:00: bash[4000] (uid 0) sent SIGTERM to mysqld[3936]; what became of it was not recorded.\n",
		},
		"until a time": {
			"mysqld",
			[]telling.Telling{
				ended(0, 0, kill.SIGKILL, mysqld, same), ended(2*time.Minute, 2*time.Minute, kill.SIGKILL, again, same),
			},
			start.Add(time.Minute),
			"mysqld[3936] was killed by SIGKILL on 2026-11-28 at 03:15:00, 60 min ago.\n" +
				"  03:15:00.000  mysqld[3936] was killed by SIGKILL, right after systemd[1] sent SIGKILL\n",
		},
		"root's kill -9 -1": {
			"mysqld",
			[]telling.Telling{toMany(signaled(0, shell, kill.SIGKILL, server), kill.ScopeAll, 0)},
			time.Time{},
			"The death of mysqld[3936] is not recorded, but this may have ended it on 2026-11-28 at 03:15:00, 60 min ago:\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGKILL to all processes; whether it reached mysqld[3936] is not recorded\n",
		},
		"a group of several users": {
			"mysqld",
			[]telling.Telling{toMany(signaled(0, shell, kill.SIGTERM, server), kill.ScopeProcessGroup, 3936)},
			time.Time{},
			"The death of mysqld[3936] is not recorded, but this may have ended it on 2026-11-28 at 03:15:00, 60 min ago:\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGTERM to process group 3936; whether it reached mysqld[3936] is not recorded\n",
		},
		"a thread that seccomp ended": {
			"mysqld",
			[]telling.Telling{threadEnded(0, server)},
			time.Time{},
			"The death of mysqld[3936] is not recorded, but this may have ended it on 2026-11-28 at 03:15:00, 60 min ago:\n" +
				"  03:15:00.000  seccomp ended a thread of mysqld[3936] (uid 27) with SIGSYS; whether the process ended is not recorded\n",
		},
		"a call whose record was lost": {
			"mysqld",
			[]telling.Telling{lost(0, server)},
			time.Time{},
			"The death of mysqld[3936] is not recorded, but this may have ended it on 2026-11-28 at 03:15:00, 60 min ago:\n" +
				"  03:15:00.000  an unknown process sent an unknown signal to mysqld[3936]; whether it reached mysqld[3936] is not recorded\n",
		},
		"a signal without a number that got through": {
			"mysqld",
			[]telling.Telling{changed(signaled(0, shell, 0, server), func(e *kill.Event) { e.SignalKnown = false })},
			time.Time{},
			"The death of mysqld[3936] is not recorded, but this may have ended it on 2026-11-28 at 03:15:00, 60 min ago:\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent an unknown signal to mysqld[3936]; what became of it was not recorded\n",
		},
		"a container's init may handle it": {
			"nginx",
			[]telling.Telling{changed(signaled(0, shell, kill.SIGTERM, nginx), func(e *kill.Event) { e.Requested = 1 })},
			time.Time{},
			"The death of nginx[99] is not recorded, but this may have ended it on 2026-11-28 at 03:15:00, 60 min ago:\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGTERM to nginx[99]; what became of it was not recorded\n",
		},
		"the collector stopped": {
			"mysqld",
			[]telling.Telling{ended(0, -time.Second, kill.SIGTERM, server, unwatched)},
			time.Time{},
			"The death of mysqld[3936] is not recorded, but this may have ended it on 2026-11-28 at 03:15:00, 60 min ago:\n" +
				"  03:15:00.000  mysqld[3936] was still followed when the collector stopped, 1.000 s after systemd[1] sent SIGTERM\n",
		},
		"the collector stopped, and the signal says more": {
			"mysqld",
			[]telling.Telling{signaled(-time.Second, shell, kill.SIGTERM, server), ended(0, -time.Second, kill.SIGTERM, server, unwatched)},
			time.Time{},
			"mysqld[3936] was sent SIGTERM on 2026-11-28 at 03:14:59, 60 min ago; what became of it was not recorded.\n" +
				"  03:14:59.000  bash[4000] (uid 0) sent SIGTERM to mysqld[3936]\n",
		},
		"what got through hides no doubtful SIGKILL": {
			"mysqld",
			[]telling.Telling{
				signaled(0, systemd, kill.SIGTERM, server), toMany(signaled(10*time.Second, shell, kill.SIGKILL, server), kill.ScopeProcessGroup, 3936),
			},
			time.Time{},
			"mysqld[3936] was sent SIGTERM on 2026-11-28 at 03:15:00, 60 min ago; what became of it was not recorded.\n" +
				"  03:15:00.000  systemd[1] sent SIGTERM to mysqld[3936]\n" +
				"  Besides, 03:15:10: bash[4000] (uid 0) sent SIGKILL to process group 3936; whether it reached mysqld[3936] is not recorded.\n",
		},
		"a doubtful signal long before another one": {
			"mysqld",
			[]telling.Telling{
				toMany(signaled(-time.Hour, shell, kill.SIGKILL, server), kill.ScopeAll, 0), signaled(0, systemd, kill.SIGTERM, other),
			},
			time.Time{},
			"mysqld[5000] was sent SIGTERM on 2026-11-28 at 03:15:00, 60 min ago; what became of it was not recorded.\n" +
				"  03:15:00.000  systemd[1] sent SIGTERM to mysqld[5000]\n",
		},
		"who has no right by his user displaces nobody": {
			"mysqld",
			[]telling.Telling{
				toMany(signaled(0, shell, kill.SIGKILL, server), kill.ScopeAll, 0), toMany(signaled(time.Minute, eve, kill.SIGKILL, server), kill.ScopeAll, 0),
			},
			time.Time{},
			"The death of mysqld[3936] is not recorded, but this may have ended it on 2026-11-28 at 03:15:00, 60 min ago:\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGKILL to all processes; whether it reached mysqld[3936] is not recorded\n" +
				"  Besides, 03:16:00: eve[6000] (uid 1000) sent SIGKILL to all processes; whether it reached mysqld[3936] is not recorded.\n",
		},
		"a doubtful signal before the death": {
			"mysqld",
			[]telling.Telling{
				toMany(signaled(0, shell, kill.SIGKILL, server), kill.ScopeAll, 0), ended(time.Second, 0, kill.SIGKILL, server, same),
			},
			time.Time{},
			"mysqld[3936] was killed by SIGKILL on 2026-11-28 at 03:15:01, 60 min ago.\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGKILL to all processes; whether it reached mysqld[3936] is not recorded\n",
		},
		"a doubtful signal to the dead": {
			"mysqld",
			[]telling.Telling{
				signaled(0, shell, kill.SIGKILL, server), toMany(signaled(time.Second, shell, kill.SIGKILL, server), kill.ScopeProcessGroup, 3936),
			},
			time.Time{},
			"mysqld[3936] was sent SIGKILL on 2026-11-28 at 03:15:00, 60 min ago, which no process can handle; its end itself was not recorded.\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGKILL to mysqld[3936]\n",
		},
		"later ones of several chances": {
			"mysqld",
			[]telling.Telling{
				signaled(0, shell, kill.SIGKILL, server), signaled(time.Minute, systemd, kill.SIGTERM, other),
				toMany(signaled(2*time.Minute, shell, kill.SIGKILL, other), kill.ScopeAll, 0),
			},
			time.Time{},
			"mysqld[3936] was sent SIGKILL on 2026-11-28 at 03:15:00, 60 min ago, which no process can handle; its end itself was not recorded.\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGKILL to mysqld[3936]\n" +
				"  Later, 03:16:00: systemd[1] sent SIGTERM to mysqld[5000]; what became of it was not recorded.\n" +
				"  Besides, 03:17:00: bash[4000] (uid 0) sent SIGKILL to all processes; whether it reached mysqld[5000] is not recorded.\n",
		},
		"a doubtful signal to the next one": {
			"mysqld",
			[]telling.Telling{
				signaled(0, shell, kill.SIGKILL, server), toMany(signaled(time.Minute, shell, kill.SIGKILL, other), kill.ScopeAll, 0),
			},
			time.Time{},
			"mysqld[3936] was sent SIGKILL on 2026-11-28 at 03:15:00, 60 min ago, which no process can handle; its end itself was not recorded.\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGKILL to mysqld[3936]\n" +
				"  Later, 03:16:00: bash[4000] (uid 0) sent SIGKILL to all processes; whether it reached mysqld[5000] is not recorded.\n",
		},
		"what another one survived": {
			"mysqld",
			[]telling.Telling{
				toMany(signaled(0, shell, kill.SIGKILL, server), kill.ScopeAll, 0), toMany(signaled(0, shell, kill.SIGKILL, other), kill.ScopeAll, 0),
				ended(2*time.Minute, 0, kill.SIGKILL, other, survived),
			},
			time.Time{},
			"The death of mysqld[3936] is not recorded, but this may have ended it on 2026-11-28 at 03:15:00, 60 min ago:\n" +
				"  03:15:00.000  bash[4000] (uid 0) sent SIGKILL to all processes; whether it reached mysqld[3936] is not recorded\n",
		},
		"a doubtful signal that it survived": {
			"mysqld",
			[]telling.Telling{
				toMany(signaled(0, shell, kill.SIGKILL, server), kill.ScopeAll, 0), ended(2*time.Minute, 0, kill.SIGKILL, server, survived),
			},
			time.Time{},
			"",
		},
		"a doubtful signal that nobody waits for": {
			"mysqld", []telling.Telling{toMany(signaled(0, shell, 17, server), kill.ScopeAll, 0)}, time.Time{}, "",
		},
		"a signal without a number was refused": {
			"mysqld", []telling.Telling{changed(lost(0, server), refused)}, time.Time{}, "",
		},
		"failed signals end nothing": {
			"mysqld", []telling.Telling{changed(signaled(0, shell, kill.SIGKILL, mysqld), refused)}, time.Time{}, "",
		},
		"survived":      {"mysqld", []telling.Telling{signaled(0, shell, kill.SIGHUP, mysqld), ended(2*time.Minute, 0, kill.SIGHUP, mysqld, survived)}, time.Time{}, ""},
		"somebody else": {"mysqld", []telling.Telling{signaled(0, shell, kill.SIGKILL, nginx)}, time.Time{}, ""},
		"another pid":   {"mysqld[7]", []telling.Telling{signaled(0, shell, kill.SIGKILL, mysqld)}, time.Time{}, ""},
		"a signal that nobody waits for": {
			"mysqld", []telling.Telling{signaled(0, shell, 17, mysqld)}, time.Time{}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, err := ParseTarget(tc.target)
			require.NoError(t, err)
			f := NewFinder(target, tc.until)
			for _, each := range tc.tellings {
				f.Add(each)
			}
			a := Answer{Death: f.Death(), Maybe: f.Maybe(), Target: target, Now: start.Add(time.Hour), CommandLine: redact.Redacted}
			if tc.want == "" {
				assert.Nil(t, a.Death)
				assert.Nil(t, a.Maybe)
				return
			}
			var out strings.Builder
			require.NoError(t, a.Write(&out, terminal.Terminal{}))
			assert.Equal(t, tc.want, out.String())
		})
	}
}

// However much happens, only so much is held, and what belongs to the death is not forgotten.
func TestFinderIsBounded(t *testing.T) {
	t.Parallel()
	target, err := ParseTarget("mysqld")
	require.NoError(t, err)
	f := NewFinder(target, time.Time{})
	f.Add(signaled(0, shell, kill.SIGKILL, mysqld))
	for i := range 5 * maxRecent {
		f.Add(signaled(time.Duration(i)*time.Microsecond, shell, kill.SIGKILL, kill.Process{PID: 10_000 + i, Command: "x" + strings.Repeat("y", i%7)}))
	}
	d := f.Death()
	require.NotNil(t, d)
	assert.Len(t, d.Signals, 1)
	assert.LessOrEqual(t, len(f.recent), maxRecent)
}

// However many may have ended, only so many are held, and those that are likelier to have longest.
func TestCandidatesAreBounded(t *testing.T) {
	t.Parallel()
	target, err := ParseTarget("mysqld")
	require.NoError(t, err)
	f := NewFinder(target, time.Time{})
	f.Add(toMany(signaled(0, shell, kill.SIGKILL, server), kill.ScopeAll, 0))
	for i := range 5 * maxCandidates {
		hers := kill.Process{PID: 10_000 + i, Command: "mysqld", User: kill.User{ID: kill.NewID(27)}}
		f.Add(toMany(signaled(time.Duration(i)*time.Second, eve, kill.SIGKILL, hers), kill.ScopeAll, 0))
	}
	assert.Len(t, f.candidates, maxCandidates)
	assert.Equal(t, server.PID, f.Maybe().Target.PID)
}

func TestBroken(t *testing.T) {
	t.Parallel()
	text := "  03:15:00.000  systemd[1] sent SIGTERM to mysqld[3936]: restart of mysql.service"
	assert.Equal(t, []string{text}, broken(text, "    ", 0))
	assert.Equal(t, []string{
		"  03:15:00.000  systemd[1] sent SIGTERM", "                to mysqld[3936]: restart", "                of mysql.service",
	}, broken(text, strings.Repeat(" ", 16), 40))
}

// Whatever others do meanwhile, who has begun it is told.
func TestNoiseHidesNobody(t *testing.T) {
	t.Parallel()
	target, err := ParseTarget("mysqld")
	require.NoError(t, err)
	f := NewFinder(target, time.Time{})
	f.Add(signaled(0, shell, kill.SIGTERM, mysqld))
	for i := range 3 * maxRecent {
		noise := kill.Process{PID: 50_000 + i, Command: "x"}
		f.Add(signaled(time.Second+time.Duration(i)*time.Millisecond, kill.Process{PID: 7, Command: "noise"}, kill.SIGHUP, noise))
	}
	f.Add(signaled(60*time.Second, systemd, kill.SIGKILL, mysqld))
	var said strings.Builder
	require.NoError(t, (&Answer{Target: target, Death: f.Death(), Maybe: f.Maybe(), Now: start.Add(time.Hour), CommandLine: redact.Redacted}).
		Write(&said, terminal.Terminal{}))
	assert.Contains(t, said.String(), "sent SIGTERM to mysqld")
	assert.LessOrEqual(t, len(f.recent), maxRecent)
}

// finderOfServer returns a finder of mysqld, what it looks for, and the server of that name.
func finderOfServer(t *testing.T) (f *Finder, target Target, server kill.Process) {
	t.Helper()
	target, err := ParseTarget("mysqld")
	require.NoError(t, err)
	server = mysqld
	server.User = kill.User{ID: kill.NewID(102)}
	return NewFinder(target, time.Time{}), target, server
}

// Whoever lets a program of his own die under the same name hides no other one.
func TestNamesakes(t *testing.T) {
	t.Parallel()
	f, target, ours := finderOfServer(t)
	f.Add(signaled(0, shell, kill.SIGKILL, ours))
	f.Add(ended(time.Second, 0, kill.SIGKILL, ours, same))
	for i := range 3 {
		decoy := kill.Process{PID: 777 + i, Command: "mysqld", Executable: "/home/eve/mysqld", User: kill.User{ID: kill.NewID(1000)}}
		at := time.Duration(i+1) * 10 * time.Second
		f.Add(signaled(at, shell, kill.SIGKILL, decoy))
		f.Add(ended(at+time.Second, at, kill.SIGKILL, decoy, same))
	}
	var said strings.Builder
	require.NoError(t, (&Answer{Target: target, Death: f.Death(), Now: start.Add(time.Hour), CommandLine: redact.Redacted}).
		Write(&said, terminal.Terminal{}))
	assert.Contains(t, said.String(), "mysqld[779] ")
	assert.Contains(t, said.String(), "Another program of that name, mysqld[3936] (/usr/sbin/mysqld, uid 102), died")
	assert.NotContains(t, said.String(), "mysqld[778]")
}

// TestNamesakesOfMany has somebody let many programs of his own die under the same name, before and after.
func TestNamesakesOfMany(t *testing.T) {
	t.Parallel()
	f, _, ours := finderOfServer(t)
	decoys := func(from time.Duration, first int) {
		for i := range 2 * maxPrograms {
			decoy := kill.Process{PID: first + i, Command: "mysqld", Executable: fmt.Sprintf("/home/eve/%d/mysqld", first+i), User: kill.User{ID: kill.NewID(1000)}}
			f.Add(ended(from+time.Duration(i+1)*10*time.Second, from, kill.SIGKILL, decoy, same))
		}
	}
	decoys(-time.Hour, 10_000)
	f.Add(ended(time.Second, 0, kill.SIGKILL, ours, same))
	decoys(time.Hour, 20_000)
	found := f.Death()
	require.Equal(t, 20_000+2*maxPrograms-1, found.Target.PID)
	require.Len(t, found.Namesakes, mostNamesakes)
	assert.True(t, slices.ContainsFunc(found.Namesakes, func(m Moment) bool { return m.Target.PID == ours.PID }), "those of another user come first")
}
