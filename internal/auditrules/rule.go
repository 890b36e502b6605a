// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Path is the file for rules that are to be loaded at boot.
const Path = "/etc/audit/rules.d/audit_kill.rules"

// longestKey leaves room in the kernel's 256 bytes for a second key
// (include/uapi/linux/audit.h, AUDIT_MAX_KEY_LEN); auditctl refuses more than 31 on the
// command line.
const longestKey = 31

// maxComparisons is how many fields a rule may have (include/uapi/linux/audit.h,
// AUDIT_MAX_FIELDS), less those for the architecture, the collector's process and the key.
const maxComparisons = 64 - 3

// CheckKey refuses keys that auditctl, ausearch and rules.d would take apart: they split at
// spaces, and not all of them support quotes.
func CheckKey(key string) error {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'`\\,=", r) }
	if key == "" || len(key) > longestKey || strings.ContainsFunc(key, odd) {
		return fmt.Errorf("%q must be 1 to %d printable ASCII characters without spaces, quotes, commas, "+
			"backslashes and equals signs, such as audit_kill", key, longestKey)
	}
	return nil
}

// Rule is a rule for the exit of system calls.
type Rule struct {
	// never is true for a rule that suppresses records and comes first.
	never bool
	// arch is empty for all architectures.
	arch arch
	// syscalls is empty for all calls.
	syscalls []string
	// argument is the argument of these calls that holds the signal: a1 or a2.
	argument    string
	comparisons []comparison
	// program is the file of a program whose start the rule is about; empty if it is not about that.
	program string
	key     string
}

// comparison is a condition that must hold for a rule to apply, such as a1>=1.
type comparison struct {
	field, operator string
	value           int
}

func (c comparison) String() string { return c.field + c.operator + strconv.Itoa(c.value) }

// kinds are the system calls that send signals, by the place of the signal.
var kinds = []struct {
	argument string
	syscalls []string
}{
	{"a1", []string{"kill", "tkill", "rt_sigqueueinfo", "pidfd_send_signal"}},
	{"a2", []string{"tgkill", "rt_tgsigqueueinfo"}},
}

// For returns the rules that make the kernel record the given signals, and as few others as
// these rules can distinguish. self is the process whose own signals they exclude; 0 for
// none.
func For(signals []kill.Signal, key string, self int) []Rule {
	return rulesFor(arches(machine()), signals, key, self)
}

func rulesFor(arches []arch, signals []kill.Signal, key string, self int) []Rule {
	if len(signals) == 0 {
		return nil
	}
	var rules []Rule
	for _, a := range arches {
		for _, kind := range kinds {
			r := Rule{arch: a, syscalls: kind.syscalls, argument: kind.argument, key: key}
			if self != 0 {
				r.comparisons = append(r.comparisons, comparison{"pid", "!=", self})
			}
			r.comparisons = append(r.comparisons, oneOf(kind.argument, signals)...)
			rules = append(rules, r)
		}
	}
	return rules
}

// oneOf returns comparisons that hold if an argument is one of the given signals. If there
// are more gaps than a rule has room for, the last ones are not excluded: those are
// realtime signals, which are rare.
func oneOf(argument string, signals []kill.Signal) []comparison {
	wanted := slices.Compact(slices.Sorted(slices.Values(signals)))
	lowest, highest := wanted[0], wanted[len(wanted)-1]
	if lowest == highest {
		return []comparison{{argument, "=", int(lowest)}}
	}
	var comparisons []comparison
	if lowest > 0 { // the kernel compares unsigned numbers
		comparisons = append(comparisons, comparison{argument, ">=", int(lowest)})
	}
	comparisons = append(comparisons, comparison{argument, "<=", int(highest)})
	for signal := lowest + 1; signal < highest && len(comparisons) < maxComparisons; signal++ {
		if _, found := slices.BinarySearch(wanted, signal); !found {
			comparisons = append(comparisons, comparison{argument, "!=", int(signal)})
		}
	}
	return comparisons
}

// shieldFor returns the rule that excludes everything that a process does.
func shieldFor(key string, self int) Rule {
	return Rule{never: true, comparisons: []comparison{{"pid", "=", self}}, key: key}
}

// String returns the rule in the form of a file in rules.d.
func (r Rule) String() string { return strings.Join(r.words(), " ") }

// Command returns the command that loads the rule, for a shell.
func (r Rule) Command() string { return command(r.words()...) }

// File returns the content of a file in rules.d with the given rules.
func File(rules []Rule) string {
	var text strings.Builder
	for _, r := range rules {
		fmt.Fprintln(&text, r)
	}
	return text.String()
}

func (r Rule) words() []string {
	words := []string{"-a", "always,exit"}
	if r.never {
		words = []string{"-A", "never,exit"}
	}
	if r.arch.bits != "" {
		words = append(words, "-F", "arch="+r.arch.bits)
	}
	if len(r.syscalls) > 0 {
		words = append(words, "-S", strings.Join(r.syscalls, ","))
	}
	for _, c := range r.comparisons {
		words = append(words, "-F", c.String())
	}
	if r.program != "" {
		words = append(words, "-F", "path="+r.program, "-F", "perm=x")
	}
	return append(words, "-k", r.key)
}

// command returns a call of auditctl for a shell.
func command(words ...string) string {
	line := []string{"auditctl"}
	for _, word := range words {
		// A shell with a history treats "!" specially, but not before a "=".
		if strings.ContainsFunc(strings.ReplaceAll(word, "!=", "="), special) {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		line = append(line, word)
	}
	return strings.Join(line, " ")
}

// special reports whether a shell may give the character a meaning.
func special(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return false
	}
	return !strings.ContainsRune("-_=,./:@%+", c)
}
