// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"slices"
	"strings"
)

// runs reports whether a word is an option of a program after which there is a command: find -exec.
func (c *command) runs(v string) bool {
	name, _, _ := strings.Cut(v, "=")
	return v[0] == '-' && slices.ContainsFunc(c.programs, func(p running) bool { return p.commandWords[name] })
}

// run looks for secrets in the command of the option at an index, and returns where that ends. What follows
// are words of the program again: find -exec zip {} ; -print.
func (c *command) run(option int) int {
	end := option + 1
	for end < len(c.words) && !c.endsCommand(end) {
		end++
	}
	words := c.words[option+1 : end]
	if equals := strings.IndexByte(c.words[option].value, '='); equals >= 0 { // --exec=unzip
		w := c.words[option]
		words = append([]text{w.part(equals+1, len(w.value))}, words...)
	}
	if c.depth == deepest {
		c.hideEach(words)
	} else {
		c.command(words, c.depth+1, c.how)
	}
	return end
}

// endsCommand reports whether the command of find -exec ends at an index: at a ; or at {} +.
func (c *command) endsCommand(at int) bool {
	v := c.words[at].value
	return v == ";" || v == "+" && c.words[at-1].value == "{}"
}
