// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"path"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// verb is what somebody asks a manager for, as far as that matters for signals.
type verb uint8

const (
	// verbUnknown is anything: the program is not one whose command line says what it asks for.
	verbUnknown verb = iota
	// verbNone asks for nothing that sends a signal, such as systemctl status.
	verbNone
	verbStop
	verbRestart
	verbReload
	verbKill
	// verbStart may stop what conflicts with it.
	verbStart
	// verbIsolate starts a unit, and stops all that this does not need.
	verbIsolate
	verbEndSession
	// verbEndUser ends all sessions of a user.
	verbEndUser
	verbShutdown
)

// ask is what a command line or a call asks a manager for.
type ask struct {
	verb verb
	// about are the units, containers, programs or sessions that it names; empty if it names none.
	about []string
	// units are the same as the names of units; nil if they are too many to be remembered, or not yet.
	units []string
	// marked is true if it names none, but means units that were marked before, such as those of which a package has been upgraded.
	marked bool
	// loose is true if it names what containers belong to, such as a pod or a service of docker compose(1).
	loose bool
	// namespace is that of containerd in which it asks for containers; empty for other clients.
	namespace string
	// waits is true if the client waits until the manager has done that.
	waits bool
	// elsewhere is true if it asks another manager than the host's.
	elsewhere bool
}

// asksOf returns what a command line, with a NUL after each argument, asks for. Anybody can choose a command
// line, so it counts only together with a connection to the manager.
func asksOf(title string) ask {
	program, arguments := programOf(title)
	if parse := programs[program]; parse != nil {
		return parse(program, arguments)
	}
	return ask{}
}

// programOf returns the name of the program, or of the script, that a command line runs, and its arguments.
func programOf(title string) (program string, arguments []string) {
	words := strings.Split(strings.TrimRight(title, "\x00"), "\x00")
	if interpreter(path.Base(words[0])) {
		words = words[1:]
		for len(words) > 0 && strings.HasPrefix(words[0], "-") {
			words = words[1:]
		}
	}
	if len(words) == 0 {
		return "", nil
	}
	return path.Base(strings.TrimPrefix(words[0], "-")), words[1:]
}

// interpreter reports whether a program runs a script, as supervisorctl and service are.
func interpreter(program string) bool {
	return shells[program] || strings.HasPrefix(program, "python") || strings.HasPrefix(program, "perl")
}

// programs are those whose command lines say what they ask for.
var programs = map[string]func(program string, arguments []string) ask{
	"systemctl": asksSystemctl,
	"service":   asksService, "invoke-rc.d": asksService, "rc-service": asksService,
	"loginctl": asksLoginctl,
	"busctl":   asksBus, "gdbus": asksBus, "dbus-send": asksBus,
	"shutdown": asksShutdown, "poweroff": asksShutdown, "reboot": asksShutdown, "halt": asksShutdown,
	"telinit": asksShutdown, "init": asksShutdown,
	"docker-compose": asksCompose, "podman-compose": asksCompose,
	"docker": asksContainer, "podman": asksContainer, "nerdctl": asksContainer, "crictl": asksContainer,
	"ctr":             asksContainer,
	"supervisorctl":   asksSupervisor,
	"systemd-run":     asksNothing,
	"journalctl":      asksNothing,
	"systemd-analyze": asksNothing,
	"systemd-notify":  asksNothing,
	"networkctl":      asksNothing,
	"resolvectl":      asksNothing,
	"timedatectl":     asksNothing,
	"hostnamectl":     asksNothing,
	"localectl":       asksNothing,
	"machinectl":      asksMachinectl,
}

func asksNothing(string, []string) ask { return ask{verb: verbNone} }

// systemctlVerbs are the verbs of systemctl(1) that may send signals.
var systemctlVerbs = map[string]verb{
	"stop": verbStop, "kill": verbKill, "restart": verbRestart, "try-restart": verbRestart,
	"condrestart": verbRestart, "reload": verbReload, "force-reload": verbRestart, "reload-or-restart": verbRestart,
	"try-reload-or-restart": verbRestart, "reload-or-try-restart": verbRestart,
	"start": verbStart, "isolate": verbIsolate, "rescue": verbIsolate, "emergency": verbIsolate,
	"exit": verbShutdown, "poweroff": verbShutdown, "reboot": verbShutdown, "halt": verbShutdown, "kexec": verbShutdown,
	"soft-reboot": verbShutdown, "suspend": verbNone, "switch-root": verbShutdown,
}

func asksSystemctl(_ string, words []string) ask {
	a := systemctlGrammar.read(words)
	if len(a.operands) == 0 || a.has("--dry-run", "--when") {
		return ask{verb: verbNone} // nothing happens now
	}
	command, about := a.operands[0], a.operands[1:]
	v, ok := systemctlVerbs[command]
	switch now := a.has("--now"); {
	case now && (command == "disable" || command == "mask"):
		v, ok = verbStop, true
	case now && (command == "enable" || command == "reenable"):
		v, ok = verbStart, true
	}
	if !ok {
		return ask{verb: verbNone}
	}
	if v == verbIsolate {
		about = isolated(command, about)
	}
	return ask{
		verb: v, about: about, marked: command == "reload-or-restart" && len(about) == 0 && a.has("--marked"), waits: v != verbKill && v != verbShutdown && !a.has("--no-block"),
		elsewhere: a.has("--user", "--global", "-M", "-H", "-C", "--machine", "--host", "--capsule", "--root", "--image"),
	}
}

// isolated returns the target that a command of systemctl(1) isolates.
func isolated(command string, about []string) []string {
	if command != "isolate" {
		return []string{command + ".target"}
	}
	if len(about) == 1 && !strings.Contains(about[0], ".") {
		return []string{about[0] + ".target"}
	}
	return about
}

func asksService(_ string, arguments []string) ask {
	words := plainGrammar.read(arguments).operands
	if len(words) < 2 {
		return ask{verb: verbNone}
	}
	v, ok := systemctlVerbs[words[1]]
	if !ok {
		return ask{verb: verbNone}
	}
	return ask{verb: v, about: words[:1]}
}

func asksLoginctl(_ string, arguments []string) ask {
	words := systemctlGrammar.read(arguments).operands
	if len(words) == 0 {
		return ask{verb: verbNone}
	}
	switch words[0] {
	case "terminate-session", "kill-session":
		return ask{verb: verbEndSession, about: words[1:]}
	case "terminate-user", "kill-user":
		return ask{verb: verbEndUser, about: words[1:]}
	}
	return ask{verb: verbNone}
}

func asksMachinectl(_ string, arguments []string) ask {
	words := systemctlGrammar.read(arguments).operands
	if len(words) == 0 {
		return ask{verb: verbNone}
	}
	switch words[0] {
	case "stop", "poweroff", "reboot", "terminate", "kill":
		var units []string
		for _, name := range words[1:] { // see unit_name_escape in systemd's src/basic/unit-name.c
			units = append(units, "machine-"+strings.ReplaceAll(name, "-", `\x2d`)+".scope", "systemd-nspawn@"+name+".service")
		}
		if words[0] == "kill" {
			return ask{verb: verbKill, about: units}
		}
		return ask{verb: verbStop, about: units}
	}
	return ask{verb: verbNone}
}

// asksBus looks for a call among the words of a client of D-Bus. Whatever else it does, these clients make
// one call.
func asksBus(_ string, arguments []string) ask {
	for i, word := range arguments {
		member := word[strings.LastIndexByte(word, '.')+1:]
		v, ok := members[member]
		if !ok {
			continue
		}
		for _, after := range arguments[i+1:] {
			after = strings.Trim(strings.TrimPrefix(after, "string:"), `"'`)
			if strings.Contains(after, ".") {
				return ask{verb: v, about: []string{after}}
			}
		}
		return ask{verb: v}
	}
	return ask{verb: verbNone}
}

// members are the methods of managers that may send signals (org.freedesktop.systemd1(5), org.freedesktop.login1(5)).
// Those of container runtimes and of supervisord are as internal/managercall names them.
var members = map[string]verb{
	"StopUnit": verbStop, "Stop": verbStop, "RestartUnit": verbRestart, "Restart": verbRestart, "TryRestartUnit": verbRestart,
	"TryRestart": verbRestart, "ReloadOrRestartUnit": verbRestart, "ReloadOrRestart": verbRestart,
	"ReloadOrTryRestartUnit": verbRestart, "ReloadOrTryRestart": verbRestart, "ReloadUnit": verbReload, "Reload": verbReload,
	"KillUnit": verbKill, "QueueSignalUnit": verbKill, "Kill": verbKill, "QueueSignal": verbKill, "KillUnitSubgroup": verbKill,
	"StartUnit": verbStart, "StartUnitReplace": verbStart, "Start": verbStart, "StartTransientUnit": verbStart, "EnqueueUnitJob": verbUnknown,
	"EnqueueMarkedJobs": verbRestart,
	"TerminateSession":  verbEndSession, "KillSession": verbEndSession, "TerminateUser": verbEndUser, "KillUser": verbEndUser,
	"Terminate": verbEndSession, "TerminateSeat": verbEndSession,
	"PowerOff": verbShutdown, "Reboot": verbShutdown, "Halt": verbShutdown, "KExec": verbShutdown, "Exit": verbShutdown,
	"SoftReboot": verbShutdown, "PowerOffWithFlags": verbShutdown, "RebootWithFlags": verbShutdown, "HaltWithFlags": verbShutdown,
	"ScheduleShutdown": verbShutdown,

	"StopContainer": verbStop, "KillContainer": verbKill, "RestartContainer": verbRestart, "RemoveContainer": verbStop,
	"StopPod": verbStop, "KillPod": verbKill, "RestartPod": verbRestart, "RemovePod": verbStop,
	"supervisor.stopProcess": verbStop, "supervisor.stopProcessGroup": verbStop, "supervisor.stopAllProcesses": verbStop,
	"supervisor.signalProcess": verbKill, "supervisor.signalProcessGroup": verbKill, "supervisor.signalAllProcesses": verbKill,
	"supervisor.removeProcessGroup": verbStop, "supervisor.restart": verbRestart, "supervisor.shutdown": verbShutdown,
}

func asksShutdown(program string, arguments []string) ask {
	for _, argument := range arguments {
		switch argument {
		case "-c", "-k", "--show", "--help", "-w", "--wtmp-only":
			return ask{verb: verbNone}
		}
	}
	when := shutdownGrammar.read(arguments).operands
	switch program {
	case "shutdown": // without a time, it is in a minute
		if len(when) == 0 || when[0] != "now" && strings.Trim(strings.TrimPrefix(when[0], "+"), "0") != "" {
			return ask{verb: verbNone}
		}
	case "telinit", "init":
		if len(when) == 0 || when[0] != "0" && when[0] != "6" {
			return ask{verb: verbNone}
		}
	}
	return ask{verb: verbShutdown}
}

// asksCall returns what a call asks for.
func asksCall(c *Call) ask {
	a := ask{verb: members[c.Member], marked: c.Member == "EnqueueMarkedJobs"}
	if c.Object != "" {
		a.about = []string{c.Object}
	}
	a.loose = strings.HasSuffix(c.Member, "Pod")
	return a
}

// suffixes are the types of units that have processes, and those that are often stopped for others' sake.
var suffixes = []string{".service", ".scope", ".slice", ".target", ".socket", ".mount", ".timer", ".path", ".swap", ".automount", ".device"}

// unitName completes the name of a unit as systemctl(1) does.
func unitName(name string) string {
	for _, suffix := range suffixes {
		if strings.HasSuffix(name, suffix) {
			return name
		}
	}
	return name + ".service"
}

// maxNamed is of how many units in one command line the names are remembered.
const maxNamed = 16

// complete returns the same with the names of units, which are compared with each event.
func (a ask) complete() ask {
	if len(a.about) <= maxNamed {
		for _, name := range a.about {
			a.units = append(a.units, unitName(name))
		}
	}
	return a
}

// unit returns one of the names as that of a unit.
func (a *ask) unit(i int) string {
	if a.units != nil {
		return a.units[i]
	}
	return unitName(a.about[i])
}

// names reports whether it names a unit, with a glob, too.
func (a *ask) names(unit string) bool {
	for i, name := range a.about {
		full := a.unit(i)
		if name == unit || full == unit {
			return true
		}
		if !strings.ContainsAny(full, `*?[\`) {
			continue
		}
		if matched, err := path.Match(full, unit); err == nil && matched {
			return true
		}
	}
	return false
}

// cause returns the cause that a request has if it was carried out.
func (v verb) cause() kill.Cause {
	switch v {
	case verbStop:
		return kill.CauseServiceStop
	case verbRestart:
		return kill.CauseServiceRestart
	case verbReload:
		return kill.CauseServiceReload
	case verbKill:
		return kill.CauseServiceKill
	case verbEndSession, verbEndUser:
		return kill.CauseSessionKill
	case verbShutdown:
		return kill.CauseShutdown
	}
	return kill.CauseNone
}
