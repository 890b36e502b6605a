// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package visible keeps untrusted text in its place. A process chooses its name, its command line
// and the path of its program, and the log of another host may have anything in it. Here that
// becomes text that no terminal acts on, that has no line breaks, that does not change the order
// of what is beside it, and that nobody takes for a sentence of ours or for a formula.
package visible

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns a value in one line, with everything escaped that cannot be seen, as Go does it:
// \n, \x1b, \u202e. Bytes in a row that are no UTF-8 become one U+FFFD.
//
// A backslash is doubled where it would look like the beginning of such an escape, so that nobody
// can forge one. Anywhere else it stays what it is: the names of systemd's units are full of \x2d,
// and people search for them.
func Text(text string) string { return unforged.text(text) }

// Lines is Text for several lines, whose ends stay.
func Lines(text string) string {
	if !strings.Contains(text, "\n") {
		return Text(text)
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Text(line)
	}
	return strings.Join(lines, "\n")
}

// Message returns a message that may have been put together from escaped or quoted text, in one
// line. It leaves backslashes alone, as nobody knows by now which of them are escapes.
func Message(text string) string { return loose.text(text) }

// Short is Text for at most so many bytes. "…" is at the end of what was cut.
func Short(text string, limit int) string {
	if len(text) <= limit && unforged.first(text) == len(text) {
		return text
	}
	buf, whole := unforged.append(nil, text, limit)
	if !whole {
		buf, _ = unforged.append(buf[:0], text, limit-len(ellipsis))
		buf = append(buf, ellipsis...)
	}
	return string(buf)
}

// NameLimit is how many bytes of a name a sentence has room for. The kernel's names have at most 15,
// those in the log of another host as many as a line.
const NameLimit = 64

// Name returns a name for a sentence.
func Name(name string) string { return string(AppendWord(nil, name, NameLimit)) }

// AppendWord appends a name or a path to a sentence. What could be taken for the sentence is in
// double quotes, as Go does it. Of a long text it takes as much as fits into the limit, and "…"
// follows.
func AppendWord(buf []byte, text string, limit int) []byte {
	if ordinary(text) {
		if len(text) <= limit {
			return append(buf, text...)
		}
		return append(append(buf, Cut(text, limit)...), ellipsis...)
	}
	return AppendQuoted(buf, text, limit)
}

// AppendWords is AppendWord for several words with one space between them, such as a command line. They
// are only safe where something follows that ends them, such as a parenthesis, which no ordinary word has.
func AppendWords(buf []byte, text string, limit int) []byte {
	for word := range strings.SplitSeq(text, " ") {
		if word == "" || !ordinary(word) {
			return AppendQuoted(buf, text, limit)
		}
	}
	if len(text) <= limit {
		return append(buf, text...)
	}
	return append(append(buf, strings.TrimRight(Cut(text, limit), " ")...), ellipsis...)
}

// AppendQuoted is AppendWord for what is always in double quotes.
func AppendQuoted(buf []byte, text string, limit int) []byte {
	buf, whole := quoted.append(append(buf, '"'), text, limit)
	buf = append(buf, '"')
	if !whole {
		buf = append(buf, ellipsis...)
	}
	return buf
}

// Cut returns as much of a text as fits into the limit, and ends with a whole character.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for end := limit; end > limit-utf8.UTFMax && end >= 0; end-- {
		if utf8.RuneStart(text[end]) {
			return text[:end]
		}
	}
	return text[:limit]
}

// ellipsis is no ordinary character, so outside of quotes it is always ours.
const ellipsis = "…"

// style says what is escaped besides what cannot be seen.
type style uint8

const (
	// loose escapes nothing else.
	loose style = iota
	// unforged escapes a backslash that would look like an escape.
	unforged
	// quoted escapes each backslash and each double quote.
	quoted
)

func (s style) text(text string) string {
	first := s.first(text)
	if first == len(text) {
		return text
	}
	buf := append(make([]byte, 0, len(text)+16), text[:first]...)
	buf, _ = s.append(buf, text[first:], math.MaxInt)
	return string(buf)
}

// first returns where the first character is that has to be escaped; the length if there is none.
func (s style) first(text string) int {
	i := 0
	for i < len(text) && classes[text[i]]&plain != 0 {
		i++
	}
	for i < len(text) {
		size, escape := s.next(text[i:])
		if escape {
			return i
		}
		i += size
	}
	return i
}

// next returns how many bytes the first character of a text has, and whether it has to be escaped.
// Bytes in a row that are no UTF-8 are one.
func (s style) next(text string) (size int, escape bool) {
	switch c := text[0]; {
	case c == '\\':
		return 1, s == quoted || s == unforged && forges(text[1:])
	case c == '"':
		return 1, s == quoted
	case classes[c]&plain != 0:
		return 1, false
	}
	r, size := utf8.DecodeRuneInString(text)
	if !invalid(text) {
		return size, unseen(r, size)
	}
	for size < len(text) && invalid(text[size:]) {
		size++
	}
	return size, true
}

// append appends as many characters as fit into the limit, and reports whether these are all.
func (s style) append(buf []byte, text string, limit int) ([]byte, bool) {
	begin := len(buf)
	for text != "" {
		end := len(buf)
		size, escape := s.next(text)
		if escape {
			buf = appendEscape(buf, text)
		} else {
			buf = append(buf, text[:size]...)
		}
		if len(buf)-begin > limit {
			return buf[:end], false
		}
		text = text[size:]
	}
	return buf, true
}

// invalid reports whether a text begins with a byte that is no UTF-8.
func invalid(text string) bool {
	r, size := utf8.DecodeRuneInString(text)
	return r == utf8.RuneError && size == 1
}

// appendEscape appends the first character of a text, escaped.
func appendEscape(buf []byte, text string) []byte {
	if invalid(text) {
		return utf8.AppendRune(buf, utf8.RuneError)
	}
	r, _ := utf8.DecodeRuneInString(text)
	if r == '\\' || r == '"' {
		return append(buf, '\\', text[0])
	}
	begin := len(buf)
	buf = strconv.AppendQuoteRuneToASCII(buf, r)
	copy(buf[begin:], buf[begin+1:]) // without its quotes
	return buf[:len(buf)-2]
}

// unseen reports whether a character is no UTF-8, or acts on what displays it, or is not displayed
// at all: controls, among them those of the direction of text, line separators, all spaces but the
// usual one, and characters that Unicode has but does not show.
func unseen(r rune, size int) bool {
	return r == utf8.RuneError && size == 1 || !strconv.IsPrint(r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// forges reports whether a backslash in front of a text would look like the beginning of an escape
// or, if an escape follows, like a part of that.
func forges(text string) bool {
	if text == "" {
		return false
	}
	switch text[0] {
	case '\\', 'a', 'b', 'f', 'n', 'r', 't', 'v', 'u', 'U':
		return true
	case 'x':
		code, err := strconv.ParseUint(text[1:min(len(text), 3)], 16, 8)
		return err == nil && (code < ' ' || code == 0x7f)
	}
	_, escape := unforged.next(text)
	return escape
}

// ordinary reports whether a text is one word that cannot be taken for anything else in a sentence.
func ordinary(text string) bool {
	i := 0
	for i < len(text) && classes[text[i]]&inWords != 0 {
		i++
	}
	for i < len(text) {
		if c := text[i]; c < utf8.RuneSelf {
			if classes[c]&inWords == 0 {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if unseen(r, size) || !unicode.IsLetter(r) && !unicode.IsNumber(r) && (i == 0 || !unicode.IsMark(r)) {
			return false
		}
		i += size
	}
	return true
}

const (
	// plain characters are never escaped outside of quotes.
	plain = 1 << iota
	// inWords are the characters of ordinary names and paths. "?" is none: it stands for a name
	// that is not known.
	inWords
)

// classes says what is known of a character by its first byte.
var classes = func() (classes [256]uint8) {
	for c := ' '; c < 0x7f; c++ {
		if c != '\\' {
			classes[c] |= plain
		}
		if !strings.ContainsRune(" \"'`\\,;?()[]{}<>", c) {
			classes[c] |= inWords
		}
	}
	return classes
}()
