// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package dbus

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	// maxLine is the longest line of a handshake that is read.
	maxLine = 512
	// maxLines is how many lines a peer may need.
	maxLines = 4
)

var errRefused = errors.New("the peer refuses the connection")

// Authenticate shows the peer who we are: the kernel tells it (unix(7), SO_PEERCRED). We do not name our
// own user id, which may be another one in the user namespace of the peer.
func (c *Conn) Authenticate() error {
	_ = c.socket.SetDeadline(time.Now().Add(c.config.Patience))
	answer := "\x00AUTH EXTERNAL\r\n"
	for range maxLines {
		if _, err := c.socket.Write([]byte(answer)); err != nil {
			return fmt.Errorf("authenticating: %w", err)
		}
		line, err := c.line()
		if err != nil {
			return fmt.Errorf("authenticating: %w", err)
		}
		switch word, _, _ := strings.Cut(line, " "); word {
		case "DATA": // the peer asks for a name
			answer = "DATA\r\n"
		case "OK":
			_, err := c.socket.Write([]byte("BEGIN\r\n"))
			return err
		default:
			return errRefused
		}
	}
	return errRefused
}

// line reads a line of the handshake.
func (c *Conn) line() (string, error) {
	for n := 1; n <= maxLine; n++ {
		data, err := c.reader.Peek(n)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "", ErrTimeout
		case err != nil:
			return "", err
		case data[n-1] == '\n':
			line := strings.TrimRight(string(data), "\r\n")
			_, err = c.reader.Discard(n)
			return line, err
		}
	}
	return "", errNotDBus
}
