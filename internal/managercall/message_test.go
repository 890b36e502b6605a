// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package managercall

import "encoding/binary"

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

var orders = []byteOrder{binary.LittleEndian, binary.BigEndian}

// message is a message of D-Bus, as a client would send it.
type message struct {
	Method
	kind byte
	body []any // strings, int32 and uint32
}

func to(of, path, member string, body ...any) message {
	return message{Method: Method{Path: path, Interface: of, Member: member}, kind: typeCall, body: body}
}

func toSystemd(member string, body ...any) message {
	return to(systemd+".Manager", "/org/freedesktop/systemd1", member, body...)
}

// writer writes the values of a message.
type writer struct {
	order byteOrder
	data  []byte
}

func (w *writer) pad(to int) {
	for len(w.data)%to != 0 {
		w.data = append(w.data, 0)
	}
}

func (w *writer) number(n uint32) {
	w.pad(4)
	w.data = w.order.AppendUint32(w.data, n)
}

func (w *writer) text(s string) {
	w.number(uint32(len(s)))
	w.data = append(append(w.data, s...), 0)
}

func (w *writer) short(s string) { w.data = append(append(append(w.data, byte(len(s))), s...), 0) }

func (w *writer) field(code byte, kind, text string) {
	if text == "" {
		return
	}
	w.pad(alignment)
	w.data = append(w.data, code)
	w.short(kind)
	if kind == "g" {
		w.short(text)
		return
	}
	w.text(text)
}

func (m message) encode(order byteOrder) []byte {
	body, signature := writer{order: order}, ""
	for _, value := range m.body {
		switch v := value.(type) {
		case string:
			body.text(v)
			signature += "s"
		case int32:
			body.number(uint32(v))
			signature += "i"
		case uint32:
			body.number(v)
			signature += "u"
		}
	}
	w := writer{order: order, data: []byte{'l', m.kind, 0, version}}
	if order == binary.BigEndian {
		w.data[0] = 'B'
	}
	w.number(uint32(len(body.data)))
	w.number(1)
	w.number(0) // the size of the fields
	w.field(fieldPath, "o", m.Path)
	w.field(fieldDestination, "s", m.Destination)
	w.field(fieldInterface, "s", m.Interface)
	w.field(fieldMember, "s", m.Member)
	w.field(fieldSignature, "g", signature)
	order.PutUint32(w.data[headerSize-4:], uint32(len(w.data)-headerSize))
	w.pad(alignment)
	return append(w.data, body.data...)
}
