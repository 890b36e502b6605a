// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package dbus

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const wait = 10 * time.Second

// peer is the other end of a connection under test.
type peer struct {
	net.Conn
	reader          *bufio.Reader
	dropped, rested atomic.Int64
}

// connect returns a connection to a peer that only does what the test makes it do.
func connect(t *testing.T, config Config) (*Conn, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	p := &peer{Conn: theirs, reader: bufio.NewReader(theirs)}
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	require.NoError(t, theirs.SetDeadline(time.Now().Add(wait)))
	if config.Rate == 0 {
		config.Rate, config.Burst = 1000, 1000
	}
	if config.Patience == 0 {
		config.Patience = wait
	}
	config.Dropped = func() { p.dropped.Add(1) }
	config.Rested = func() { p.rested.Add(1) }
	return New(ours, config), p
}

// serve serves a connection until the test ends it, and returns what was handled and how it ended.
func serve(t *testing.T, c *Conn) (handled chan *Message, ended chan error) {
	t.Helper()
	handled, ended = make(chan *Message, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		ended <- c.Serve(ctx, func(m *Message) { handled <- m })
	}()
	return handled, ended
}

func receive[T any](t *testing.T, from chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(wait):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

func (p *peer) line(t *testing.T) string {
	t.Helper()
	line, err := p.reader.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimLeft(line, "\x00")
}

func (p *peer) send(t *testing.T, data []byte) {
	t.Helper()
	_, err := p.Write(data)
	require.NoError(t, err)
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string][]string{"at once": {"OK 1234"}, "by the kernel": {"DATA", "OK 1234"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p := connect(t, Config{})
			outcome := make(chan error, 1)
			go func() { outcome <- c.Authenticate() }()
			asked := "AUTH EXTERNAL\r\n"
			for _, answer := range answers {
				assert.Equal(t, asked, p.line(t))
				p.send(t, []byte(answer+"\r\n"))
				asked = "DATA\r\n"
			}
			assert.Equal(t, "BEGIN\r\n", p.line(t))
			require.NoError(t, receive(t, outcome))
		})
	}
}

func TestAuthenticateWithBadPeers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer string
		want   error
	}{
		"refuses":       {"REJECTED EXTERNAL\r\n", errRefused},
		"hangs":         {"OK 12", ErrTimeout},
		"never stops":   {strings.Repeat("x", 2*maxLine), errNotDBus},
		"speaks HTTP":   {"HTTP/1.1 400 Bad Request\r\n", errRefused},
		"says an empty": {"\r\n", errRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p := connect(t, Config{Patience: 100 * time.Millisecond})
			go func() {
				_, _ = p.reader.ReadString('\n')
				_, _ = p.Write([]byte(test.answer))
			}()
			require.ErrorIs(t, c.Authenticate(), test.want)
		})
	}
}

func TestAuthenticateAsksForever(t *testing.T) {
	t.Parallel()
	c, p := connect(t, Config{})
	go func() {
		for {
			if _, err := p.reader.ReadString('\n'); err != nil {
				return
			}
			if _, err := p.Write([]byte("DATA\r\n")); err != nil {
				return
			}
		}
	}()
	require.ErrorIs(t, c.Authenticate(), errRefused)
}

func reply(t *testing.T, to uint32, body ...any) []byte {
	t.Helper()
	return encoded(t, binary.LittleEndian, godbus.TypeMethodReply, map[godbus.HeaderField]any{godbus.FieldReplySerial: to}, body...)
}

// result is what a call has brought.
type result struct {
	text string
	err  error
}

// call makes a call whose reply is a text.
func call(c *Conn) chan result {
	answers := make(chan result, 1)
	go c.Call(&Call{Path: "/", Interface: "a.b", Member: "Get"}, func(m *Message, err error) {
		var a result
		if a.err = err; err == nil {
			a.text = m.Body().Text()
		}
		answers <- a
	})
	return answers
}

func TestServeAnswersCalls(t *testing.T) {
	t.Parallel()
	c, p := connect(t, Config{})
	handled, _ := serve(t, c)
	first := call(c)
	m, err := godbus.DecodeMessage(p.reader)
	require.NoError(t, err)
	p.send(t, reply(t, m.Serial()+100, "to nobody"))
	p.send(t, signal(t, binary.BigEndian, "Happened"))
	p.send(t, reply(t, m.Serial(), "yes"))
	assert.Equal(t, result{text: "yes"}, receive(t, first))
	assert.Equal(t, KindReply, receive(t, handled).Kind)
	assert.Equal(t, "Happened", receive(t, handled).Member)

	second := call(c)
	m, err = godbus.DecodeMessage(p.reader)
	require.NoError(t, err)
	p.send(t, encoded(t, binary.LittleEndian, godbus.TypeError, map[godbus.HeaderField]any{
		godbus.FieldReplySerial: m.Serial(), godbus.FieldErrorName: "a.b.Denied",
	}, "you may not"))
	var refusal *Error
	require.ErrorAs(t, receive(t, second).err, &refusal)
	assert.Equal(t, Error{"a.b.Denied", "you may not"}, *refusal)
	require.EqualError(t, refusal, "you may not")
	require.EqualError(t, &Error{Name: "a.b.No"}, "a.b.No")
}

func TestServeGivesUpCalls(t *testing.T) {
	t.Parallel()
	c, p := connect(t, Config{Patience: 50 * time.Millisecond})
	_, ended := serve(t, c)
	late := call(c)
	_, err := godbus.DecodeMessage(p.reader)
	require.NoError(t, err)
	require.ErrorIs(t, receive(t, late).err, ErrTimeout)
	lost := call(c)
	_, err = godbus.DecodeMessage(p.reader)
	require.NoError(t, err)
	require.NoError(t, p.Close())
	require.ErrorIs(t, receive(t, lost).err, io.EOF)
	require.ErrorIs(t, receive(t, ended), io.EOF)
	require.ErrorIs(t, receive(t, call(c)).err, io.EOF)
}

func TestTooManyCalls(t *testing.T) {
	t.Parallel()
	c, p := connect(t, Config{})
	go func() { _, _ = io.Copy(io.Discard, p.reader) }()
	for range maxCalls + maxQueued {
		c.Call(&Call{Path: "/", Interface: "a.b", Member: "Get"}, func(*Message, error) {})
	}
	require.ErrorIs(t, receive(t, call(c)).err, ErrBusy)
}

func TestCallsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	c, p := connect(t, Config{})
	serve(t, c)
	const serial = 0x12345678
	yes := reply(t, serial, "yes")
	replySerial := bytes.Index(yes, binary.LittleEndian.AppendUint32(nil, serial))
	go func() {
		for {
			m, err := godbus.DecodeMessage(p.reader)
			if err != nil {
				return
			}
			binary.LittleEndian.PutUint32(yes[replySerial:], m.Serial())
			go func(data []byte) { _, _ = p.Write(data) }(bytes.Clone(yes))
		}
	}()
	answers := make(chan error, 3*maxCalls)
	for range cap(answers) {
		c.Call(&Call{Path: "/", Interface: "a.b", Member: "Get"}, func(_ *Message, err error) { answers <- err })
	}
	for range cap(answers) {
		require.NoError(t, receive(t, answers))
	}
}

// TestPeerThatDoesNotRead has a peer whose socket is full.
func TestPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	c, _ := connect(t, Config{Patience: 50 * time.Millisecond})
	_, ended := serve(t, c)
	require.Error(t, receive(t, call(c)).err)
	require.Error(t, receive(t, ended))
}

func TestServeEndsWithBadPeers(t *testing.T) {
	t.Parallel()
	good := signal(t, binary.LittleEndian, "Happened", "text")
	for name, test := range map[string]struct {
		data []byte
		want error
	}{
		"another byte order": {append([]byte("x"), good[1:]...), errNotDBus},
		"another version":    {append([]byte("l\x04\x00\x02"), good[4:]...), errNotDBus},
		"a huge body":        {append([]byte("l\x04\x00\x01\xff\xff\xff\xff"), good[8:]...), errNotDBus},
		"stops in a header":  {good[:5], errHangs},
		"stops in a body":    {good[:len(good)-1], errHangs},
		"no fields":          {append(append(good[:12:12], 0, 0, 0, 0), good[16:]...), errNotDBus},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p := connect(t, Config{Patience: 100 * time.Millisecond})
			_, ended := serve(t, c)
			p.send(t, test.data)
			require.ErrorIs(t, receive(t, ended), test.want)
		})
	}
}

// TestSlowPeer sends a message in two parts with a pause between them.
func TestSlowPeer(t *testing.T) {
	t.Parallel()
	c, p := connect(t, Config{})
	handled, _ := serve(t, c)
	data := signal(t, binary.LittleEndian, "Happened", "text")
	for _, part := range [][]byte{data[:7], data[7:40], data[40:]} {
		p.send(t, part)
		time.Sleep(tick + tick/5)
	}
	assert.Equal(t, "Happened", receive(t, handled).Member)
}

func TestLongMessagesArePassedOver(t *testing.T) {
	t.Parallel()
	c, p := connect(t, Config{})
	handled, _ := serve(t, c)
	p.send(t, signal(t, binary.LittleEndian, "Long", make([]byte, 3*maxMessage)))
	p.send(t, signal(t, binary.LittleEndian, "Short"))
	assert.Equal(t, "Short", receive(t, handled).Member)
	assert.Equal(t, int64(1), p.dropped.Load())
}

func TestFloodIsDropped(t *testing.T) {
	t.Parallel()
	wanted := func(m *Message) bool { return m.Member == "Wanted" }
	c, p := connect(t, Config{Rate: 1, Burst: 5, Wanted: wanted})
	handled, _ := serve(t, c)
	for range 50 {
		p.send(t, signal(t, binary.LittleEndian, "Unwanted"))
	}
	for range 50 {
		p.send(t, signal(t, binary.LittleEndian, "Wanted"))
	}
	p.send(t, reply(t, 1)) // so that the one before has been read
	require.GreaterOrEqual(t, len(handled), 5)
	require.Less(t, len(handled), 50)
	assert.Equal(t, int64(50), p.dropped.Load()+int64(len(handled)))
}

// TestFloodLeavesRoom has anybody flood what all may cause.
func TestFloodLeavesRoom(t *testing.T) {
	t.Parallel()
	c, p := connect(t, Config{Rate: 1, Burst: 10, Minor: func(m *Message) bool { return m.Member == "Minor" }})
	handled, _ := serve(t, c)
	for range 50 {
		p.send(t, signal(t, binary.LittleEndian, "Minor"))
	}
	for range 4 {
		p.send(t, signal(t, binary.LittleEndian, "Major"))
	}
	p.send(t, reply(t, 1)) // so that the one before has been read
	major := 0
	for len(handled) > 0 {
		if (<-handled).Member == "Major" {
			major++
		}
	}
	assert.GreaterOrEqual(t, major, 3, "the last may still be on its way")
	assert.GreaterOrEqual(t, p.dropped.Load(), int64(40))
}

func TestFloodMakesServeRest(t *testing.T) {
	t.Parallel()
	c, p := connect(t, Config{Rate: 50, Burst: 5, Rest: true})
	handled, _ := serve(t, c)
	began := time.Now()
	for range 25 {
		p.send(t, signal(t, binary.LittleEndian, "Happened"))
	}
	for range 25 {
		receive(t, handled)
	}
	assert.Greater(t, time.Since(began), 300*time.Millisecond)
	assert.Positive(t, p.rested.Load())
	assert.Zero(t, p.dropped.Load())
}

func BenchmarkRead(b *testing.B) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := New(ours, Config{Patience: wait})
	data := signal(b, binary.LittleEndian, "Happened", "text")
	block := bytes.Repeat(data, readAhead/len(data))
	go func() {
		for {
			if _, err := theirs.Write(block); err != nil {
				return
			}
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	_ = ours.Close()
}
