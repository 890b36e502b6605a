// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// named hides the values of names that sound like secrets: name=value, name: value, "name": "value".
// If a name is the first thing in the text, whole says that its value is all the rest.
func (f *finder) named(t text, whole bool) {
	v, several, done, open := t.value, t.several(), 0, -1
	plain := until(v, 0, " \t\r\n\v\f({[<\"'`?&")
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '=', ':', '(':
		case '<':
			open = i
			continue
		case '>':
			i = f.element(t, open, i)
			open = -1
			continue
		default:
			continue
		}
		n := nameBefore(v, done, i)
		s := soundOf(n.name(v))
		if v[i] == '(' && n.logsIn(v) {
			s = strong
		}
		if s == harmless || s == weak && f.keys || n.part(v, i) {
			continue
		}
		if v[i] == '(' {
			if end := f.call(t, i+1, s); end > i {
				i, done = end-1, end
			}
			continue
		}
		start := valueAfter(v, i, several)
		first := !n.quoted && n.start <= plain
		start, end := n.value(v, start, first && (whole || !several), several)
		if !s.shown(v[start:end]) {
			f.hide(t, start, end)
		}
		if end > i {
			i, done = end-1, end
		}
	}
}

// call hides the texts that a function is called with, from an index on, and returns where the last of them
// ends: auth("user", "SECRET"). There are none in f(x).
func (f *finder) call(t text, at int, s sound) (end int) {
	v := t.value
	for {
		at = skip(v, at, blank)
		if name := skip(v, at, nameByte); quoteAt(v[at:]) == 0 { // a variable, or what is in front of b"SECRET"
			at = name
		}
		if length := quoteAt(v[at:]); length > 0 {
			from := at + length
			end = closing(v, from, v[at:from])
			if !s.shown(v[from:end]) {
				f.hide(t, from, end)
			}
			at = min(end+length, len(v))
		}
		at = skip(v, at, blank)
		if at == len(v) || v[at] != ',' {
			return end
		}
		at++
	}
}

// skip returns the index of the first byte that is not of a kind, or the end of the text.
func skip(v string, at int, kind func(byte) bool) int {
	for at < len(v) && kind(v[at]) {
		at++
	}
	return at
}

// element hides what is in <password> or <x:password type="y">, and returns where that ends. The < and the > are at indexes;
// there may be no <.
func (f *finder) element(t text, open, at int) int {
	v := t.value
	if open < 0 || v[at-1] == '/' { // <password/>
		return at
	}
	nameEnd := min(until(v, open+1, " \t\r\n\v\f>"), at)
	name := v[open+1 : nameEnd]
	if skip(name, 0, func(c byte) bool { return nameByte(c) || c == ':' }) < len(name) || soundOf(name) == harmless {
		return at
	}
	from := at + 1
	end := until(v, from, "<")
	attributes := skip(v, nameEnd, blank) < at
	if attributes && quoteAt(v[at-1:]) == 0 && !strings.HasPrefix(v[end:], "</") {
		return at // a shell reads from one file and writes to another: <secrets.sql a=b >f
	}
	for _, part := range [][2]string{{"<![CDATA[", "]]>"}, {"<!--", "-->"}, {"<!", "</"}} {
		if !strings.HasPrefix(v[end:], part[0]) {
			continue
		}
		length := strings.Index(v[end:], part[1])
		if length < 0 {
			length = len(v) - end
		}
		end += length
		end = until(v, end, "<")
		break
	}
	f.hide(t, from, end)
	return max(at, end-1)
}

// name is where a name stands.
type name struct {
	start, end int
	quoted     bool
}

func (n name) name(v string) string { return v[n.start:n.end] }

// logsIn reports whether a name is that of a function whose arguments are a user and a secret.
func (n name) logsIn(v string) bool {
	const login = "login"
	return n.end-n.start >= len(login) && strings.EqualFold(v[n.end-len(login):n.end], login)
}

// nameBefore returns the name before a separator. It looks no further back than to the floor.
func nameBefore(v string, floor, separator int) name {
	end := separator
	for end > floor && blank(v[end-1]) {
		end--
	}
	n := name{end: end}
	if end > floor && (v[end-1] == '"' || v[end-1] == '\'') {
		n.quoted = true
		end--
		if end > floor && v[end-1] == '\\' {
			end--
		}
		n.end = end
	}
	for end > floor && nameByte(v[end-1]) {
		end--
	}
	n.start = end
	return n
}

// nameByte reports whether a byte may be part of a name.
func nameByte(c byte) bool {
	return letterOrDigit(c) || c >= 0x80 || c == '_' || c == '-' || c == '.' || c == '[' || c == ']' || c == '$'
}

// part reports whether a name is a part of a path: /run/secrets:/run/secrets, but not /password:x.
func (n name) part(v string, separator int) bool {
	if v[separator] != ':' || n.start == 0 || v[n.start-1] != '/' {
		return false
	}
	return n.start > 1 && !blank(v[n.start-2]) || strings.HasPrefix(v[separator+1:], "/")
}

// valueAfter returns where the value after a separator begins.
func valueAfter(v string, separator int, several bool) int {
	at := separator + 1
	for at < len(v) && (v[at] == '>' && v[separator] == '=' || v[at] == '=' && v[separator] == ':' || several && blank(v[at])) {
		at++
	}
	return at
}

// value returns where a value begins and ends, without its quotes. It may be all the rest.
func (n name) value(v string, start int, rest, several bool) (from, end int) {
	start = afterScheme(v, start)
	if rest {
		return start, len(v)
	}
	open := start
	if next := v[open:]; len(next) > 1 && strings.IndexByte("bBfFrRuU@$", next[0]) >= 0 && (next[1] == '\'' || next[1] == '"') {
		open++ // b'...' and the like
	}
	if length := quoteAt(v[open:]); length > 0 {
		from = open + length
		return from, closing(v, from, v[open:from])
	}
	switch {
	case start < len(v) && (v[start] == '{' || v[start] == '['):
		return start, len(v)
	case n.start > 0 && (v[n.start-1] == '?' || v[n.start-1] == '&'):
		return start, parameterEnd(v, start)
	case n.quoted:
		return start, until(v, start, ",}] \t\r\n")
	case several:
		return start, max(until(v, start, " \t\r\n\v\f"), callEnd(v, start))
	}
	return start, len(v)
}

// callEnd returns where a call or a list ends that begins at an index: ("user", "SECRET"), Auth("user", "SECRET").
// If there is none, it returns the index.
func callEnd(v string, start int) int {
	at := skip(v, start, nameByte)
	if at == len(v) || v[at] != '(' || quoteAt(v[at+1:]) == 0 {
		return start
	}
	for open := 0; at < len(v); at++ {
		switch length := quoteAt(v[at:]); {
		case length > 0:
			at = closing(v, at+length, v[at:at+length]) + length - 1
		case v[at] == '(':
			open++
		case v[at] == ')':
			open--
			if open == 0 {
				return at + 1
			}
		}
	}
	return len(v)
}

// quoteAt returns the length of the quote that a text begins with.
func quoteAt(v string) int {
	switch {
	case v == "":
	case v[0] == '"', v[0] == '\'', v[0] == '`':
		return 1
	case v[0] == '\\' && len(v) > 1 && (v[1] == '"' || v[1] == '\''):
		return 2
	}
	return 0
}

// closing returns where the quote that opened before from is closed, or the end of the text.
func closing(v string, from int, quote string) int {
	for i := from; i < len(v); i++ {
		if strings.HasPrefix(v[i:], quote) {
			return i
		}
		if v[i] == '\\' {
			i++
		}
	}
	return len(v)
}

// until returns the index of the first of some bytes, or the end of the text.
func until(v string, from int, stops string) int {
	if length := strings.IndexAny(v[from:], stops); length >= 0 {
		return from + length
	}
	return len(v)
}

// parameterEnd returns where the value of a link's parameter ends. An & ends it only if a name
// follows: people forget to encode the one in their password.
func parameterEnd(v string, from int) int {
	for i := from; i < len(v); i++ {
		switch c := v[i]; {
		case blank(c), c == '"', c == '\'', c == '<', c == '>':
			return i
		case c == '&':
			next := i + 1
			for next < len(v) && (nameByte(v[next]) || v[next] == '%') {
				next++
			}
			if next > i+1 && next < len(v) && v[next] == '=' {
				return i
			}
			i = next - 1
		}
	}
	return len(v)
}

// schemes are words between the name of a header and its secret.
var schemes = []string{
	"apikey", "aws4-hmac-sha256", "basic", "bearer", "digest", "dpop", "hmac", "key", "negotiate", "ntlm", "splunk", "token",
}

// scheme reports whether a word says how a secret that follows is to be used.
func scheme(word string) bool {
	for _, known := range schemes {
		if strings.EqualFold(word, known) {
			return true
		}
	}
	return false
}

// afterScheme returns where the secret begins in a text such as Bearer SECRET.
func afterScheme(v string, start int) int {
	end := min(start+len("aws4-hmac-sha256")+1, len(v))
	length := strings.IndexByte(v[start:end], ' ')
	if length <= 0 || !scheme(v[start:start+length]) {
		return start
	}
	for start += length; start < len(v) && blank(v[start]); {
		start++
	}
	return start
}
