// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// kind says what a piece of a shell's command line is.
type kind int

const (
	word       kind = iota
	pipe            // |
	ending          // && || ; & ( ) ` and the end of a line
	redirect        // < > >>
	hereString      // <<<
	hereText        // <<EOF
)

// piece is a word or an operator.
type piece struct {
	text
	kind kind
}

// splitter splits a text into pieces as a shell does, but never fails: what is not closed ends
// where the text ends.
type splitter struct {
	source    text
	at        int
	operators bool
}

// words returns the words of a text.
func words(t text) []text {
	var all []text
	s := splitter{source: t}
	for {
		next, ok := s.next()
		if !ok {
			return all
		}
		all = append(all, next.text)
	}
}

func (s *splitter) next() (piece, bool) {
	v := s.source.value
	for s.at < len(v) && blank(v[s.at]) && (!s.operators || v[s.at] != '\n') {
		s.at++
	}
	if s.at == len(v) {
		return piece{}, false
	}
	if s.operators && operator(v[s.at]) {
		return piece{kind: s.operator()}, true
	}
	return piece{text: s.word()}, true
}

// operator reports whether a byte ends a word in a shell and is no white space.
func operator(c byte) bool {
	switch c {
	case '|', '&', ';', '<', '>', '(', ')', '`', '\n':
		return true
	}
	return false
}

// operator reads an operator.
func (s *splitter) operator() kind {
	rest := s.source.value[s.at:]
	for _, known := range []struct {
		text string
		kind kind
	}{
		{"<<<", hereString},
		{"<<", hereText},
		{">>", redirect},
		{">&", redirect},
		{"||", ending},
		{"|&", pipe},
		{"|", pipe},
		{"<", redirect},
		{">", redirect},
	} {
		if strings.HasPrefix(rest, known.text) {
			s.at += len(known.text)
			return known.kind
		}
	}
	s.at++
	return ending
}

// ends reports whether a word ends at a byte.
func (s *splitter) ends(at int) bool {
	v := s.source.value
	return at >= len(v) || blank(v[at]) || s.operators && operator(v[at])
}

func (s *splitter) word() text {
	v, begin := s.source.value, s.at
	if quote := v[begin]; quote == '\'' || quote == '"' { // mostly, quotes are around a whole word
		inner := v[begin+1:]
		if end := strings.IndexByte(inner, quote); end >= 0 && s.ends(begin+end+2) &&
			(quote == '\'' || strings.IndexByte(inner[:end], '\\') < 0) {
			s.at = begin + end + 2
			return s.source.part(begin+1, begin+1+end)
		}
	}
	for at := begin; ; at++ {
		if s.ends(at) {
			if strings.HasPrefix(v[at:], "()") && strings.EqualFold(v[begin:at], "current_user") {
				at++ // in SQL, not a function of the shell
				continue
			}
			s.at = at
			return s.source.part(begin, at)
		}
		if c := v[at]; c == '\'' || c == '"' || c == '\\' {
			return s.quoted()
		}
	}
}

// quoted reads a word that has quotes or escapes in it.
func (s *splitter) quoted() text {
	v := s.source.value
	b := builder{source: s.source}
	for !s.ends(s.at) {
		rest := v[s.at:]
		switch {
		case rest[0] == '\'':
			s.single(&b)
		case rest[0] == '"':
			s.double(&b)
		case strings.HasPrefix(rest, "$'"):
			s.at++
			s.ansi(&b)
		case strings.HasPrefix(rest, `$"`):
			s.at++
		case rest[0] == '\\' && len(rest) > 1:
			b.add(rest[1], s.at, s.at+2)
			s.at += 2
		default:
			b.add(rest[0], s.at, s.at+1)
			s.at++
		}
	}
	return b.text()
}

// single reads '...', in which nothing is special.
func (s *splitter) single(b *builder) {
	v := s.source.value
	for s.at++; s.at < len(v) && v[s.at] != '\''; s.at++ {
		b.add(v[s.at], s.at, s.at+1)
	}
	s.at = min(s.at+1, len(v))
}

// double reads "...", in which a backslash escapes some characters.
func (s *splitter) double(b *builder) {
	v := s.source.value
	s.at++
	for s.at < len(v) && v[s.at] != '"' {
		length := 1
		if v[s.at] == '\\' && s.at+1 < len(v) && strings.IndexByte("\\\"$`", v[s.at+1]) >= 0 {
			length = 2
		}
		b.add(v[s.at+length-1], s.at, s.at+length)
		s.at += length
	}
	s.at = min(s.at+1, len(v))
}

// ansi reads $'...' from the quote on, in which \x41 and the like are characters.
func (s *splitter) ansi(b *builder) {
	v := s.source.value
	s.at++
	for s.at < len(v) && v[s.at] != '\'' {
		c, length := v[s.at], 1
		if c == '\\' && s.at+1 < len(v) {
			c, length = escape(v[s.at:])
		}
		b.add(c, s.at, s.at+length)
		s.at += length
	}
	s.at = min(s.at+1, len(v))
}

// escape returns what an escape at the start of a text stands for, and its length.
func escape(v string) (c byte, length int) {
	switch c = v[1]; {
	case c == 'n', c == 't', c == 'r':
		return ' ', 2 // the words are the same
	case c == 'x' && len(v) > 3 && hexDigit(v[2]) >= 0 && hexDigit(v[3]) >= 0:
		return byte(hexDigit(v[2])<<4 | hexDigit(v[3])), 4
	case '0' <= c && c <= '7':
		value := 0
		for length = 1; length < 4 && length < len(v) && '0' <= v[length] && v[length] <= '7'; length++ {
			value = value<<3 | int(v[length]-'0')
		}
		return byte(value), length
	}
	return c, 2
}
