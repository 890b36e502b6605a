// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// text is a part of a title, perhaps without the quotes and escapes that it was written with. It
// knows where in the title each of its bytes is.
type text struct {
	value string
	// start is where it begins, if it is a part of the title as it stands.
	start int
	// places are where its bytes begin otherwise, and where the last one ends.
	places []int32
}

func (t text) place(i int) int {
	if t.places == nil {
		return t.start + i
	}
	return int(t.places[i])
}

func (t text) part(from, to int) text {
	p := text{value: t.value[from:to], start: t.start + from}
	if t.places != nil {
		p.places = t.places[from : to+1]
	}
	return p
}

// several reports whether there is white space in it.
func (t text) several() bool {
	for i := range len(t.value) {
		if blank(t.value[i]) {
			return true
		}
	}
	return false
}

// builder makes a text of single bytes of another one.
type builder struct {
	source text
	value  []byte
	places []int32
	end    int
}

// add appends a byte that is written as source.value[from:to].
func (b *builder) add(c byte, from, to int) {
	b.value = append(b.value, c)
	b.places = append(b.places, int32(b.source.place(from)))
	b.end = b.source.place(to)
}

func (b *builder) text() text {
	if len(b.value) == 0 {
		return text{}
	}
	return text{value: string(b.value), places: append(b.places, int32(b.end))}
}

// decoded returns a text with %40, \u0040 and the like replaced, and whether there was any.
func (t text) decoded() (text, bool) {
	b, found := builder{source: t}, false
	for i := 0; i < len(t.value); {
		c, length := t.value[i], 1
		if c == '%' || c == '\\' {
			c, length = unescape(t.value[i:])
			found = found || length > 1
		}
		b.add(c, i, i+length)
		i += length
	}
	return b.text(), found
}

// unescape returns the byte that %40 or \u0040 at the start of a text stands for, and the length of
// that.
func unescape(s string) (c byte, length int) {
	digits := len("%")
	if s[0] == '\\' {
		digits = len(`\u00`)
		if !strings.HasPrefix(s, `\u00`) {
			return s[0], 1
		}
	}
	if len(s) < digits+2 {
		return s[0], 1
	}
	high, low := hexDigit(s[digits]), hexDigit(s[digits+1])
	if high < 0 || low < 0 {
		return s[0], 1
	}
	return byte(high<<4 | low), digits + 2
}

// hexDigit returns the value of a hexadecimal digit, or -1.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

func blank(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
