// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package managercall

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Parts of a message (https://dbus.freedesktop.org/doc/dbus-specification.html#message-protocol).
const (
	headerSize = 16
	alignment  = 8
	version    = 1
	typeCall   = 1

	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldDestination = 6
	fieldSignature   = 8

	// maxMessage is the largest message that the protocol allows.
	maxMessage = 128 << 20
	// mostArguments is as many as are ever of interest.
	mostArguments = 4
)

// handshakes are the lines that a client sends before its first message.
var handshakes = []string{"AUTH", "CANCEL", "DATA", "ERROR", "NEGOTIATE_UNIX_FD"}

// skipHandshake returns what follows the lines by which a client proves who it is.
func skipHandshake(sent []byte) []byte {
	rest := bytes.TrimPrefix(sent, []byte{0})
	for {
		line, after, whole := bytes.Cut(rest, []byte("\r\n"))
		if !whole {
			return rest
		}
		if string(line) == "BEGIN" {
			return after
		}
		if !isHandshake(line) {
			return rest
		}
		rest = after
	}
}

func isHandshake(line []byte) bool {
	word, _, _ := bytes.Cut(line, []byte(" "))
	return slices.Contains(handshakes, string(word))
}

// methods calls add with each method call in what is sent. The last one may be cut.
func methods(sent []byte, add func(*Method)) {
	for len(sent) >= headerSize && sent[3] == version {
		var order binary.ByteOrder
		switch sent[0] {
		case 'l':
			order = binary.LittleEndian
		case 'B':
			order = binary.BigEndian
		default:
			return
		}
		fields, body := int64(order.Uint32(sent[12:])), int64(order.Uint32(sent[4:]))
		begin := align(headerSize+fields, alignment)
		if begin+body > maxMessage {
			return
		}
		if sent[1] == typeCall {
			m, signature := header(reader{upTo(sent, headerSize+fields), order, headerSize})
			if begin < int64(len(sent)) {
				m.Arguments = arguments(reader{upTo(sent, begin+body), order, int(begin)}, signature)
			}
			add(m)
		}
		sent = sent[min(int64(len(sent)), begin+body):]
	}
}

func upTo(sent []byte, end int64) []byte { return sent[:min(int64(len(sent)), end)] }

func align(n, to int64) int64 { return (n + to - 1) / to * to }

// header reads the fields of a message, of which not all may be there.
func header(r reader) (m *Method, signature string) {
	m = &Method{}
	for r.at < len(r.data) {
		r.align(alignment)
		code := r.byte()
		kind, ok := r.short()
		if !ok {
			break
		}
		switch kind {
		case "s", "o":
			text, ok := r.text()
			if !ok {
				return m, signature
			}
			m.set(code, text)
		case "g":
			text, ok := r.short()
			if !ok {
				return m, signature
			}
			if code == fieldSignature {
				signature = text
			}
		case "u":
			r.number()
		default:
			return m, signature
		}
	}
	return m, signature
}

func (m *Method) set(code byte, text string) {
	switch code {
	case fieldPath:
		m.Path = text
	case fieldInterface:
		m.Interface = text
	case fieldMember:
		m.Member = text
	case fieldDestination:
		m.Destination = text
	}
}

// arguments reads the first arguments of a message, as far as they are texts and numbers.
func arguments(r reader, signature string) []any {
	var all []any
	for _, kind := range signature {
		if len(all) == mostArguments {
			break
		}
		switch kind {
		case 's', 'o':
			text, ok := r.text()
			if !ok {
				return all
			}
			all = append(all, text)
		case 'i', 'u', 'b':
			number, ok := r.number()
			if !ok {
				return all
			}
			if kind == 'i' {
				all = append(all, int64(int32(number)))
				continue
			}
			all = append(all, int64(number))
		default:
			return all
		}
	}
	return all
}

// reader reads the values of a message, one after the other.
type reader struct {
	data  []byte
	order binary.ByteOrder
	at    int
}

func (r *reader) align(to int) { r.at = (r.at + to - 1) / to * to }

// take returns the next bytes; nil if there are not so many.
func (r *reader) take(n uint32) []byte {
	if r.at > len(r.data) || uint64(n) > uint64(len(r.data)-r.at) {
		r.at = len(r.data)
		return nil
	}
	r.at += int(n)
	return r.data[r.at-int(n) : r.at]
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) number() (uint32, bool) {
	r.align(4)
	b := r.take(4)
	if b == nil {
		return 0, false
	}
	return r.order.Uint32(b), true
}

// text reads a text, which a NUL follows.
func (r *reader) text() (string, bool) {
	length, ok := r.number()
	if !ok {
		return "", false
	}
	return r.ended(length)
}

// short reads a signature.
func (r *reader) short() (string, bool) {
	b := r.take(1)
	if b == nil {
		return "", false
	}
	return r.ended(uint32(b[0]))
}

func (r *reader) ended(length uint32) (string, bool) {
	text, end := r.take(length), r.take(1)
	if text == nil || end == nil || end[0] != 0 {
		return "", false
	}
	return string(text), true
}
