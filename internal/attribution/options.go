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
	// oneDash is true if one dash is as good as two, and short options stand alone, as in programs that are written with Go's
	// package flag: -signal 9.
	oneDash bool
}

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
	for i := 1; i < len(word); i++ {
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
		if !g.oneDash && cutShort(name, whole) {
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
	systemctlGrammar = grammar{valued: setOf(`-t --type --state -p --property -P -s --signal -H --host -M --machine -C --capsule -n --lines
		-o --output --job-mode --kill-whom --kill-who --kill-value --kill-subgroup --root --image --image-policy --what --message --when
		--legend --check-inhibitors --reboot-argument --boot-loader-menu --boot-loader-entry --timestamp --preset-mode --drop-in
		--after --before --uid -E --setenv --verify --format --max-addresses`)}
	// busctl(1), gdbus(1) and dbus-send(1), whose operands follow a fixed order.
	plainGrammar = grammar{}
	// docker(1), podman(1) and nerdctl(1).
	containerGrammar = grammar{valued: setOf(`-n --namespace -a --address -s --signal -t --time --timeout -H --host -c --context -l --log-level
		--connection --url --identity --root --runroot --config --filter --cidfile --pod-id-file`)}
	// docker compose(1), after its own name and before.
	composeGrammar = grammar{valued: setOf(`-f --file -p --project-name --project-directory --profile --env-file --parallel --ansi --progress
		-t --timeout -s --signal --rmi -c --context -H --host --scale --pull --wait-timeout --attach --no-attach --exit-code-from -l --log-level`)}
	// ctr(1) and crictl(1).
	ctrGrammar = grammar{oneDash: true, valued: setOf(`-n --namespace -a --address -s --signal -t --timeout --exec-id -r --runtime-endpoint -i
		--image-endpoint --connect-timeout -c --config`)}
	// supervisorctl(1).
	supervisorGrammar = grammar{valued: setOf("-c --configuration -s --serverurl -u --username -p --password")}
)
