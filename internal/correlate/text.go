// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
)

const (
	// maxTexts bounds how many texts are remembered. A host's programs, users
	// and labels are few; the bound only holds off a log full of nonsense.
	maxTexts = 4096
	// maxTextLength is the longest text worth remembering.
	maxTextLength = 256
)

// texts decodes the text fields of records and remembers the result, since
// the same few commands, paths and users come again and again.
type texts struct {
	// decoded are untrusted fields, plainly those that are never encoded.
	decoded, plainly memory
	buffer           []byte
}

// decode returns the text of an untrusted field. It reports false if the value
// was cut short.
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

// once is decode for texts that seldom come twice, such as command lines.
func (t *texts) once(value []byte) (string, bool) {
	decoded, whole := auditrecord.Decode(t.buffer[:0], value)
	t.buffer = decoded
	return string(decoded), whole
}

// plain returns the text of a field that the kernel never encodes. A question
// mark is what it writes for a label if there are several, or none.
func (t *texts) plain(value []byte) string {
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

// userName returns the name out of auditd's interpretation of a user id; empty
// if auditd did not know it.
func (t *texts) userName(value []byte) string {
	name := t.plain(value)
	if name == "unset" || strings.HasPrefix(name, "unknown(") {
		return ""
	}
	return name
}

// memory holds the texts of values that came before. It forgets all of them
// when there are too many. A map can be asked with bytes; hashicorp/golang-lru would
// make a string of them first, for each field of each record.
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
