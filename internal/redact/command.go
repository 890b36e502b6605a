// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"slices"
	"strings"
)

// command is the state while the words of a command are read from left to right.
type command struct {
	*finder
	words []text
	depth int
	how   reading
	// programs are those that the words name so far: sudo runs mysql, docker exec does.
	programs []running
	// unknown says that a word in the place of a program names one that is in no table.
	unknown bool
	// doubt says that another word may name a program that takes passwords.
	doubt bool
	// expected is what the next word is.
	expected expectation
	// unclear says that it is not clear where a password ended: -p'a b' in a text that may never have been
	// in the hands of a shell.
	unclear bool
	// script says that the next word is a whole command for a shell.
	script bool
	// verbs are the words that are neither options nor their values.
	verbs []text
	// option says that the word before was an option, and plain that the next one is its value, and no operand.
	option, plain bool
}

// running is a program that a word names, and how many verbs were in front of that.
type running struct {
	*program
	verbs int
}

// expectation says what the next word is.
type expectation struct {
	sound
	// pair has the bytes of which one separates a user from the secret; empty if all is secret.
	pair string
	// perhaps says that the pair may be a user and a group.
	perhaps bool
	// more is how many secrets follow it, and kept is how many words in front of it are none.
	more, kept int
}

// command looks for secrets in the words of a command, and reports whether one must follow.
func (f *finder) command(words []text, depth int, how reading) (wants bool) {
	var room [8]running
	var room2 [8]text
	c := command{finder: f, words: words, depth: depth, how: how, programs: room[:0], verbs: room2[:0]}
	keys := f.keys
	for i := 0; i < len(words); i++ {
		if words[i].value == "" {
			continue
		}
		runs := c.expected.sound == harmless && c.runs(words[i].value)
		c.read(i, words[i])
		if runs {
			i = c.run(i)
		}
	}
	c.operands()
	f.keys = keys
	return c.expected.sound == strong
}

func (c *command) read(i int, w text) {
	if c.expected.sound != harmless && c.take(i, w) {
		return
	}
	if w.value == "--" {
		c.option = false
		return
	}
	if c.script && w.value[0] != '-' {
		c.script = false
		if c.depth == deepest && w.several() {
			c.hideAll(w)
			return
		}
		c.finder.script(w, min(c.depth+1, deepest))
		c.inspect(w, false)
		return
	}
	if quote := w.value[0]; len(w.value) > 2 && w.value[1] == '-' && (quote == '"' || quote == '\'') {
		w = w.part(1, len(w.value))
	}
	if c.unclear && w.value[0] != '-' {
		c.hideAll(w)
		return
	}
	if len(w.value) > 1 && w.value[0] == '-' {
		c.option, c.plain = true, false
		if !c.readOption(w) {
			c.argument(w, c.depth, c.how)
		}
		return
	}
	c.readWord(i, w)
	c.option, c.plain = false, false
}

// take reads a word that is expected to be a secret, and reports whether that was all about it.
func (c *command) take(i int, w text) bool {
	want := c.expected
	if want.kept > 0 {
		c.owner(i, w)
		return true
	}
	if w.value == "--" || scheme(w.value) || joiners[w.value] || !c.option && valueOptions[w.value] || c.setsPassword(i) {
		return true // --token Bearer SECRET
	}
	c.expected = expectation{}
	if want.more > 0 {
		c.expected = expectation{sound: strong, more: want.more - 1}
	}
	c.option = false
	if want.pair != "" {
		if want.perhaps {
			c.hideUserPair(w)
		} else {
			c.hidePair(w, want.pair)
		}
		if w.value[0] != '-' {
			c.argument(w, c.depth, c.how)
			return true
		}
		return false // perhaps the value was missing
	}
	if want.shown(w.value) {
		return true
	}
	c.hideAll(w)
	if c.keyword(w.value) {
		c.expected = want
	}
	if p := programs[baseName(w.value)]; p != nil {
		c.doubt = c.doubt || p.hides()
	}
	if w.value[0] == '-' { // perhaps the value was missing
		c.readOption(w)
	}
	return true
}

// joiners stand between a name and its secret.
var joiners = set("= : => := == is to TO")

// valueOptions are options by which a secret follows its name: --name db_password --value SECRET.
var valueOptions = set("-v -value --value")

// hidePair hides the secret of a user and a secret. If that is empty, the user is the secret, as
// for many a service.
func (c *command) hidePair(w text, separators string) {
	at := strings.IndexAny(w.value, separators)
	switch {
	case at < 0 && len(w.value) < 20:
	case at < 0, at == len(w.value)-1:
		c.hide(w, 0, len(w.value))
	default:
		c.hide(w, at+1, len(w.value))
	}
}

// userNames are names of options that some programs take user:password by.
var userNames = set("user login username userpwd auth-user proxy-user http-user ftp-user")

// hideUserPair hides the password of user:password, but not the group of user:group as far as that
// can be told.
func (c *command) hideUserPair(w text) {
	user, rest, _ := strings.Cut(w.value, ":")
	if user == rest || strings.HasPrefix(rest, "//") || strings.Trim(rest, "0123456789") == "" {
		return
	}
	c.hide(w, len(user)+1, len(w.value))
}

// readWord reads a word that is no option.
func (c *command) readWord(i int, w text) {
	if c.program(w) {
		c.argument(w, c.depth, c.how)
		return
	}
	c.argument(w, c.depth, c.how)
	if !c.plain {
		c.verbs = append(c.verbs, w)
	}
	v := w.value
	switch last := v[len(v)-1]; {
	case last == ':' || last == '=': // password: SECRET
		n := nameBefore(v, 0, len(v)-1)
		if s := soundOf(n.name(v)); s != harmless && !n.part(v, len(v)-1) {
			c.expected.sound = s
		}
	case i > 0 && c.endsInScheme(v), c.identifies(v):
		c.expected.sound = strong
	case i > 0 && pairWord(v) && !c.plugin() && !c.talksAbout(i):
		c.expected.sound = strong
	}
}

// endsInScheme reports whether a secret must follow: Bearer, or Authorization:Bearer.
func (c *command) endsInScheme(v string) bool {
	if strings.EqualFold(v, "bearer") {
		return true
	}
	before, after, ok := strings.Cut(v, ":")
	return ok && scheme(after) && soundOf(before) != harmless
}

// pairWord reports whether a word without dashes names a secret that is the next word.
func pairWord(v string) bool {
	at := 0
	if colon := strings.LastIndexByte(v, ':'); colon >= 0 { // //registry/:_authToken
		at = colon + 1
	}
	name := v[at:]
	for i := range len(name) {
		if !nameByte(name[i]) {
			return false
		}
	}
	if name == "" || name[0] == '$' || name[len(name)-1] == 's' && !strings.HasSuffix(name, "pass") {
		return false
	}
	return soundOf(name) == strong || name == "_auth"
}

// talkative are programs whose words are texts or names, so that the one after "password" means
// nothing.
var talkative = set(`ack ag apropos apt apt-cache apt-get awk bat cat cd chmod chown cp dnf dpkg egrep fgrep file find git gh go grep
	head info less locate ls make man mkdir more mv nano pacman pip rg rm rpm stat systemctl tail tee touch vi vim whatis which yum zgrep`)

// objects are kinds of objects that sound like secrets, and aboutObjects are programs whose words are kinds of objects and what to do with them.
var objects = set("secret token")

var aboutObjects = set(`aws az docker gcloud helm kubectl nomad oc podman vault`)

// verbsOfObjects follow a kind of object, such as a token.
var verbsOfObjects = set(`add capabilities create delete describe edit generate get info inspect list lookup ls manager new patch policies
	remove renew reset revoke rm rotate show update view worker`)

// talksAbout reports whether a word that names a secret stands for itself.
func (c *command) talksAbout(i int) bool {
	next := ""
	if i+1 < len(c.words) {
		next = c.words[i+1].value
	}
	if verbsOfObjects[next] {
		return true
	}
	v := strings.ToLower(c.words[i].value)
	for _, p := range c.programs {
		known := func(rule operandRule) bool { return rule.after == v }
		if slices.ContainsFunc(p.operands, known) || slices.Contains(strings.Fields(p.verb), v) {
			return true // what is secret is known better
		}
	}
	first := baseName(c.words[0].value)
	return talkative[first] || aboutObjects[first] && objects[v]
}

// program notes the program that a word names, and reports whether it does. It may if it is the
// first word, or if no option is in front, whose value it would be; wrappers such as sudo have
// many options without one.
func (c *command) program(w text) bool {
	v := w.value
	first := !c.unknown && (len(c.programs) == 0 || !c.option && c.programs[len(c.programs)-1].wrapper)
	if strings.IndexByte(v, '=') >= 0 {
		return false
	}
	switch p := programs[baseName(v)]; {
	case p == nil:
		c.unknown = c.unknown || first
		return first
	case len(c.programs) == cap(c.programs), p.alone && !first, c.option && !first && !c.wrapped():
		c.doubt = c.doubt || p.hides()
		return false
	default:
		c.keys = c.keys || p.keys && first
		c.programs = append(c.programs, running{p, len(c.verbs)})
		return true
	}
}

// wrapped reports whether the first program runs another one.
func (c *command) wrapped() bool { return len(c.programs) > 0 && c.programs[0].wrapper }

// baseName returns the name of a program without its folder.
func baseName(v string) string {
	v = v[strings.LastIndexAny(v, `/\`)+1:]
	return strings.TrimSuffix(strings.TrimPrefix(v, "-"), ".exe")
}

func set(words string) map[string]bool {
	fields := strings.Fields(words)
	all := make(map[string]bool, len(fields))
	for _, word := range fields {
		all[word] = true
	}
	return all
}
