// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// clue is a text without which there is nothing to hide.
type clue struct {
	text string
	// left and right say that no other letter or digit may stand on that side.
	left, right bool
}

// clueTable finds clues by their first two bytes.
type clueTable struct {
	// sure are bytes that are clues themselves: what can hide a name is decoded first.
	sure [256]bool
	// pairs says which pairs of bytes a clue begins with, and clues are these.
	pairs [1024]bool
	clues [1024][]clue
}

var clues = func() *clueTable {
	t := &clueTable{}
	for c := range t.sure {
		t.sure[c] = c >= 0x80 || strings.IndexByte("@%\"'\\", byte(c)) >= 0
	}
	for _, word := range append([]string{"://", "---BEGIN", "identified"}, strongWords...) {
		t.add(clue{text: word})
	}
	for _, word := range append([]string{"pass", "key", "psk"}, weakEnds...) {
		t.add(clue{text: word, right: true})
	}
	for _, word := range strongEnds {
		t.add(clue{text: word, left: true, right: true})
	}
	for _, form := range tokenForms {
		t.add(clue{text: form.prefix, left: true})
	}
	for name, p := range programs {
		if p.hides() {
			t.add(clue{text: name, left: true, right: true})
		}
	}
	t.add(clue{text: "-p", left: true})
	return t
}()

// hides reports whether a program has secrets in other places than all programs.
func (p *program) hides() bool {
	return p.letters+p.glued+p.pairs+p.long+p.longPairs+p.doubles != "" || p.operands != nil || p.operand != nil
}

func (t *clueTable) add(c clue) {
	at := pairIndex(c.text[0], c.text[1])
	t.pairs[at] = true
	t.clues[at] = append(t.clues[at], c)
}

// pairIndex is the same for letters of either case.
func pairIndex(a, b byte) int { return int(a&31)<<5 | int(b&31) }

// suspicious checks quickly whether there may be anything to hide: it runs on every command line.
func suspicious(title string) bool {
	if title == "" {
		return false
	}
	last := title[0]
	if clues.sure[last] {
		return true
	}
	for i := 1; i < len(title); i++ {
		c := title[i]
		if clues.sure[c] {
			return true
		}
		if at := pairIndex(last, c); clues.pairs[at] {
			for _, known := range clues.clues[at] {
				if known.at(title, i-1) {
					return true
				}
			}
		}
		last = c
	}
	return false
}

// at reports whether the clue stands in a title at an index.
func (c clue) at(title string, i int) bool {
	end := i + len(c.text)
	if end > len(title) || !strings.EqualFold(title[i:end], c.text) {
		return false
	}
	if c.left && i > 0 && joins(title[i-1], title[i]) {
		return false
	}
	if !c.right || end == len(title) {
		return true
	}
	if title[end]|0x20 == 's' && (end+1 == len(title) || !joins(title[end], title[end+1])) {
		return true
	}
	return !joins(title[end-1], title[end])
}

// joins reports whether two bytes belong to one word. Digits end a word: password2, and a capital
// letter begins one.
func joins(a, b byte) bool {
	return letter(a) && letter(b) && !(lower(a) && !lower(b)) // userPass
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func lower(c byte) bool { return 'a' <= c && c <= 'z' }
