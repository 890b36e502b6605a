// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// clue is a text without which there is nothing to hide.
type clue struct {
	text string
	// left and right say that no other letter may stand on that side.
	left, right bool
	// option says that it is a short option with a value in the same word, and bot that it is a digit and the colon of a
	// bot's token.
	option, bot bool
}

// clueTable finds clues by their first two bytes.
type clueTable struct {
	// sure are bytes that are clues themselves: what can hide a name is decoded first.
	sure [256]bool
	// pairs says which pairs of bytes a clue begins with, and clues are these.
	pairs [1024]bool
	clues [1024][]clue
	// words are clues if they stand alone, perhaps after the name of a folder, and wordPairs says which
	// pairs of bytes they begin with.
	words     map[string]bool
	wordPairs [1024]bool
}

// nameClues are in every name that sounds like a secret.
var nameClues = func() *clueTable {
	t := &clueTable{}
	t.addNames()
	return t
}()

// titleClues are in every title that has something to hide.
var titleClues = func() *clueTable {
	t := &clueTable{words: map[string]bool{}}
	t.addNames()
	for _, c := range "@%\"'\\" {
		t.sure[c] = true
	}
	for _, word := range []string{"://", "---BEGIN", "identified", "<<", "?" + codeParameter, "&" + codeParameter} {
		t.add(clue{text: word})
	}
	for _, form := range allForms() {
		t.add(clue{text: form.prefix, left: true})
	}
	for name, p := range programs {
		if p.hides() {
			t.addWord(name)
		}
	}
	for name := range writers {
		t.addWord(name)
	}
	t.add(clue{text: "-p", option: true})
	for _, digit := range "0123456789" {
		t.add(clue{text: string(digit) + ":", bot: true})
	}
	for name := range userNames {
		t.add(clue{text: "-" + name, right: true})
	}
	return t
}()

func (t *clueTable) addNames() {
	for c := 0x80; c < len(t.sure); c++ {
		t.sure[c] = true
	}
	for _, word := range append(strongWords[:len(strongWords):len(strongWords)], weakWords...) {
		t.add(clue{text: word})
	}
	for _, word := range append([]string{"pass", "key", "psk"}, weakEnds...) {
		t.add(clue{text: word, right: true})
	}
	for _, word := range strongEnds {
		t.add(clue{text: word, left: true, right: true})
	}
}

// hides reports whether a program has secrets in other places than all programs.
func (p *program) hides() bool {
	return p.letters+p.glued+p.pairs+p.long+p.longPairs+p.doubles != "" || p.operands != nil || p.operand != nil
}

func (t *clueTable) add(c clue) {
	at := pairIndex(c.text[0], c.text[1])
	t.pairs[at] = true
	t.clues[at] = append(t.clues[at], c)
}

func (t *clueTable) addWord(word string) {
	t.words[word] = true
	t.wordPairs[pairIndex(word[0], word[1])] = true
}

// pairIndex is the same for letters of either case.
func pairIndex(a, b byte) int { return int(a&31)<<5 | int(b&31) }

// suspicious checks quickly whether there may be anything to hide: it runs on every command line.
func suspicious(title string) bool { return titleClues.in(title) }

// in reports whether there is a clue in a text.
func (t *clueTable) in(text string) bool {
	last := byte(0)
	for i := range len(text) {
		c := text[i]
		if t.sure[c] {
			return true
		}
		at := pairIndex(last, c)
		if t.pairs[at] {
			for _, known := range t.clues[at] {
				if i > 0 && known.at(text, i-1) {
					return true
				}
			}
		}
		if t.wordPairs[at] && i > 0 && t.word(text, i-1) {
			return true
		}
		last = c
	}
	return false
}

// word reports whether a word that is a clue begins at an index.
func (t *clueTable) word(text string, start int) bool {
	if start > 0 && wordByte(text[start-1]) && text[start-1] != '=' { // --exec=unzip
		return false
	}
	end := start
	for end < len(text) && wordByte(text[end]) {
		end++
	}
	return t.words[text[start:end]] && (end == len(text) || text[end] != '/')
}

// at reports whether the clue stands in a title at an index.
func (c clue) at(title string, i int) bool {
	end := i + len(c.text)
	if end > len(title) || !strings.EqualFold(title[i:end], c.text) {
		return false
	}
	if c.bot {
		_, ok := botToken(title, end-1)
		return ok
	}
	if c.option {
		return (i == 0 || !wordByte(title[i-1])) && end < len(title) && wordByte(title[end])
	}
	if c.left && i > 0 && joins(title[i-1], title[i]) && (i == 1 || title[i-2] != '-') { // -Dpin
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
	return letter(a) && letter(b) && (!lower(a) || lower(b)) // not userPass
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func lower(c byte) bool { return 'a' <= c && c <= 'z' }

// wordByte reports whether a byte belongs to the name of a program.
func wordByte(c byte) bool { return letterOrDigit(c) || strings.IndexByte("._-=:+", c) >= 0 }
