// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// causeOf returns why a manager sends a signal to a unit, and whether the manager has said so.
func (m *managed) causeOf(u *unit, j *job, e *kill.Event) (cause kill.Cause, certain bool) {
	busy := j != nil
	failed := u.failure(e.Time)
	recent := failed != "" && u.failedAt.Sub(e.Time) > -jobLag
	switch {
	case recent && failed == "watchdog":
		return kill.CauseWatchdog, true
	case recent && failed == "oom-kill":
		return kill.CauseOOMPolicy, true
	case recent && failed == "timeout":
		cause = u.timeout(j, e)
		return cause, cause != kill.CauseNone
	case failed == "timeout" && e.Signal == kill.SIGKILL:
		return kill.CauseStopTimeout, true
	case m.ofSystem() && endsLogin(u.name) && (busy || !m.ending(e.Time) && u.state.Active == "deactivating"):
		return kill.CauseSessionEnd, busy
	case m.ending(e.Time) && (busy || !m.ofSystem() || !m.told):
		return kill.CauseShutdown, true
	case busy && u.endedBefore(j, e):
		return kill.CauseMainProcessEnd, true
	case busy:
		return ofJob(j.Type, e.Signal), j.Type != ""
	case (recent || u.left.Sub(e.Time) > -jobLag && !u.state.MainExit.IsZero()) && u.others(e):
		return kill.CauseMainProcessEnd, true
	}
	return kill.CauseNone, false
}

// endedBefore reports whether a signal is to what a main process has left behind, and a job came only later: systemd starts
// a service again by itself (systemd.service(5), RestartSec=).
func (u *unit) endedBefore(j *job, e *kill.Event) bool {
	main := u.state.MainExit
	return u.others(e) && !main.IsZero() && !main.After(e.Time) && j.Time.Sub(e.Time) > restartLag
}

// endsLogin reports whether a unit belongs to the logins of a user, and ends with them.
func endsLogin(unit string) bool { return sessionScope(unit) != "" || userOf(unit).Known }

// userOf returns the user whose manager a unit is (user@.service(5)); unset if it is none.
func userOf(unit string) kill.ID {
	id, ok := strings.CutPrefix(unit, "user@")
	if !ok {
		return kill.ID{}
	}
	number, err := strconv.ParseUint(strings.TrimSuffix(id, ".service"), 10, 32)
	if err != nil {
		return kill.ID{}
	}
	return kill.NewID(uint32(number))
}

// timeout returns which time was up.
func (u *unit) timeout(j *job, e *kill.Event) kill.Cause {
	stopping := j != nil && j.Type != "start"
	switch {
	case e.Signal == kill.SIGKILL && (stopping || u.failedIn == "stop-sigkill" || u.failedIn == "final-sigkill"),
		u.failedIn == "final-sigterm" && stopping:
		return kill.CauseStopTimeout
	case u.failedFrom == "activating" || j != nil && j.Type == "start":
		return kill.CauseStartTimeout
	case stopping:
		return kill.CauseStopTimeout
	case u.failedFrom == "active", u.state.RuntimeLimit != 0:
		return kill.CauseRuntimeLimit
	}
	return kill.CauseNone
}

// ofJob returns the cause of a job. A restart has become a start once the unit has stopped.
func ofJob(kind string, signal kill.Signal) kill.Cause {
	switch kind {
	case "stop":
		return kill.CauseServiceStop
	case "restart", "try-restart", "reload-or-start":
		return kill.CauseServiceRestart
	case "start":
		if signal != kill.SIGHUP {
			return kill.CauseServiceRestart
		}
	case "reload":
		return kill.CauseServiceReload
	}
	return kill.CauseNone
}

// limited reports whether a cause is about a limit that was reached.
func limited(cause kill.Cause) bool {
	switch cause {
	case kill.CauseStopTimeout, kill.CauseStartTimeout, kill.CauseRuntimeLimit, kill.CauseWatchdog:
		return true
	}
	return false
}

// asksFirst reports whether somebody asks for what has this cause.
func asksFirst(cause kill.Cause) bool {
	switch cause {
	case kill.CauseNone, kill.CauseServiceStop, kill.CauseServiceRestart, kill.CauseServiceReload, kill.CauseServiceKill,
		kill.CauseDependency, kill.CauseShutdown, kill.CauseSessionKill:
		return true
	}
	return false
}
