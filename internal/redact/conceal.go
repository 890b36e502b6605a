// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"cmp"
	"slices"
	"strings"
)

// redacted stands in for a secret value.
const redacted = "***"

// deepest is how many commands may stand within each other, as in sh -c "ssh host 'sh -c ...'". What
// is deeper is hidden as a whole, so that nobody can make this take long.
const deepest = 4

// reading says what splits the words of a text that may be a command.
type reading int

const (
	// asBoth is for arguments of which nobody knows what they are.
	asBoth reading = iota
	// asScript is for what a shell runs: its operators end a word.
	asScript
	// asWords is for words with white space between them, and nothing else.
	asWords
)

// span is a part of the title.
type span struct{ start, end int }

// finder gathers where in a title secrets are.
type finder struct {
	secrets []span
	// keys says that what the program at hand calls a key is no secret: that of an audit rule.
	keys bool
}

// hide notes a part of a text as secret.
func (f *finder) hide(t text, from, to int) {
	if from < to {
		f.secrets = append(f.secrets, span{t.place(from), t.place(to)})
	}
}

func (f *finder) hideAll(t text) { f.hide(t, 0, len(t.value)) }

// conceal hides what looks like a secret, and leaves everything else as it is. If it is not clear
// where a secret ends, it hides more rather than less.
func conceal(title string) string {
	if !suspicious(title) {
		return title
	}
	var f finder
	var room [24]text
	arguments := room[:0]
	for start := 0; start <= len(title); {
		end := len(title)
		if length := strings.IndexByte(title[start:], 0); length >= 0 {
			end = start + length
		}
		arguments = append(arguments, text{value: title[start:end], start: start})
		start = end + 1
	}
	f.command(arguments, 0, asBoth)
	return f.without(title)
}

// without returns the title without the secrets that were found.
func (f *finder) without(title string) string {
	if len(f.secrets) == 0 {
		return title
	}
	slices.SortFunc(f.secrets, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	var out strings.Builder
	out.Grow(len(title) + len(redacted))
	at, secret := 0, f.secrets[0]
	write := func() {
		out.WriteString(title[at:secret.start])
		out.WriteString(redacted)
		at = secret.end
	}
	for _, next := range f.secrets[1:] {
		if next.start > secret.end {
			write()
			secret = next
		}
		secret.end = max(secret.end, next.end)
	}
	write()
	out.WriteString(title[at:])
	return out.String()
}

// argument looks for secrets in a word of a command, and in the command that it may hold itself.
func (f *finder) argument(t text, depth int, how reading) {
	if !t.several() {
		f.inspect(t, true)
		return
	}
	keys := f.keys
	if p := programs[baseName(t.value[:until(t.value, 0, " \t\r\n\v\f")])]; p != nil && p.keys {
		f.keys = true
	}
	f.inspect(t, true)
	f.keys = keys
	if depth == deepest {
		f.hideAll(t)
		return
	}
	if how != asWords {
		f.script(t, depth+1)
	}
	if how != asScript {
		f.command(words(t), depth+1, asWords)
	}
}

// inspect looks for secrets that show without regard to the command around them. If a name is the
// first thing in the text, whole says that its value is all the rest.
func (f *finder) inspect(t text, whole bool) {
	f.named(t, whole)
	f.links(t)
	f.tokens(t)
	for range 2 { // a link within a link is encoded twice
		decoded, found := t, strings.IndexByte(t.value, '%') >= 0 || strings.Contains(t.value, `\u00`)
		if found {
			decoded, found = t.decoded()
		}
		if !found {
			return
		}
		t = decoded
		f.named(t, whole)
		f.links(t)
	}
}
