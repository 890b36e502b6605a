// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package dbus

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	godbus "github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encoded returns a message as another library writes it.
func encoded(tb testing.TB, order binary.ByteOrder, kind godbus.Type, headers map[godbus.HeaderField]any, body ...any) []byte {
	tb.Helper()
	m := &godbus.Message{Type: kind, Headers: make(map[godbus.HeaderField]godbus.Variant), Body: body}
	for field, value := range headers {
		m.Headers[field] = godbus.MakeVariant(value)
	}
	if len(body) > 0 {
		m.Headers[godbus.FieldSignature] = godbus.MakeVariant(godbus.SignatureOf(body...))
	}
	var buffer bytes.Buffer
	require.NoError(tb, m.EncodeTo(&buffer, order))
	return buffer.Bytes()
}

func signal(tb testing.TB, order binary.ByteOrder, member string, body ...any) []byte {
	tb.Helper()
	return encoded(tb, order, godbus.TypeSignal, map[godbus.HeaderField]any{
		godbus.FieldPath: godbus.ObjectPath("/a/b"), godbus.FieldInterface: "a.b", godbus.FieldMember: member,
		godbus.FieldSender: ":1.7", godbus.FieldDestination: ":1.9",
	}, body...)
}

// parsed reads a whole message.
func parsed(tb testing.TB, data []byte) *Message {
	tb.Helper()
	s, err := parseSize(data)
	require.NoError(tb, err)
	require.Equal(tb, len(data), s.total())
	m, ok := parse(data, s)
	require.True(tb, ok)
	return m
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		m := parsed(t, signal(t, order, "JobNew", uint32(7), godbus.ObjectPath("/job/7"), "a.service"))
		assert.Equal(t, KindSignal, m.Kind)
		assert.Equal(t, []string{"/a/b", "a.b", "JobNew", ":1.7", ":1.9"}, []string{m.Path, m.Interface, m.Member, m.Sender, m.Destination})
		b := m.Body()
		assert.Equal(t, uint64(7), b.Number())
		assert.Equal(t, "/job/7", b.Text())
		assert.Equal(t, "a.service", b.Text())
		assert.False(t, b.Failed())
		assert.Empty(t, b.Text())
		assert.True(t, b.Failed())
	}
}

func TestParseReplies(t *testing.T) {
	t.Parallel()
	m := parsed(t, encoded(t, binary.LittleEndian, godbus.TypeMethodReply, map[godbus.HeaderField]any{godbus.FieldReplySerial: uint32(3)}))
	assert.Equal(t, KindReply, m.Kind)
	assert.Equal(t, uint32(3), m.ReplyTo)
	m = parsed(t, encoded(t, binary.LittleEndian, godbus.TypeError,
		map[godbus.HeaderField]any{godbus.FieldReplySerial: uint32(3), godbus.FieldErrorName: "a.b.No"}, "not now"))
	assert.Equal(t, "a.b.No", m.Error)
	assert.Equal(t, "not now", m.Body().Text())
}

// user is a structure with a number and a path, as in many properties of systemd.
type user struct {
	ID   uint32
	Path godbus.ObjectPath
}

func TestProperties(t *testing.T) {
	t.Parallel()
	type command struct {
		Path    string
		Args    []string
		Ignored bool
		Times   uint64
	}
	data := signal(t, binary.LittleEndian, "PropertiesChanged", "a.b.Service", map[string]godbus.Variant{
		"Result":      godbus.MakeVariant("timeout"),
		"TimeoutUSec": godbus.MakeVariant(uint64(math.MaxUint64)),
		"Signed":      godbus.MakeVariant(int32(-1)),
		"Flag":        godbus.MakeVariant(true),
		"User":        godbus.MakeVariant(user{1000, "/user/1000"}),
		"ExecStart":   godbus.MakeVariant([]command{{"/bin/sh", []string{"sh", "-c"}, true, 7}}),
		"Nested":      godbus.MakeVariant(godbus.MakeVariant("inside")),
		"Double":      godbus.MakeVariant(1.5),
		"Dictionary":  godbus.MakeVariant(map[string]string{"a": "b"}),
	}, []string{"Invalidated"})
	b := parsed(t, data).Body()
	assert.Equal(t, "a.b.Service", b.Text())
	found := make(map[string]Value)
	b.Properties(func(name string, v Value) { found[name] = v })
	assert.Equal(t, map[string]Value{
		"Result": {Text: "timeout"}, "TimeoutUSec": {Number: math.MaxUint64}, "Signed": {Number: math.MaxUint64},
		"Flag": {Number: 1}, "User": {"/user/1000", 1000}, "ExecStart": {}, "Nested": {}, "Double": {}, "Dictionary": {},
	}, found)
	var invalidated []string
	b.Each(func() { invalidated = append(invalidated, b.Text()) })
	assert.Equal(t, []string{"Invalidated"}, invalidated)
	assert.False(t, b.Failed())
}

func TestEach(t *testing.T) {
	t.Parallel()
	type entry struct {
		ID   string
		UID  uint32
		User string
		Path godbus.ObjectPath
	}
	data := signal(t, binary.LittleEndian, "Sessions", []entry{{"1", 0, "root", "/1"}, {"c2", 1000, "alice", "/2"}}, "after")
	b := parsed(t, data).Body()
	var users []string
	b.Each(func() {
		b.Text()
		b.Number()
		users = append(users, b.Text()) // and the path is left
	})
	assert.Equal(t, []string{"root", "alice"}, users)
	assert.Equal(t, "after", b.Text())
	assert.False(t, b.Failed())
}

func TestEachOfNone(t *testing.T) {
	t.Parallel()
	b := parsed(t, signal(t, binary.LittleEndian, "None", []user{}, "after")).Body()
	b.Each(func() { assert.Fail(t, "there is none") })
	assert.Equal(t, "after", b.Text())
}

func TestTexts(t *testing.T) {
	t.Parallel()
	b := parsed(t, signal(t, binary.LittleEndian, "Names", godbus.MakeVariant([]string{"a", "b", "c"}), "after")).Body()
	assert.Equal(t, []string{"a", "b"}, b.Texts(2))
	assert.Equal(t, "after", b.Text())
	assert.False(t, b.Failed())
}

func TestWrongTypes(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(b *Body){
		"a number":       func(b *Body) { assert.Zero(t, b.Number()) },
		"texts":          func(b *Body) { assert.Empty(t, b.Texts(9)) },
		"a variant":      func(b *Body) { assert.Zero(t, b.Value()) },
		"an array":       func(b *Body) { b.Each(func() { assert.Fail(t, "there is none") }) },
		"another text":   func(b *Body) { b.Text(); assert.Empty(t, b.Text()) },
		"after an array": func(b *Body) { b.Each(func() {}); assert.Empty(t, b.Text()) },
	} {
		b := parsed(t, signal(t, binary.LittleEndian, "Text", "a text")).Body()
		read(b)
		assert.True(t, b.Failed(), name)
	}
}

// TestLies reads bodies whose lengths are not those of what is there.
func TestLies(t *testing.T) {
	t.Parallel()
	const huge = "\xff\xff\xff\xff"
	for name, lie := range map[string]struct{ signature, data string }{
		"a long text":           {"s", huge + "a\x00"},
		"a text without end":    {"s", "\x01\x00\x00\x00a"},
		"a long array of bytes": {"ay", huge},
		"a long array":          {"a(yyyyyyyy)", huge},
		"an array of nothing":   {"a()", "\x08\x00\x00\x00\x00\x00\x00\x00" + "12345678"},
		"no element":            {"a", "\x00\x00\x00\x00"},
		"a variant of nothing":  {"v", "\x00\x00"},
		"a variant of two":      {"v", "\x02yy\x00ab"},
		"a variant unclosed":    {"v", "\x02(y\x00\x00\x00\x00\x00a"},
		"a variant too short":   {"v", "\x01t\x00\x00\x00\x00\x00\x00"},
		"closed before opened":  {"v", "\x01)\x00\x00"},
		"a cut structure":       {"v", "\x03(y)\x00"},
	} {
		b := &Body{data: []byte(lie.data), order: binary.LittleEndian, signature: lie.signature}
		switch lie.signature[0] {
		case 's':
			b.Text()
		case 'v':
			b.Value()
		default:
			b.Each(func() {})
		}
		assert.True(t, b.Failed(), name)
	}
}

// TestDeepNesting reads a variant in a variant, and so on.
func TestDeepNesting(t *testing.T) {
	t.Parallel()
	var data []byte
	for range 10_000 {
		data = append(data, 1, 'v', 0)
	}
	b := &Body{data: data, order: binary.LittleEndian, signature: "v"}
	b.Value()
	assert.True(t, b.Failed())
}

func TestLongTextIsNotKept(t *testing.T) {
	t.Parallel()
	b := parsed(t, signal(t, binary.LittleEndian, "Long", string(bytes.Repeat([]byte("x"), maxText+1)), "after")).Body()
	assert.Empty(t, b.Text())
	assert.Equal(t, "after", b.Text())
	assert.False(t, b.Failed())
}

// TestCall has another library read our calls.
func TestCall(t *testing.T) {
	t.Parallel()
	call := &Call{
		Destination: "org.freedesktop.systemd1", Path: "/org", Interface: "a.b", Member: "Do",
		Arguments: []any{"text", uint32(7), []string{"one", "two"}},
	}
	m, err := godbus.DecodeMessage(bytes.NewReader(call.encode(5)))
	require.NoError(t, err)
	require.NoError(t, m.IsValid())
	assert.Equal(t, []any{"text", uint32(7), []string{"one", "two"}}, m.Body)
	assert.Equal(t, uint32(5), m.Serial())
	assert.Equal(t, godbus.FlagNoAutoStart, m.Flags)
	assert.Equal(t, "org.freedesktop.systemd1", m.Headers[godbus.FieldDestination].Value())

	bare := &Call{Path: "/", Interface: "a.b", Member: "Do"}
	m, err = godbus.DecodeMessage(bytes.NewReader(bare.encode(6)))
	require.NoError(t, err)
	assert.Empty(t, m.Body)
	assert.NotContains(t, m.Headers, godbus.FieldDestination)
}

func FuzzMessage(f *testing.F) {
	f.Add(signal(f, binary.LittleEndian, "JobNew", uint32(7), godbus.ObjectPath("/job/7"), "a.service"))
	f.Add(signal(f, binary.BigEndian, "Changed", "a.b", map[string]godbus.Variant{
		"User": godbus.MakeVariant(user{1, "/"}), "Result": godbus.MakeVariant("timeout"),
	}, []string{"x"}))
	f.Add(signal(f, binary.LittleEndian, "Sessions", []user{{1, "/"}, {2, "/a"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < prefixSize || len(data) > maxMessage {
			return
		}
		s, err := parseSize(data)
		if err != nil || s.total() > len(data) {
			return
		}
		m, ok := parse(data[:s.total()], s)
		if !ok {
			return
		}
		for _, read := range []func(b *Body){
			func(b *Body) { b.Text(); b.Properties(func(string, Value) {}); b.Each(func() { b.Text() }) },
			func(b *Body) { b.Number(); b.Text(); b.Text(); b.Text() },
			func(b *Body) { b.Each(func() { b.Number(); b.Text() }) },
			func(b *Body) { b.Value() },
			func(b *Body) { b.Texts(3) },
			func(b *Body) { b.walk(new(Value), 0) },
		} {
			b := m.Body()
			read(b)
			if len(b.signature) > 255 || b.at > len(b.data) {
				t.Fatal("read beyond the end")
			}
		}
	})
}
