// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package dbus

import (
	"encoding/binary"
	"strings"
)

const (
	// maxDepth is how deep values may be nested, less than what the specification allows.
	maxDepth = 32
	// maxText is the longest text that is taken. Names and paths are shorter.
	maxText = 4096
	// maxSteps bounds the values that are read of one message: nothing of use has more, and a message
	// may consist of empty ones.
	maxSteps = 1 << 16
)

// Body reads the values of a message one after the other. Once something is not as expected, all that is
// read is empty, and Failed is true.
type Body struct {
	data  []byte
	order binary.ByteOrder
	// base is the place of data in the message, at its place in data.
	base, at int
	// signature has the types of what is left to read.
	signature string
	failed    bool
	steps     int
}

// Value is the first text and the first number in a variant. Nothing that is asked for here has more.
type Value struct {
	Text   string
	Number uint64
}

// Failed reports whether something was not as expected.
func (b *Body) Failed() bool { return b.failed }

// Holds reports whether the next types are those of a signature.
func (b *Body) Holds(signature string) bool { return strings.HasPrefix(b.signature, signature) }

// Text reads a string, an object path or a signature.
func (b *Body) Text() string {
	switch b.next("sog") {
	case 's', 'o':
		return b.text(b.length())
	case 'g':
		return b.text(int(b.fixed(1)))
	}
	return ""
}

// Number reads an integer or a boolean. One with a sign is extended to 64 bits.
func (b *Body) Number() uint64 {
	switch b.next("ybnqiuxth") {
	case 'y':
		return b.fixed(1)
	case 'n':
		return uint64(int16(b.fixed(2)))
	case 'q':
		return b.fixed(2)
	case 'i':
		return uint64(int32(b.fixed(4)))
	case 'b', 'u', 'h':
		return b.fixed(4)
	case 'x', 't':
		return b.fixed(8)
	}
	return 0
}

// Value reads a variant.
func (b *Body) Value() Value {
	var v Value
	b.variant(func() { b.walk(&v, 0) })
	return v
}

// Texts reads a variant with an array of strings, but only some of these.
func (b *Body) Texts(most int) []string {
	var all []string
	b.variant(func() {
		b.Each(func() {
			if len(all) < most {
				all = append(all, b.Text())
			}
		})
	})
	return all
}

// Each reads an array: it calls read for each element, which need not read all of it.
func (b *Body) Each(read func()) {
	if b.next("a") == 0 {
		return
	}
	element, after := cut(b.signature)
	end := b.array(element)
	for !b.failed && b.at < end {
		begin := b.at
		b.signature = element
		read()
		b.walk(nil, 0) // what is left of it
		if b.at == begin || b.at > end {
			b.fail()
		}
	}
	if !b.failed {
		b.signature = after
	}
}

// Properties reads an array of names with variants (a{sv}).
func (b *Body) Properties(take func(name string, value Value)) {
	b.Each(func() {
		name, value := b.Text(), b.Value()
		if !b.failed {
			take(name, value)
		}
	})
}

func (b *Body) fail() { b.failed, b.signature, b.at = true, "", len(b.data) }

// next takes the next type, which must be one of some kinds. It enters and leaves structures.
func (b *Body) next(kinds string) byte {
	b.enter()
	b.steps++
	if b.signature == "" || b.steps > maxSteps || strings.IndexByte(kinds, b.signature[0]) < 0 {
		b.fail()
		return 0
	}
	kind := b.signature[0]
	b.signature = b.signature[1:]
	return kind
}

// enter passes the beginnings and ends of structures and dictionary entries.
func (b *Body) enter() {
	for b.signature != "" {
		kind := b.signature[0]
		switch kind {
		case '(', ')', '{', '}':
			b.signature = b.signature[1:]
		default:
			return
		}
		if kind == '(' || kind == '{' {
			b.seek(alignment)
		}
	}
}

// walk reads all that is left of the signature. It keeps the first text and number in v, which may be nil.
func (b *Body) walk(v *Value, depth int) {
	if depth > maxDepth {
		b.fail()
		return
	}
	var text, number bool
	for b.enter(); b.signature != "" && !b.failed; b.enter() {
		switch b.signature[0] {
		case 's', 'o', 'g':
			if t := b.Text(); v != nil && !text {
				v.Text, text = t, true
			}
		case 'v':
			b.variant(func() { b.walk(nil, depth+1) })
		case 'a':
			b.next("a")
			element, after := cut(b.signature)
			end := b.array(element)
			if b.failed {
				return
			}
			b.at, b.signature = end, after
		case 'd':
			b.next("d")
			b.fixed(8)
		default:
			if n := b.Number(); v != nil && !number {
				v.Number, number = n, true
			}
		}
	}
}

// variant reads what is in a variant.
func (b *Body) variant(read func()) {
	if b.next("v") == 0 {
		return
	}
	after := b.signature
	b.signature = b.text(int(b.fixed(1)))
	if first, rest := cut(b.signature); first == "" || rest != "" {
		b.fail()
		return
	}
	read()
	if !b.failed {
		b.signature = after
	}
}

// array reads the length of an array, and returns its end.
func (b *Body) array(element string) int {
	if element == "" {
		b.fail()
		return b.at
	}
	n := b.length()
	b.seek(alignmentOf(element[0]))
	if b.failed || n > len(b.data)-b.at {
		b.fail()
		return b.at
	}
	return b.at + n
}

// length reads the length of a string or an array.
func (b *Body) length() int { return int(b.fixed(4)) }

// seek passes padding.
func (b *Body) seek(to int) {
	if at := align(b.base+b.at, to) - b.base; at <= len(b.data) {
		b.at = at
		return
	}
	b.fail()
}

// fixed reads a number of 1, 2, 4 or 8 bytes.
func (b *Body) fixed(width int) uint64 {
	b.seek(width)
	if b.failed || len(b.data)-b.at < width {
		b.fail()
		return 0
	}
	data := b.data[b.at:]
	b.at += width
	switch width {
	case 1:
		return uint64(data[0])
	case 2:
		return uint64(b.order.Uint16(data))
	case 4:
		return uint64(b.order.Uint32(data))
	}
	return b.order.Uint64(data)
}

// text reads a text of some length with the NUL after it. A text that is too long is empty.
func (b *Body) text(length int) string {
	if b.failed || length >= len(b.data)-b.at {
		b.fail()
		return ""
	}
	text := b.data[b.at : b.at+length]
	b.at += length + 1
	if length > maxText {
		return ""
	}
	return string(text)
}

// cut cuts the first complete type off a signature; it is empty if there is none.
func cut(signature string) (first, rest string) {
	depth := 0
	for i := range len(signature) {
		switch signature[i] {
		case 'a':
			continue
		case '(', '{':
			depth++
		case ')', '}':
			depth--
		}
		if depth < 0 {
			return "", ""
		}
		if depth == 0 {
			return signature[:i+1], signature[i+1:]
		}
	}
	return "", ""
}

// alignmentOf returns the alignment of values of a type.
func alignmentOf(kind byte) int {
	switch kind {
	case 'y', 'g', 'v':
		return 1
	case 'n', 'q':
		return 2
	case 'x', 't', 'd', '(', '{':
		return alignment
	}
	return 4
}
