// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import "bytes"

// interpretationSeparator stands between the kernel's fields and auditd's
// interpretation of them (lib/libaudit.h, AUDIT_INTERP_SEPARATOR). Some
// forwarders lose it; the keys of an interpretation are upper case, so that
// both sides can be read in one pass.
const interpretationSeparator = 0x1d

// fields walks over the key=value pairs of a record.
type fields struct {
	rest []byte
	// unclosed is set when a quoted value had no closing quote.
	unclosed bool
}

// next returns the next pair, the value with its quotes if it has any.
func (f *fields) next() (key, value []byte, ok bool) {
	for len(f.rest) > 0 {
		if c := f.rest[0]; c == ' ' || c == interpretationSeparator {
			f.rest = f.rest[1:]
			continue
		}
		key, ok = f.key()
		if ok {
			return key, f.value(), true
		}
	}
	return nil, nil, false
}

// key takes "key=" off the front. A word without an equals sign is skipped.
func (f *fields) key() ([]byte, bool) {
	for i, c := range f.rest {
		switch c {
		case '=':
			key := f.rest[:i]
			f.rest = f.rest[i+1:]
			return key, true
		case ' ', interpretationSeparator:
			f.rest = f.rest[i:]
			return nil, false
		}
	}
	f.rest = nil
	return nil, false
}

func (f *fields) value() []byte {
	text := f.rest
	if len(text) == 0 {
		return nil
	}
	if quote := text[0]; quote == '"' || quote == '\'' {
		end := bytes.IndexByte(text[1:], quote)
		if end < 0 {
			f.rest, f.unclosed = nil, true
			return text
		}
		f.rest = text[end+2:]
		return text[:end+2]
	}
	// The separator may be missing behind this one: key=(null)ARCH=x86_64.
	if bytes.HasPrefix(text, null) {
		f.rest = text[len(null):]
		return null
	}
	end := f.wordEnd()
	// AppArmor's labels hold a space: subj=docker-default (enforce).
	if end+1 < len(text) && text[end] == ' ' && text[end+1] == '(' {
		if closing := bytes.IndexByte(text[end:], ')'); closing > 0 {
			end += closing + 1
		}
	}
	f.rest = text[end:]
	return text[:end]
}

func (f *fields) wordEnd() int {
	for i, c := range f.rest {
		if c == ' ' || c == interpretationSeparator {
			return i
		}
	}
	return len(f.rest)
}

var null = []byte("(null)")

// Decode appends the text of an untrusted field to buf: a quoted value as it
// stands, a bare one from hexadecimal, which the kernel writes when the text
// holds a space, a quote or a byte outside of 0x21 to 0x7e (kernel/audit.c,
// audit_log_n_untrustedstring). The kernel's (null) is no text. It reports
// false if the value was cut short; what there was of it is still appended.
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
		if bytes.Equal(text, null) {
			text = nil
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
