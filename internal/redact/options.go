// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"slices"
	"strings"
)

// readOption looks at an option, and reports whether all of it is understood.
func (c *command) readOption(w text) bool {
	v := w.value
	if len(v) < 2 {
		return false // a dash alone
	}
	for i := len(c.programs) - 1; i >= 0; i-- {
		if p := c.programs[i].program; (!p.wrapper || i == len(c.programs)-1) && c.optionOf(p, w) {
			return true
		}
	}
	if end := strings.IndexAny(v, "=: \t\n"); end >= 0 {
		return c.assigned(w, end)
	}
	name := strings.TrimLeft(v, "-")
	switch s := soundOf(name); {
	case s == strong, s == weak && !c.keys:
		c.expected.sound = s
	case c.takesValue(v[:2]) && len(v) > 2 && c.namesSecret():
		c.hide(w, 2, len(v))
	case (name == "value" || c.takesValue(v)) && c.namesSecret():
		c.expected.sound = strong
	case userNames[name] && c.unknownOnly():
		c.expected = expectation{sound: strong, pair: ":", perhaps: true}
	case strings.HasPrefix(v, "-p") && c.mayHoldPassword(v[len("-p"):]):
		c.hide(w, len("-p"), len(v))
	default:
		return false
	}
	return true
}

// assigned looks at an option whose name ends at an index, and reports whether all of it is
// understood.
func (c *command) assigned(w text, end int) bool {
	v := w.value
	s := soundOf(v[:end])
	switch {
	case v[end] == '=' && userNames[strings.TrimLeft(v[:end], "-")] && c.unknownOnly():
		c.hideUserPair(w.part(end+1, len(v)))
	case v[end] == '=' && strings.TrimLeft(v[:end], "-") == "value" && c.namesSecret():
		c.hide(w, end+1, len(v))
	case blank(v[end]) && c.how != asScript && s == strong: // "--password SECRET" as one argument
		c.hide(w, end+1, len(v))
		return true
	case v[end] == ':' && end == len(v)-1 && s != harmless: // and the value in the next word
		c.expected.sound = s
	}
	return false
}

// takesValue reports whether an option is like --value for one of the programs.
func (c *command) takesValue(v string) bool {
	return slices.ContainsFunc(c.programs, func(p running) bool { return p.valueWords[v] })
}

// namesSecret reports whether a word says what the value of --value is: --name /db/password --value SECRET.
func (c *command) namesSecret() bool {
	return slices.ContainsFunc(c.words[1:min(len(c.words), 16)], func(w text) bool { // so that it cannot take long
		v := w.value
		if v != "" && v[0] == '-' {
			_, v, _ = strings.Cut(v, "=") // --name=/db/password
		}
		return v != "" && len(v) < 128 && soundOf(v[strings.LastIndexByte(v, '/')+1:]) == strong
	})
}

// unknownOnly reports whether nothing is known of the program.
func (c *command) unknownOnly() bool {
	return !slices.ContainsFunc(c.programs, func(p running) bool { return !p.wrapper })
}

// mayHoldPassword reports whether the rest of -pREST may be a password though the program is not
// known to take one that way.
func (c *command) mayHoldPassword(rest string) bool {
	for _, p := range c.programs {
		if !p.wrapper && !c.unknown && !c.doubt {
			return false
		}
	}
	return len(rest) >= 4 && !blank(rest[0]) && strings.Trim(rest, "0123456789:,.-/") != "" && !wordsAfterP[rest]
}

// wordsAfterP are options that begin with a p.
var wordsAfterP = set(`ackage ackages arallel arent ass1 assive atch ath aths attern eers eriod erformance erl ermissions erm idfile
	ipe ixel_format ix_fmt latform layer lugin lugins oll ort orts ref refix refs reserve reset retty review rint rint0 rintf riority
	roc rocess rocs rod roduction rofile rofiles roject rojects romisc roperties roperty roto rotocol roxy rune ublic ull ush ython`)

// optionOf looks at an option as one of a program's, and reports whether it has a secret.
func (c *command) optionOf(p *program, w text) bool {
	v := w.value
	if p.verb != "" && !c.said(p.verb) {
		return false
	}
	if p.shell && v[1] != '-' && strings.HasSuffix(v, "c") {
		c.script = true
		return true
	}
	name, _, assigned := strings.Cut(v, "=")
	if p.words[name] || p.pairWords[name] {
		pair := ""
		if p.pairWords[name] {
			pair = p.separators()
		}
		c.value(w, len(name), assigned, pair)
		return true
	}
	if p.doubleWords[name] {
		c.expected = expectation{sound: strong, more: 1}
		return true
	}
	if p.switchWords[v] || p.plainWords[v] {
		c.plain = p.plainWords[v]
		return true
	}
	if v[1] == '-' {
		return false
	}
	for i := 1; i < len(v); i++ {
		letter := v[i]
		switch {
		case strings.IndexByte(p.letters, letter) >= 0:
			c.value(w, i+1, false, "")
			return true
		case strings.IndexByte(p.glued, letter) >= 0:
			if i+1 < len(v) {
				c.value(w, i+1, false, "")
			}
			return true
		case strings.IndexByte(p.pairs, letter) >= 0:
			c.value(w, i+1, false, p.separators())
			return true
		case strings.IndexByte(p.flags, letter) < 0:
			return false
		}
	}
	return false
}

// value hides the value of an option: the rest of the word or, if there is none, the next word.
func (c *command) value(w text, at int, assigned bool, pair string) {
	if assigned {
		at++
	}
	rest := w.part(at, len(w.value))
	c.unclear = c.unclear || c.how != asBoth && !assigned && rest.several()
	switch {
	case rest.value == "" && !assigned:
		c.expected = expectation{sound: strong, pair: pair}
	case pair != "":
		c.hidePair(rest, pair)
	default:
		c.hideAll(rest)
	}
}

// said reports whether one of some words was among the words so far.
func (c *command) said(verbs string) bool {
	for verb := range strings.FieldsSeq(verbs) {
		for _, w := range c.verbs[:min(len(c.verbs), 8)] { // so that it cannot take long
			if w.value == verb {
				return true
			}
		}
	}
	return false
}
