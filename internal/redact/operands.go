// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"slices"
	"strings"
)

// operands hides the secrets that programs take by their place.
func (c *command) operands() {
	for _, p := range c.programs {
		for _, rule := range p.operands {
			c.operand(p, rule)
		}
		if p.operand != nil {
			for _, w := range c.verbs[p.verbs:] {
				p.operand(c.finder, w)
			}
		}
	}
}

// operand hides what a rule says.
func (c *command) operand(p running, rule operandRule) {
	at := p.verbs
	if rule.option != "" && !c.has(rule.option) {
		return
	}
	for verb := range strings.FieldsSeq(rule.after) {
		next := slices.IndexFunc(c.verbs[at:], func(w text) bool { return strings.EqualFold(w.value, verb) })
		if next < 0 {
			return
		}
		at += next + 1
	}
	kept := rule.kept
	if rule.option == "b" && c.has("n") {
		kept-- // htpasswd -n has no file
	}
	for _, w := range c.verbs[min(at+kept, len(c.verbs)):] {
		switch equals := strings.IndexByte(w.value, '='); {
		case rule.assigned && equals >= 0:
			c.hide(w, equals+1, len(w.value))
		case rule.pair:
			c.hidePair(w, p.separators())
		case !rule.assigned:
			c.hideAll(w)
		}
	}
}

// has reports whether there is a long option, or one with one of some letters.
func (c *command) has(option string) bool {
	return slices.ContainsFunc(c.words, func(w text) bool {
		v := w.value
		if strings.HasPrefix(option, "--") {
			return v == option
		}
		return len(v) > 1 && v[0] == '-' && v[1] != '-' && strings.ContainsAny(v, option)
	})
}

// account hides the password of user/password@database.
func account(f *finder, w text) {
	v := w.value
	slash := strings.IndexByte(v, '/')
	if slash <= 0 || v[0] == '@' {
		return
	}
	if equals := strings.IndexByte(v[:slash], '='); strings.IndexByte(v[:slash], '@') >= 0 || slash == equals+1 && equals >= 0 {
		return
	}
	end := strings.LastIndexByte(v, '@')
	if end < slash {
		end = len(v)
	}
	f.hide(w, slash+1, end)
}

// spoken hides the password of user:password, as it is written to a program that reads such pairs.
func spoken(f *finder, w text) {
	v := w.value
	colon := strings.IndexByte(v, ':')
	if colon <= 0 || strings.HasPrefix(v[colon:], "://") || colon+1 == len(v) || blank(v[colon+1]) {
		return
	}
	for i := range colon {
		if c := v[i]; !nameByte(c) {
			return
		}
	}
	if strings.Trim(v[:colon], "0123456789") == "" {
		return // a time, or so
	}
	f.hide(w, colon+1, len(v))
}
