// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package dbus

import (
	"encoding/binary"
	"errors"
)

// Kind is the type of a message.
type Kind byte

// The kinds of messages that the specification defines.
const (
	KindCall   Kind = 1
	KindReply  Kind = 2
	KindError  Kind = 3
	KindSignal Kind = 4
)

// The flags of messages. noAutoStart keeps the bus from starting a service in order to answer us.
const (
	noReplyExpected = 1
	noAutoStart     = 2
)

// The fields of a header.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSender      = 7
	fieldSignature   = 8
)

const (
	// prefixSize is the size of a header before its fields.
	prefixSize = 16
	// alignment is that of the body, and of structures.
	alignment = 8
	// protocolVersion is the only version that there is.
	protocolVersion = 1
	// longestMessage is the longest message that the specification allows.
	longestMessage = 1 << 27
)

var errNotDBus = errors.New("the peer does not speak D-Bus")

// Message is a message that was received. Its texts stay valid, its body only until the next message.
type Message struct {
	Kind Kind
	// Unanswered is true for a call whose caller wants no reply.
	Unanswered bool
	// Serial identifies the message among those of its sender, ReplyTo the call that it replies to.
	Serial, ReplyTo uint32
	// Path, Interface and Member say what is called or signaled, Error is the name of an error.
	Path, Interface, Member, Error string
	// Destination and Sender are names of connections to a bus; empty without a bus.
	Destination, Sender string

	signature string
	body      []byte
	order     binary.ByteOrder
}

// Body returns what the message says.
func (m *Message) Body() *Body {
	return &Body{data: m.body, order: m.order, signature: m.signature}
}

// size is what the first bytes of a message say about its length.
type size struct {
	order binary.ByteOrder
	// fields is the size of the header's fields, padded that with the padding after it.
	fields, padded, body int
}

func (s size) total() int { return prefixSize + s.padded + s.body }

func parseSize(prefix []byte) (size, error) {
	var s size
	switch prefix[0] {
	case 'l':
		s.order = binary.LittleEndian
	case 'B':
		s.order = binary.BigEndian
	default:
		return s, errNotDBus
	}
	body, fields := s.order.Uint32(prefix[4:]), s.order.Uint32(prefix[12:])
	if prefix[3] != protocolVersion || body > longestMessage || fields > longestMessage {
		return s, errNotDBus
	}
	s.fields, s.body = int(fields), int(body)
	s.padded = align(s.fields, alignment)
	return s, nil
}

// parse reads a whole message. It returns false if that breaks the rules.
func parse(data []byte, s size) (*Message, bool) {
	m := &Message{
		Kind: Kind(data[1]), Unanswered: data[2]&noReplyExpected != 0,
		Serial: s.order.Uint32(data[8:]), order: s.order, body: data[prefixSize+s.padded:],
	}
	// The array of fields is read from the place of its length on, where the alignment is the same.
	fields := &Body{data: data[prefixSize-4 : prefixSize+s.fields], base: prefixSize - 4, order: s.order, signature: "a(yv)"}
	fields.Each(func() { m.field(fields) })
	return m, !fields.Failed() && m.complete()
}

func (m *Message) field(b *Body) {
	code, value := b.Number(), b.Value()
	switch code {
	case fieldPath:
		m.Path = value.Text
	case fieldInterface:
		m.Interface = value.Text
	case fieldMember:
		m.Member = value.Text
	case fieldErrorName:
		m.Error = value.Text
	case fieldReplySerial:
		m.ReplyTo = uint32(value.Number)
	case fieldDestination:
		m.Destination = value.Text
	case fieldSender:
		m.Sender = value.Text
	case fieldSignature:
		m.signature = value.Text
	}
}

// complete reports whether the message has the fields that its kind needs.
func (m *Message) complete() bool {
	switch m.Kind {
	case KindCall:
		return m.Path != "" && m.Member != ""
	case KindSignal:
		return m.Path != "" && m.Interface != "" && m.Member != ""
	case KindReply:
		return m.ReplyTo != 0
	case KindError:
		return m.ReplyTo != 0 && m.Error != ""
	}
	return true // the specification wants unknown kinds to be ignored
}

// align returns the next place that is a multiple of a power of two.
func align(place, to int) int { return (place + to - 1) &^ (to - 1) }
