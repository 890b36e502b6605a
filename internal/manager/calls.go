// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/dbus"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// shape says what a call that may end processes is called in facts, and what its arguments are: a unit (n), a
// session or a seat (s), a user (u), the type of a job (t), a signal (k), or something else that is a text (x).
type shape struct{ member, arguments string }

// calls are the methods that may end processes (org.freedesktop.systemd1(5), org.freedesktop.login1(5)). An object's
// own methods have the name that the same has as a method of the manager.
var calls = map[string]shape{
	systemdName + ".Manager.StartUnit":              {"StartUnit", "n"},
	systemdName + ".Manager.StartUnitReplace":       {"StartUnitReplace", "xn"},
	systemdName + ".Manager.StopUnit":               {"StopUnit", "n"},
	systemdName + ".Manager.ReloadUnit":             {"ReloadUnit", "n"},
	systemdName + ".Manager.RestartUnit":            {"RestartUnit", "n"},
	systemdName + ".Manager.TryRestartUnit":         {"TryRestartUnit", "n"},
	systemdName + ".Manager.ReloadOrRestartUnit":    {"ReloadOrRestartUnit", "n"},
	systemdName + ".Manager.ReloadOrTryRestartUnit": {"ReloadOrTryRestartUnit", "n"},
	systemdName + ".Manager.EnqueueUnitJob":         {"", "nt"},
	systemdName + ".Manager.EnqueueMarkedJobs":      {"EnqueueMarkedJobs", ""},
	systemdName + ".Manager.KillUnit":               {"KillUnit", "nxk"},
	systemdName + ".Manager.KillUnitSubgroup":       {"KillUnitSubgroup", "nxxk"},
	systemdName + ".Manager.QueueSignalUnit":        {"QueueSignalUnit", "nxk"},
	systemdName + ".Manager.Exit":                   {"Exit", ""},
	systemdName + ".Manager.PowerOff":               {"PowerOff", ""},
	systemdName + ".Manager.Reboot":                 {"Reboot", ""},
	systemdName + ".Manager.SoftReboot":             {"SoftReboot", ""},
	systemdName + ".Manager.Halt":                   {"Halt", ""},
	systemdName + ".Manager.KExec":                  {"KExec", ""},

	systemdName + ".Unit.Start":              {"StartUnit", ""},
	systemdName + ".Unit.Stop":               {"StopUnit", ""},
	systemdName + ".Unit.Reload":             {"ReloadUnit", ""},
	systemdName + ".Unit.Restart":            {"RestartUnit", ""},
	systemdName + ".Unit.TryRestart":         {"TryRestartUnit", ""},
	systemdName + ".Unit.ReloadOrRestart":    {"ReloadOrRestartUnit", ""},
	systemdName + ".Unit.ReloadOrTryRestart": {"ReloadOrTryRestartUnit", ""},
	systemdName + ".Unit.EnqueueJob":         {"", "t"},
	systemdName + ".Unit.Kill":               {"KillUnit", "xk"},
	systemdName + ".Unit.KillSubgroup":       {"KillUnitSubgroup", "xxk"},
	systemdName + ".Unit.QueueSignal":        {"QueueSignalUnit", "xk"},

	logindName + ".Manager.TerminateSession":  {"TerminateSession", "s"},
	logindName + ".Manager.TerminateUser":     {"TerminateUser", "u"},
	logindName + ".Manager.TerminateSeat":     {"TerminateSeat", "s"},
	logindName + ".Manager.KillSession":       {"KillSession", "sxk"},
	logindName + ".Manager.KillUser":          {"KillUser", "uk"},
	logindName + ".Manager.PowerOff":          {"PowerOff", ""},
	logindName + ".Manager.PowerOffWithFlags": {"PowerOff", ""},
	logindName + ".Manager.Reboot":            {"Reboot", ""},
	logindName + ".Manager.RebootWithFlags":   {"Reboot", ""},
	logindName + ".Manager.Halt":              {"Halt", ""},
	logindName + ".Manager.HaltWithFlags":     {"Halt", ""},
	logindName + ".Manager.ScheduleShutdown":  {"ScheduleShutdown", ""},

	logindName + ".Session.Terminate": {"TerminateSession", ""},
	logindName + ".Session.Kill":      {"KillSession", "xk"},
	logindName + ".User.Terminate":    {"TerminateUser", ""},
	logindName + ".User.Kill":         {"KillUser", "k"},
	logindName + ".Seat.Terminate":    {"TerminateSeat", ""},
}

// ofType are the calls that a job's type stands for.
var ofType = map[string]string{
	typeStart: "StartUnit", typeStop: "StopUnit", typeRestart: "RestartUnit", "reload": "ReloadUnit",
	"try-restart": "TryRestartUnit", "reload-or-restart": "ReloadOrRestartUnit", "reload-or-start": "ReloadOrRestartUnit",
	"try-reload": "ReloadOrTryRestartUnit",
}

// objects are the paths below which objects lie, with their interfaces.
var objects = []struct{ path, of string }{
	{unitsPath, systemdName + ".Unit"},
	{logindPath + "/session/", logindName + ".Session"},
	{logindPath + "/user/_", logindName + ".User"},
	{logindPath + "/seat/", logindName + ".Seat"},
}

// members returns the names of the methods of a service that may end processes.
func members(service string) []string {
	all := make(map[string]bool)
	for name := range calls {
		if strings.HasPrefix(name, service) {
			all[name[strings.LastIndexByte(name, '.')+1:]] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// parseCall returns what a call to systemd or logind asks for. It returns false if that ends no process, or if it
// is not known which unit, session or user it is about.
func parseCall(m *dbus.Message, service string) (attribution.Call, bool) {
	of, object := objectOf(m.Path, service)
	if m.Interface != "" { // a call may leave it out
		of = m.Interface
	}
	how, ok := calls[of+"."+m.Member]
	if !ok || !strings.HasPrefix(of, service) {
		return attribution.Call{}, false
	}
	call := attribution.Call{Member: how.member, Object: object}
	about := object != "" || !strings.HasSuffix(of, ".Manager")
	b := m.Body()
	for _, argument := range how.arguments {
		switch argument {
		case 'n':
			call.Object, about = unitName(b.Text()), true
		case 's':
			call.Object, about = sessionName(b.Text()), true
		case 'u':
			call.Object, about = strconv.FormatUint(b.Number(), 10), true
		case 't':
			call.Member = ofType[b.Text()]
		case 'k':
			call.Signal = signalOf(b.Number())
		default:
			b.Text()
		}
	}
	return call, !b.Failed() && call.Member != "" && (call.Object != "" || !about)
}

// objectOf returns the interface of the object with a path, and which unit, session, user or seat it is; the
// manager is none.
func objectOf(path, service string) (of, object string) {
	for _, each := range objects {
		if label, ok := strings.CutPrefix(path, each.path); ok {
			if each.path == unitsPath {
				return each.of, unitOfPath(path)
			}
			return each.of, sessionName(unescape(label))
		}
	}
	return service + ".Manager", ""
}

// sessionName returns the name of a session or a seat, if it can be one.
func sessionName(name string) string {
	if name == "self" || name == "auto" || len(name) > maxSessionID || word(name) == "" {
		return ""
	}
	return name
}

// signalOf returns a signal that somebody names; 0 if there is no such signal.
func signalOf(number uint64) kill.Signal {
	const last = 64
	if number > last {
		return 0
	}
	return kill.Signal(number)
}
