// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
)

const (
	// maxTexts bounds how many texts are remembered. A host has few programs, users and
	// labels; the bound matters only for a log full of nonsense.
	maxTexts = 4096
	// maxTextLength is the longest text worth remembering.
	maxTextLength = 256
)

// texts decodes the text fields of records and remembers the result, because the same few
// commands, paths and users recur.
type texts struct {
	// decoded holds untrusted fields, plainly those that are never encoded.
	decoded, plainly memory
	buffer           []byte
}

// decode returns the text of an untrusted field, and false if the value was cut short.
func (t *texts) decode(value []byte) (string, bool) {
	if len(value) == 0 {
		return "", true
	}
	if text, ok := t.decoded.texts[string(value)]; ok {
		return text, true
	}
	text, whole := t.once(value)
	if whole {
		t.decoded.keep(value, text)
	}
	return text, whole
}

// once is decode for texts that rarely recur, such as command lines.
func (t *texts) once(value []byte) (string, bool) {
	decoded, whole := auditrecord.Decode(t.buffer[:0], value)
	t.buffer = decoded
	return string(decoded), whole
}

// plain returns the text of a field that the kernel never encodes. For a label it writes a
// question mark if there are several labels, or none.
func (t *texts) plain(value []byte) string {
	if len(value) == 0 {
		return ""
	}
	if text, ok := t.plainly.texts[string(value)]; ok {
		return text
	}
	switch string(value) {
	case "(none)", "(null)", "?":
		return ""
	}
	text := string(auditrecord.Unquote(value))
	t.plainly.keep(value, text)
	return text
}

// userName returns the name in auditd's interpretation of a user id; empty if auditd did
// not know it.
func (t *texts) userName(value []byte) string {
	name := t.plain(value)
	if name == "unset" || strings.HasPrefix(name, "unknown(") {
		return ""
	}
	return name
}

// memory holds the texts of earlier values. It forgets all of them when there are too many.
// A map can be searched with bytes; hashicorp/golang-lru would first make a string of them,
// for each field of each record.
type memory struct{ texts map[string]string }

func (m *memory) keep(value []byte, text string) {
	if len(value) > maxTextLength {
		return
	}
	if len(m.texts) >= maxTexts || m.texts == nil {
		m.texts = make(map[string]string)
	}
	m.texts[string(value)] = text
}
