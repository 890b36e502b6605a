// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import "bytes"

// interpretationSeparator separates the kernel's fields from auditd's interpretation of
// them (lib/libaudit.h, AUDIT_INTERP_SEPARATOR). Some forwarders lose it. The keys of an
// interpretation are upper case, so that both parts can be read in one pass.
const interpretationSeparator = 0x1d

// fields iterates over the key=value pairs of a record.
type fields struct {
	rest []byte
	// unclosed is set when a quoted value had no closing quote.
	unclosed bool
}

// next returns the next pair, the value with its quotes if it has any. It skips words
// without an equals sign.
func (f *fields) next() (key, value []byte, ok bool) {
	text := f.rest
	start := 0
	for i, c := range text {
		switch {
		case c == '=':
			f.rest = text[i+1:]
			return text[start:i], f.value(), true
		case separates(c):
			start = i + 1
		}
	}
	f.rest = nil
	return nil, nil, false
}

// separates reports whether c ends a word. The first comparison decides for almost every byte.
func separates(c byte) bool { return c <= ' ' && (c == ' ' || c == interpretationSeparator) }

func (f *fields) value() []byte {
	text := f.rest
	if len(text) == 0 {
		return nil
	}
	switch quote := text[0]; quote {
	case '"', '\'':
		end := bytes.IndexByte(text[1:], quote)
		if end < 0 {
			f.rest, f.unclosed = nil, true
			return text
		}
		f.rest = text[end+2:]
		return text[:end+2]
	case '(':
		// The separator may be missing after this one: key=(null)ARCH=x86_64.
		if bytes.HasPrefix(text, null) {
			f.rest = text[len(null):]
			return null
		}
	}
	end := wordEnd(text)
	// AppArmor's labels contain a space: subj=docker-default (enforce).
	if end+1 < len(text) && text[end+1] == '(' && text[end] == ' ' {
		if closing := bytes.IndexByte(text[end:], ')'); closing > 0 {
			end += closing + 1
		}
	}
	end = beforeInterpretation(text[:end])
	f.rest = text[end:]
	return text[:end]
}

// firstInterpreted are the keys that an interpretation can begin with.
var firstInterpreted = [][]byte{[]byte("OAUID="), []byte("AUID="), []byte("ARCH=")}

// beforeInterpretation returns where a bare value ends if the separator after it was lost:
// ocomm=6D79OAUID="unset".
func beforeInterpretation(word []byte) int {
	if bytes.IndexByte(word, '=') < 0 {
		return len(word)
	}
	for _, key := range firstInterpreted {
		if i := bytes.Index(word, key); i > 0 {
			return i
		}
	}
	return len(word)
}

func wordEnd(text []byte) int {
	for i, c := range text {
		if separates(c) {
			return i
		}
	}
	return len(text)
}

var null = []byte("(null)")

// Decode appends the text of an untrusted field to buf: a quoted value as it is, a bare one
// decoded from hexadecimal, which the kernel writes if the text contains a space, a quote
// or a byte outside 0x21 to 0x7e (kernel/audit.c, audit_log_n_untrustedstring). The
// kernel's (null) is no text; in quotes it is the name of a process. It returns false if
// the value was cut short, and still appends what there is of it.
func Decode(buf, value []byte) ([]byte, bool) {
	if len(value) == 0 || bytes.Equal(value, null) {
		return buf, true
	}
	if quote := value[0]; quote == '"' || quote == '\'' {
		text := value[1:]
		closed := len(text) > 0 && text[len(text)-1] == quote
		if closed {
			text = text[:len(text)-1]
		}
		return append(buf, text...), closed
	}
	return decodeHex(buf, value)
}

func decodeHex(buf, value []byte) ([]byte, bool) {
	start := len(buf)
	for i := 0; i+1 < len(value); i += 2 {
		high, low := hexDigit(value[i]), hexDigit(value[i+1])
		if high > 15 || low > 15 {
			// Not hexadecimal at all: some tools write plain words bare.
			return append(buf[:start], value...), true
		}
		buf = append(buf, high<<4|low)
	}
	if len(value)%2 != 0 && hexDigit(value[len(value)-1]) > 15 {
		return append(buf[:start], value...), true
	}
	return buf, len(value)%2 == 0
}

// hexDigit returns the value of a hexadecimal digit, or more than 15.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// Unquote returns a value without its quotes.
func Unquote(value []byte) []byte {
	if len(value) >= 2 && value[0] == value[len(value)-1] && (value[0] == '"' || value[0] == '\'') {
		return value[1 : len(value)-1]
	}
	return value
}
