// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import (
	"bytes"
	"errors"
	"strconv"
)

// ErrMalformed is returned for bytes that are not an audit record.
var ErrMalformed = errors.New("malformed audit record")

// Stamp identifies an event together with the node that wrote it. The serial
// alone does not: it restarts at every boot.
type Stamp struct {
	// Milliseconds since 1970.
	Milliseconds int64
	// Serial is the kernel's event number.
	Serial uint32
}

// Record is one line of an audit log, parsed as far as all records are alike.
type Record struct {
	Type  Type
	Stamp Stamp
	// Node is the value of node=, which auditd writes if name_format says so.
	Node []byte
	// Head is how all records of the event begin after the type: "msg=audit(...):", without
	// msg= if it comes from the kernel.
	Head []byte
	// Fields is everything after "msg=audit(...):", with the interpretation that auditd
	// appends under log_format=ENRICHED.
	Fields []byte
	// Cut is true if the end of the line is missing.
	Cut bool
}

var (
	nodePrefix = []byte("node=")
	typePrefix = []byte("type=")
	msgPrefix  = []byte("msg=audit(")
)

// Parse parses a line, without its line feed. It returns ErrMalformed if the line is not an
// audit record.
func Parse(line []byte) (Record, error) {
	t, node, rest := Split(line)
	if t == TypeNone {
		return Record{}, ErrMalformed
	}
	return ParseMessage(t, node, rest)
}

// ParseMessage parses what follows the type: "msg=audit(...): fields", or the same without
// "msg=" as the kernel sends it.
func ParseMessage(t Type, node, message []byte) (Record, error) {
	whole := message
	if !bytes.HasPrefix(message, msgPrefix) {
		if !bytes.HasPrefix(message, msgPrefix[len("msg="):]) {
			return Record{}, ErrMalformed
		}
		message = message[len("audit("):]
	} else {
		message = message[len(msgPrefix):]
	}
	stamp, rest, ok := parseStamp(message)
	if !ok {
		return Record{}, ErrMalformed
	}
	return Record{Type: t, Stamp: stamp, Node: node, Head: whole[:len(whole)-len(rest)], Fields: rest}, nil
}

// Split splits "[node=N ]type=T message", whatever other programs have put before it. The type is
// TypeNone if the line has another form. It is called for every line of a log, few of which matter; ParseMessage continues
// from there.
func Split(line []byte) (t Type, node, message []byte) {
	if !bytes.HasPrefix(line, typePrefix) && !bytes.HasPrefix(line, nodePrefix) {
		line = withoutPrefix(line)
	}
	if !bytes.HasPrefix(line, typePrefix) {
		if !bytes.HasPrefix(line, nodePrefix) {
			return TypeNone, nil, nil
		}
		space := bytes.IndexByte(line, ' ')
		if space < 0 || !bytes.HasPrefix(line[space+1:], typePrefix) {
			return TypeNone, nil, nil
		}
		node, line = line[len(nodePrefix):space], line[space+1:]
	}
	line = line[len(typePrefix):]
	space := bytes.IndexByte(line, ' ')
	if space <= 0 {
		return TypeNone, nil, nil
	}
	return typeByName(line[:space]), node, line[space+1:]
}

// AppendLine appends a record from the kernel in the form in which auditd logs it.
func AppendLine(to []byte, t Type, message []byte) []byte {
	to = append(append(to, typePrefix...), t.String()...)
	return append(append(to, " msg="...), message...)
}

// parseStamp reads "1450214919.813:148): fields".
func parseStamp(text []byte) (Stamp, []byte, bool) {
	seconds, rest, ok1 := cutUint(text, '.')
	if len(rest) < len("000:") || rest[len("000")] != ':' {
		return Stamp{}, nil, false
	}
	millis, rest, ok2 := cutUint(rest, ':')
	serial, rest, ok3 := cutUint(rest, ')')
	// Later than in 2554 a time would overflow OTLP's nanoseconds; it is the sign of a damaged
	// line.
	const latest = 1<<64/1_000_000_000 - 1
	if !ok1 || !ok2 || !ok3 || seconds > latest || serial > 1<<32-1 {
		return Stamp{}, nil, false
	}
	if len(rest) > 0 && rest[0] == ':' {
		rest = rest[1:]
	}
	return Stamp{Milliseconds: int64(seconds)*1000 + int64(millis), Serial: uint32(serial)}, rest, true
}

// cutUint parses a decimal number up to the byte that must end it, and returns what follows
// that byte.
func cutUint(text []byte, end byte) (n uint64, rest []byte, ok bool) {
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9' && i < maxDigits:
			n = n*10 + uint64(c-'0')
		case c == end && i > 0:
			return n, text[i+1:], true
		default:
			return 0, nil, false
		}
	}
	return 0, nil, false
}

// maxDigits is how many decimal digits always fit into 64 bits.
const maxDigits = 19

// parseUint parses a decimal number that takes up all of text.
func parseUint(text []byte) (uint64, bool) {
	if len(text) == 0 || len(text) > maxDigits {
		return 0, false
	}
	var n uint64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// parseInt parses a decimal number with an optional minus sign.
func parseInt(text []byte) (int64, bool) {
	if len(text) > 0 && text[0] == '-' {
		n, ok := parseUint(text[1:])
		return -int64(n), ok && n <= 1<<63-1
	}
	n, ok := parseUint(text)
	return int64(n), ok && n <= 1<<63-1
}

// parseHex parses a hexadecimal number without 0x, as the kernel's %lx prints it.
func parseHex(text []byte) (uint64, bool) {
	if len(text) == 0 || len(text) > 16 {
		return 0, false
	}
	var n uint64
	for _, c := range text {
		d := hexDigit(c)
		if d > 15 {
			return 0, false
		}
		n = n<<4 | uint64(d)
	}
	return n, true
}

// parseID parses a user or session id. OBJ_PID writes an unset one as -1, SYSCALL as
// 4294967295 (kernel/auditsc.c, audit_log_pid_context).
func parseID(text []byte) (uint32, bool) {
	n, ok := parseInt(text)
	if !ok || n < -1 || n > 1<<32-1 {
		return 0, false
	}
	return uint32(n), true
}

// parsePID parses a process id, which is never more than 2^22 (PID_MAX_LIMIT) and always
// fits into 31 bits.
func parsePID(text []byte) (int, bool) {
	n, ok := parseUint(text)
	return int(n), ok && n <= 1<<31-1
}

// String returns the stamp as audit writes it: seconds.millis:serial.
func (s Stamp) String() string {
	buf := strconv.AppendInt(make([]byte, 0, 32), s.Milliseconds/1000, 10)
	millis := strconv.Itoa(int(s.Milliseconds%1000) + 1000)
	buf = append(append(buf, '.'), millis[1:]...)
	return string(strconv.AppendUint(append(buf, ':'), uint64(s.Serial), 10))
}
