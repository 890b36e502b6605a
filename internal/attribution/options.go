// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"slices"
	"strings"
)

// grammar is how a program reads its options. A library for options (such as pflag) defines those of the program that runs; here they
// are those of others, of which only some matter, and all others have to be skipped rightly.
type grammar struct {
	// valued are the options that take a value: -s 9, -s9, --signal 9 or --signal=9.
	valued map[string]bool
	// abbreviates is true if long options may be cut short as long as no other begins so (getopt_long(3)).
	abbreviates bool
	// oneDash is true if one dash is as good as two, and short options stand alone, as in programs that are written with Go's
	// package flag: -signal 9.
	oneDash bool
}

// maxOptions is how many options of a command line are read: whoever writes very many writes none that matters.
const maxOptions = 64

// option is an option of a command line.
type option struct{ name, value string }

// arguments are those of a command line.
type arguments struct {
	options []option
	// operands are those that are no options.
	operands []string
}

// read tells options from operands.
func (g *grammar) read(words []string) (a arguments) {
	for i := 0; i < len(words); i++ {
		word := words[i]
		if word == "--" {
			a.operands = append(a.operands, words[i+1:]...)
			break
		}
		if len(word) < 2 || word[0] != '-' {
			a.operands = append(a.operands, word)
			continue
		}
		if len(a.options) >= maxOptions {
			continue
		}
		options, open := g.options(word)
		if open && i+1 < len(words) {
			i++
			options[len(options)-1].value = words[i]
		}
		a.options = append(a.options, options...)
	}
	return a
}

// options returns the options in a word. open is true if the next word is the value of the last one.
func (g *grammar) options(word string) (options []option, open bool) {
	if g.oneDash && len(word) > 2 && word[1] != '-' {
		word = "-" + word
	}
	if strings.HasPrefix(word, "--") {
		name, value, attached := strings.Cut(word, "=")
		return []option{{name, value}}, !attached && g.takesValue(name)
	}
	for i := 1; i < min(len(word), maxOptions); i++ {
		name := "-" + word[i:i+1]
		if g.valued[name] {
			return append(options, option{name, word[i+1:]}), i+1 == len(word)
		}
		options = append(options, option{name: name})
	}
	return options, false
}

// takesValue reports whether a long option does.
func (g *grammar) takesValue(name string) bool {
	if g.valued[name] {
		return true
	}
	for whole := range g.valued {
		if g.abbreviates && cutShort(name, whole) {
			return true
		}
	}
	return false
}

// cutShort reports whether a long option is another one cut short, which getopt_long(3) permits as long as no other begins so.
func cutShort(name, whole string) bool {
	return len(name) > len("--x") && strings.HasPrefix(whole, name)
}

// has reports whether one of some options is among the arguments.
func (a *arguments) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return slices.ContainsFunc(a.options, func(o option) bool { return o.name == name || cutShort(o.name, name) })
	})
}

// value returns the last value of an option with a short name and a long one, or what holds without it.
func (a *arguments) value(short, long, otherwise string) string {
	for _, o := range a.options {
		if o.name == short || cutShort(o.name, long) {
			otherwise = o.value
		}
	}
	return otherwise
}

// signal returns the signal that an option names, or the one that a program asks for without it.
func (a *arguments) signal(otherwise string) string { return a.value("-s", "--signal", otherwise) }

// command returns the place of the first operand, which is the command of programs that have some; -1 if there is none.
func (g *grammar) command(words []string) int {
	for i := 0; i < len(words); i++ {
		switch word := words[i]; {
		case word == "--":
			if i+1 == len(words) {
				return -1
			}
			return i + 1
		case len(word) < 2 || word[0] != '-':
			return i
		default:
			if _, open := g.options(word); open {
				i++
			}
		}
	}
	return -1
}

// around reads what comes before a command in one way, and what is behind it in another.
func (g *grammar) around(words []string, behind *grammar) arguments {
	at := g.command(words)
	if at < 0 {
		return g.read(words)
	}
	a, after := g.read(words[:at]), behind.read(words[at+1:])
	return arguments{append(a.options, after.options...), append([]string{words[at]}, after.operands...)}
}

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}

// The options with values of the programs that ask managers.
var (
	// systemctl(1), loginctl(1) and machinectl(1).
	systemctlGrammar = grammar{abbreviates: true, valued: setOf(`-t --type --state -p --property -P -s --signal -H --host -M --machine -C --capsule
		-n --lines -o --output --job-mode --kill-whom --kill-who --kill-value --kill-subgroup --root --image --image-policy --what --message
		--when --legend --check-inhibitors --reboot-argument --boot-loader-menu --boot-loader-entry --timestamp --preset-mode --drop-in
		--uid -E --setenv --verify --format --max-addresses`)}
	// service(8), runc(8) and others of which no option with a value matters.
	plainGrammar = grammar{}
	// shutdown(8)
	shutdownGrammar = grammar{valued: setOf("-t")}
	// docker(1), podman(1) and nerdctl(1) before the command, and behind it.
	containerGrammar = grammar{valued: setOf(`-n --namespace -a --address -H --host -c --context -l --log-level --connection --url --identity --root
		--runroot --config --runtime --cgroup-manager --storage-driver --storage-opt --tmpdir --tlscacert --tlscert --tlskey`)}
	containerCommandGrammar = grammar{valued: setOf("-s --signal -t --time --timeout --filter --cidfile --pod-id-file")}
	// docker compose(1) before the command, and behind it.
	composeGrammar = grammar{valued: setOf(`-f --file -p --project-name --project-directory --profile --env-file --parallel --ansi --progress
		-c --context -H --host -l --log-level`)}
	composeCommandGrammar = grammar{valued: setOf("-t --timeout -s --signal --rmi")}
	// ctr(1) and crictl(1) before the command, and behind it.
	ctrGrammar = grammar{oneDash: true, valued: setOf(`-n --namespace -a --address -t --timeout -r --runtime-endpoint -i --image-endpoint
		--connect-timeout -c --config`)}
	ctrCommandGrammar = grammar{oneDash: true, valued: setOf("-s --signal -t --timeout --exec-id")}
	// supervisorctl(1)
	supervisorGrammar = grammar{valued: setOf("-c --configuration -s --serverurl -u --username -p --password -r --history-file")}
)
