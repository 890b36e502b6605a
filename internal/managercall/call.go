// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package managercall

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// longestObject is the longest name of a unit (systemd.unit(5)).
const longestObject = 255

// Parse returns the calls that are sent. Those that explain no signal, such as to ask for a status, are left
// out.
func Parse(sent []byte) []attribution.Call {
	var calls []attribution.Call
	add := func(c *attribution.Call) {
		if c != nil && acceptable(c) {
			calls = append(calls, *c)
		}
	}
	rest := skipHandshake(sent)
	switch {
	case len(rest) == 0:
	case rest[0] == '{':
		for message := range bytes.SplitSeq(rest, []byte{0}) {
			add(varlink(message))
		}
	case rest[0] == 'P', rest[0] == 'D':
		add(request(rest))
		if calls == nil {
			add(procedure(rest))
		}
	case rest[0] == '<':
		add(procedure(rest))
	default:
		methods(rest, func(m *Method) { add(m.Call()) })
	}
	return calls
}

// acceptable reports whether a call names its object in a way that managers do.
func acceptable(c *attribution.Call) bool {
	return len(c.Object) <= longestObject && utf8.ValidString(c.Object) &&
		!strings.ContainsFunc(c.Object, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// signalOf returns the signal with a number; 0 if there is none.
func signalOf(number int64) kill.Signal {
	if number < 1 || number > 64 {
		return 0
	}
	return kill.Signal(number)
}

// signalNamed returns the signal with a name or number; 0 if there is none.
func signalNamed(text string) kill.Signal {
	signal, err := kill.ParseSignal(text)
	if err != nil {
		return 0
	}
	return signal
}
