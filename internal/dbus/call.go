// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package dbus

import (
	"encoding/binary"
	"strings"
)

// Call is a call to a peer.
type Call struct {
	// Destination is the name of the connection that answers; empty without a bus.
	Destination string
	// Path, Interface and Member say what is called.
	Path, Interface, Member string
	// Arguments are a string, a uint32 or a []string each.
	Arguments []any
}

// writer builds a message.
type writer struct{ data []byte }

// encode returns the message of a call. No service is started in order to answer it.
func (c *Call) encode(serial uint32) []byte {
	var body writer
	var signature strings.Builder
	for _, argument := range c.Arguments {
		signature.WriteString(body.value(argument))
	}
	w := writer{[]byte{'l', byte(KindCall), noAutoStart, protocolVersion}}
	w.number(uint32(len(body.data)))
	w.number(serial)
	w.number(0) // the size of the fields
	w.field(fieldPath, "o", c.Path)
	w.field(fieldInterface, "s", c.Interface)
	w.field(fieldMember, "s", c.Member)
	w.field(fieldDestination, "s", c.Destination)
	w.field(fieldSignature, "g", signature.String())
	binary.LittleEndian.PutUint32(w.data[prefixSize-4:], uint32(len(w.data)-prefixSize))
	w.pad(alignment)
	return append(w.data, body.data...)
}

func (w *writer) pad(to int) {
	for len(w.data)%to != 0 {
		w.data = append(w.data, 0)
	}
}

func (w *writer) number(n uint32) {
	w.pad(4)
	w.data = binary.LittleEndian.AppendUint32(w.data, n)
}

func (w *writer) text(s string) {
	w.number(uint32(len(s)))
	w.data = append(append(w.data, s...), 0)
}

// signature writes one, which is at most 255 bytes long.
func (w *writer) signature(s string) {
	w.data = append(append(append(w.data, byte(len(s))), s...), 0)
}

// field writes a field of the header, unless it is empty.
func (w *writer) field(code byte, kind, value string) {
	if value == "" {
		return
	}
	w.pad(alignment)
	w.data = append(w.data, code)
	w.signature(kind)
	if kind == "g" {
		w.signature(value)
		return
	}
	w.text(value)
}

// value writes an argument, and returns its signature.
func (w *writer) value(argument any) string {
	switch v := argument.(type) {
	case uint32:
		w.number(v)
		return "u"
	case []string:
		w.number(0)
		begin := len(w.data)
		for _, s := range v {
			w.text(s)
		}
		binary.LittleEndian.PutUint32(w.data[begin-4:], uint32(len(w.data)-begin))
		return "as"
	case string:
		w.text(v)
	}
	return "s"
}
