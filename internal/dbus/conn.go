// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package dbus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// maxMessage is the longest message that is read. Longer ones are passed over.
	maxMessage = 1 << 17
	// maxCalls is how many calls wait for their replies at a time, few enough for the buffer of a socket: a peer that
	// writes without reading would block us otherwise. maxQueued is how many more wait for their turn.
	maxCalls  = 64
	maxQueued = 2048
	// readAhead is the size of the buffer between socket and messages.
	readAhead = 1 << 13
	// tick is how often calls are checked for having waited too long.
	tick = 500 * time.Millisecond
)

var (
	// ErrTimeout is the error of a call that was not answered in time.
	ErrTimeout = errors.New("no answer in time")
	// ErrBusy is the error of a call that was not made because too many wait for replies.
	ErrBusy = errors.New("too many calls wait for replies")

	errHangs = errors.New("the peer stopped in the middle of a message")
)

// Error is the reply of a peer that refuses a call.
type Error struct {
	// Name is such as "org.freedesktop.DBus.Error.AccessDenied", Text what the peer says to that.
	Name, Text string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Name
	}
	return e.Text
}

// Config configures a Conn.
type Config struct {
	// Patience is how long to wait for the answer to a call, and for the rest of a message.
	Patience time.Duration
	// Rate is how many messages a second are handled for good, Burst how many at once.
	Rate, Burst int
	// Rest makes Serve rest if there are more messages than that; otherwise it drops them. A peer that
	// is not trusted takes no more of a processor then, but what it says is late.
	Rest bool
	// Wanted reports whether a signal or a call is worth handling, before it counts for the Rate.
	Wanted func(*Message) bool
	// Minor reports whether a message is one that anybody can cause. It is dropped while less than half of the Burst is left, so
	// that there is room for the others. nil reports none.
	Minor func(*Message) bool
	// Dropped is called for each message that is not handled because of its size, or of the Rate, Rested each
	// time that Serve rests.
	Dropped, Rested func()
}

// Conn is a connection to a bus or to another peer. Any goroutine may call Call and Close.
type Conn struct {
	config Config
	socket net.Conn
	reader *bufio.Reader
	buffer []byte
	limit  bucket
	swept  time.Time

	// mu is held while a call is sent, which ends in time.
	mu      sync.Mutex
	serial  uint32
	waiting map[uint32]waiting
	queue   []queued
	// ended is why there are no more calls; nil while there are.
	ended error
}

// waiting is a call that waits for its reply.
type waiting struct {
	done  func(*Message, error)
	until time.Time
}

// queued is a call that waits for its turn.
type queued struct {
	call *Call
	done func(*Message, error)
}

// New returns a connection over a socket that is connected. The connection closes the socket.
func New(socket net.Conn, config Config) *Conn {
	return &Conn{
		config: config, socket: socket, reader: bufio.NewReaderSize(socket, readAhead),
		limit: newBucket(config.Rate, config.Burst), waiting: make(map[uint32]waiting),
	}
}

// Close ends Serve. Any goroutine may call it.
func (c *Conn) Close() error { return c.socket.Close() }

// Call makes a call. Serve calls done with the reply, or with the reason why there is none. If the call cannot
// even be made, Call does so itself.
func (c *Conn) Call(call *Call, done func(reply *Message, err error)) {
	if err := c.send(call, done); err != nil {
		done(nil, err)
	}
}

func (c *Conn) send(call *Call, done func(reply *Message, err error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended != nil:
		return c.ended
	case len(c.queue) >= maxQueued:
		return ErrBusy
	}
	c.queue = append(c.queue, queued{call, done})
	c.advance()
	return nil
}

// advance sends the calls whose turn it is. mu is held.
func (c *Conn) advance() {
	for len(c.queue) > 0 && len(c.waiting) < maxCalls {
		next := c.queue[0]
		c.queue = c.queue[1:]
		c.serial++
		until := time.Now().Add(c.config.Patience)
		c.waiting[c.serial] = waiting{next.done, until}
		_ = c.socket.SetWriteDeadline(until)
		if _, err := c.socket.Write(next.call.encode(c.serial)); err != nil {
			_ = c.socket.Close() // a part of the call may have been sent
			return
		}
	}
	if len(c.queue) == 0 {
		c.queue = nil
	}
}

// Serve handles what comes until the connection is closed, and returns why that is so. Then all calls have
// their answers.
func (c *Conn) Serve(ctx context.Context, handle func(*Message)) error {
	defer context.AfterFunc(ctx, func() { _ = c.socket.Close() })()
	defer c.socket.Close()
	for {
		m, err := c.read(ctx)
		if err != nil {
			c.abandon(err)
			return err
		}
		if m != nil {
			c.take(ctx, m, handle)
		}
	}
}

func (c *Conn) take(ctx context.Context, m *Message, handle func(*Message)) {
	if m.Kind == KindReply || m.Kind == KindError {
		if done := c.caller(m.ReplyTo); done != nil {
			answer(done, m)
			return
		}
	}
	if c.config.Wanted != nil && !c.config.Wanted(m) {
		return
	}
	for !c.limit.take(time.Now(), !c.config.Rest && c.config.Minor != nil && c.config.Minor(m)) {
		if !c.config.Rest {
			c.config.Dropped()
			return
		}
		c.config.Rested()
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
	}
	handle(m)
}

// caller returns what waits for the reply to a call; nil if nothing does.
func (c *Conn) caller(serial uint32) func(*Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := c.waiting[serial].done
	if done != nil {
		delete(c.waiting, serial)
		c.advance()
	}
	return done
}

func answer(done func(*Message, error), m *Message) {
	if m.Kind != KindError {
		done(m, nil)
		return
	}
	refusal := &Error{Name: m.Error}
	if strings.HasPrefix(m.signature, "s") {
		refusal.Text = m.Body().Text()
	}
	done(nil, refusal)
}

// sweep gives up the calls that have waited too long.
func (c *Conn) sweep(now time.Time) {
	if now.Sub(c.swept) < tick {
		return
	}
	c.swept = now
	for _, done := range c.overdue(now) {
		done(nil, ErrTimeout)
	}
}

func (c *Conn) overdue(now time.Time) []func(*Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []func(*Message, error)
	for serial, w := range c.waiting {
		if now.After(w.until) {
			delete(c.waiting, serial)
			all = append(all, w.done)
		}
	}
	c.advance()
	return all
}

// abandon gives up all calls.
func (c *Conn) abandon(err error) {
	c.mu.Lock()
	left, queue := c.waiting, c.queue
	c.waiting, c.queue, c.ended = nil, nil, err
	c.mu.Unlock()
	for _, w := range left {
		w.done(nil, err)
	}
	for _, q := range queue {
		q.done(nil, err)
	}
}

// read returns the next message; nil if it is passed over.
func (c *Conn) read(ctx context.Context) (*Message, error) {
	prefix, err := c.prefix()
	if err != nil {
		return nil, err
	}
	s, err := parseSize(prefix)
	if err != nil {
		return nil, err
	}
	if s.total() > maxMessage {
		c.config.Dropped()
		return nil, c.pass(ctx, s.total())
	}
	if s.total() > len(c.buffer) {
		c.buffer = make([]byte, s.total())
	}
	data := c.buffer[:s.total()]
	if err := c.fill(data); err != nil {
		return nil, err
	}
	m, ok := parse(data, s)
	if !ok {
		return nil, errNotDBus
	}
	return m, nil
}

// prefix waits for the beginning of a message.
func (c *Conn) prefix() ([]byte, error) {
	for began := time.Now(); ; {
		now := time.Now()
		c.sweep(now)
		if c.reader.Buffered() < prefixSize {
			_ = c.socket.SetReadDeadline(now.Add(tick))
		}
		data, err := c.reader.Peek(prefixSize)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return data, err
		}
		if len(data) == 0 {
			began = now
		} else if now.Sub(began) > c.config.Patience {
			return nil, errHangs
		}
	}
}

// fill reads the rest of a message.
func (c *Conn) fill(data []byte) error {
	if c.reader.Buffered() < len(data) {
		_ = c.socket.SetReadDeadline(time.Now().Add(c.config.Patience))
	}
	_, err := io.ReadFull(c.reader, data)
	return hangs(err)
}

// pass reads a message without keeping it.
func (c *Conn) pass(ctx context.Context, length int) error {
	for length > 0 && ctx.Err() == nil {
		_ = c.socket.SetReadDeadline(time.Now().Add(c.config.Patience))
		n, err := c.reader.Discard(min(length, readAhead))
		if err != nil {
			return hangs(err)
		}
		length -= n
	}
	return ctx.Err()
}

func hangs(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %w", errHangs, err)
	}
	return err
}
