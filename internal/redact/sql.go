// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// identifies reports whether a word, the latest, is the one in front of the secret in IDENTIFIED BY 'SECRET',
// IDENTIFIED WITH plugin BY 'SECRET', IDENTIFIED WITH plugin AS 'HASH' or IDENTIFIED VIA plugin USING 'HASH', or in front of the
// former secret: REPLACE 'SECRET'.
func (c *command) identifies(v string) bool {
	switch {
	case strings.EqualFold(v, "by"):
		return c.lately("identified")
	case strings.EqualFold(v, "replace"):
		return c.lately("identified") || c.lately("password")
	}
	return (strings.EqualFold(v, "as") || strings.EqualFold(v, "using")) &&
		c.lately("identified") && (c.lately("with") || c.lately("via"))
}

// plugin reports whether the latest word is the plugin of IDENTIFIED WITH mysql_native_password, whose name
// is followed by no secret.
func (c *command) plugin() bool {
	return (c.before(1, "with") || c.before(1, "via") || c.before(1, "or")) && c.lately("identified")
}

// keyword reports whether a word that has been taken for a secret may stand in front of it: IDENTIFIED BY
// PASSWORD 'HASH'. It may just as well be the secret.
func (c *command) keyword(v string) bool {
	return (strings.EqualFold(v, "password") || strings.EqualFold(v, "values")) && c.before(0, "by") && c.lately("identified")
}

// setsPassword reports whether the word at an index is no secret, but tells whose it is, or which, and then
// expects what follows: SET PASSWORD FOR user = 'SECRET', SET PASSWORD FROM 'SECRET' TO 'SECRET'.
func (c *command) setsPassword(i int) bool {
	if i < 2 || !strings.EqualFold(c.words[i-1].value, "password") || !strings.EqualFold(c.words[i-2].value, "set") {
		return false
	}
	switch v := c.words[i].value; {
	case strings.EqualFold(v, "for"):
		c.expected.kept = 1
	case strings.EqualFold(v, "from"):
		c.expected.more = 1
	default:
		return false
	}
	return true
}

// owner reads the user of SET PASSWORD FOR user = 'SECRET', whose host may follow: user @ host.
func (c *command) owner(i int, w text) {
	host := strings.HasSuffix(w.value, "@") || i+1 < len(c.words) && strings.HasPrefix(c.words[i+1].value, "@")
	if !host {
		c.expected.kept--
	}
	c.argument(w, c.depth, c.how)
	if equals := strings.IndexByte(w.value, '='); equals >= 0 && equals < len(w.value)-1 { // user='SECRET'
		c.hide(w, equals+1, len(w.value))
		c.expected = expectation{}
	}
}

// before reports whether the latest word, or one that is so many before it, is a given one.
func (c *command) before(count int, word string) bool {
	at := len(c.verbs) - 1 - count
	return at >= 0 && strings.EqualFold(c.verbs[at].value, word)
}

// lately reports whether one of the latest words is a given one.
func (c *command) lately(word string) bool {
	for count := range 6 {
		if c.before(count, word) {
			return true
		}
	}
	return false
}
