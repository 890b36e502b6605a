// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// containerVerbs are the commands of the clients of container runtimes that end containers.
var containerVerbs = map[string]verb{
	"stop": verbStop, "kill": verbKill, "restart": verbRestart, "rm": verbStop, "stopp": verbStop, "rmp": verbStop,
	"delete": verbStop, "down": verbStop, "del": verbStop, "remove": verbStop,
}

// containerKinds are the words before the command that say what it is about.
var containerKinds = map[string]bool{
	"container": true, "containers": true, "c": true, "task": true, "tasks": true, "t": true, "compose": true, "pod": true,
}

func asksContainer(program string, arguments []string) ask {
	all := clientArguments(program, arguments)
	words := all.operands
	pods := false
	for len(words) > 1 && containerKinds[words[0]] {
		if words[0] == "compose" {
			return asksCompose(program, arguments)
		}
		pods = pods || words[0] == "pod"
		words = words[1:]
	}
	if len(words) == 0 {
		return ask{verb: verbNone}
	}
	v, ok := containerVerbs[words[0]]
	if !ok {
		return ask{verb: verbNone}
	}
	a := ask{verb: v, about: words[1:], loose: pods || words[0] == "stopp" || words[0] == "rmp", waits: true}
	if program == "ctr" || program == "nerdctl" {
		a.namespace = all.value("-n", "--namespace", "default")
	}
	return a
}

// asksCompose returns what docker compose(1) asks for. docker(1) runs it as a program of its own, with the same arguments, and so do people
// with older versions. What "up" starts anew it has stopped before, but mostly it stops nothing.
func asksCompose(_ string, words []string) ask {
	operands := composeArguments(words).operands
	if len(operands) == 0 {
		return ask{verb: verbNone}
	}
	if operands[0] == "up" {
		return ask{}
	}
	v, ok := containerVerbs[operands[0]]
	if !ok {
		return ask{verb: verbNone}
	}
	return ask{verb: v, about: operands[1:], loose: true, waits: true}
}

// composeArguments reads the arguments of docker compose(1), without its name.
func composeArguments(words []string) arguments {
	at := composeGrammar.command(words)
	if at >= 0 && words[at] == "compose" {
		words = words[at+1:]
		at = composeGrammar.command(words)
	}
	behind := &composeCommandGrammar
	if at >= 0 && words[at] == "rm" { // it has flags of such names
		behind = &plainGrammar
	}
	return composeGrammar.around(words, behind)
}

// clientArguments reads the arguments of a client of a container runtime.
func clientArguments(program string, words []string) arguments {
	if program == "ctr" || program == "crictl" {
		return ctrGrammar.around(words, &ctrCommandGrammar)
	}
	return containerGrammar.around(words, &containerCommandGrammar)
}

// asksSignal returns the signal that a command line asks a manager to send; 0 if that is not known.
func asksSignal(title string) kill.Signal {
	program, words := programOf(title)
	name := ""
	switch program {
	case "supervisorctl":
		if a := supervisorGrammar.read(words); len(a.operands) > 1 {
			name = a.operands[1]
		}
	case "systemctl", "machinectl":
		a := systemctlGrammar.read(words)
		name = a.signal("TERM")
	case "loginctl":
		if a := systemctlGrammar.read(words); len(a.operands) > 0 && strings.HasPrefix(a.operands[0], "kill-") {
			name = a.signal("TERM")
		}
	case "docker", "podman", "nerdctl":
		a := clientArguments(program, words)
		if len(a.operands) > 0 && a.operands[0] == "compose" {
			a = composeArguments(words)
		}
		name = a.signal("KILL")
	case "docker-compose", "podman-compose":
		a := composeArguments(words)
		name = a.signal("KILL")
	case "ctr":
		a := clientArguments(program, words)
		name = a.signal("")
	}
	signal, err := kill.ParseSignal(name)
	if err != nil {
		return 0
	}
	return signal
}

func asksSupervisor(_ string, arguments []string) ask {
	words := supervisorGrammar.read(arguments).operands
	if len(words) == 0 {
		return ask{verb: verbUnknown} // it is interactive
	}
	switch words[0] {
	case "stop", "remove":
		return ask{verb: verbStop, about: words[1:], waits: true}
	case "restart", "update":
		return ask{verb: verbRestart, about: words[1:], waits: true}
	case "reload":
		return ask{verb: verbRestart}
	case "signal":
		return ask{verb: verbKill, about: words[min(2, len(words)):], waits: true}
	case "shutdown":
		return ask{verb: verbShutdown}
	}
	return ask{verb: verbNone}
}
