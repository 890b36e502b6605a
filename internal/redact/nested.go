// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import "slices"

// runs reports whether a word is an option of a program after which there is a command: find -exec.
func (c *command) runs(v string) bool {
	return v[0] == '-' && slices.ContainsFunc(c.programs, func(p running) bool { return p.commandWords[v] })
}

// run looks for secrets in the command that begins at an index, and returns where that ends. What follows
// are words of the program again: find -exec zip {} ; -print.
func (c *command) run(from int) int {
	end := from
	for end < len(c.words) && !c.endsCommand(end) {
		end++
	}
	if words := c.words[min(from, end):end]; c.depth == deepest {
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
