// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"slices"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// containerVerbs are the commands of the clients of container runtimes that end containers.
var containerVerbs = map[string]verb{
	"stop": verbStop, "kill": verbKill, "restart": verbRestart, "rm": verbStop, "stopp": verbStop, "rmp": verbStop,
	"delete": verbStop, "down": verbStop, "del": verbStop, "remove": verbStop,
}

// containerValues are their options that are followed by a value.
var containerValues = map[string]bool{
	"-n": true, "--namespace": true, "-a": true, "--address": true, "-s": true, "--signal": true, "-t": true, "--time": true,
	"--timeout": true, "-H": true, "--host": true, "-c": true, "--context": true, "--exec-id": true, "-r": true,
	"--runtime-endpoint": true, "--connect-timeout": true,
}

// containerKinds are the words before the command that say what it is about.
var containerKinds = map[string]bool{
	"container": true, "containers": true, "c": true, "task": true, "tasks": true, "t": true, "compose": true, "pod": true,
}

func asksContainer(_ string, arguments []string) ask {
	words := containerWords(arguments)
	loose := false
	for len(words) > 1 && containerKinds[words[0]] {
		loose = loose || words[0] == "compose" || words[0] == "pod"
		words = words[1:]
	}
	if len(words) == 0 {
		return ask{verb: verbNone}
	}
	v, ok := containerVerbs[words[0]]
	if !ok {
		return ask{verb: verbNone}
	}
	return ask{verb: v, about: words[1:], loose: loose || words[0] == "stopp" || words[0] == "rmp", waits: true}
}

// containerWords returns the operands of a client of a container runtime. -a is an address before the command, and
// means all behind it.
func containerWords(arguments []string) []string {
	for i := 0; i < len(arguments); i++ {
		switch word := arguments[i]; {
		case containerValues[word]:
			i++
		case !strings.HasPrefix(word, "-"):
			words := slices.DeleteFunc(slices.Clone(arguments[i:]), func(word string) bool { return word == "-a" })
			return operands(words, containerValues)
		}
	}
	return nil
}

// asksSignal returns the signal that a command line asks a manager to send; 0 if that is not known.
func asksSignal(title string) kill.Signal {
	program, arguments := programOf(title)
	name := ""
	switch program {
	case "supervisorctl":
		if words := operands(arguments, supervisorValues); len(words) > 1 {
			name = words[1]
		}
	case "docker", "podman", "nerdctl", "systemctl", "ctr":
		name = defaultSignals[program]
		for i, word := range arguments {
			if value, ok := strings.CutPrefix(word, "--signal="); ok {
				name = value
			} else if (word == "-s" || word == "--signal") && i+1 < len(arguments) {
				name = arguments[i+1]
			}
		}
	}
	signal, err := kill.ParseSignal(name)
	if err != nil {
		return 0
	}
	return signal
}

// defaultSignals are those that programs ask for if none is named.
var defaultSignals = map[string]string{"docker": "KILL", "podman": "KILL", "nerdctl": "KILL", "systemctl": "TERM"}

// supervisorValues are the options of supervisorctl that are followed by a value.
var supervisorValues = map[string]bool{
	"-c": true, "--configuration": true, "-s": true, "--serverurl": true, "-u": true, "--username": true, "-p": true, "--password": true,
}

func asksSupervisor(_ string, arguments []string) ask {
	words := operands(arguments, supervisorValues)
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
