// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// screen is a terminal that understands what the bar and rows need: letters with automatic
// wrapping, \r, \n as the line discipline sends it, and CSI K.
type screen struct {
	t       *testing.T
	columns int

	mu      sync.Mutex
	lines   [][]byte
	torn    string // the beginning of a sequence whose end is in the next write
	column  int
	wrapped bool
	writes  int
}

func newScreen(t *testing.T, columns int) *screen {
	t.Helper()
	return &screen{t: t, columns: columns, lines: [][]byte{nil}}
}

func (s *screen) width() int { return s.columns }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	rest := s.torn + string(p)
	for s.torn = ""; rest != ""; {
		if after, found := strings.CutPrefix(rest, eraseLine); found {
			last := len(s.lines) - 1
			s.lines[last] = s.lines[last][:min(s.column, len(s.lines[last]))]
			rest = after
			continue
		}
		if strings.HasPrefix(eraseLine, rest) {
			s.torn = rest
			break
		}
		s.put(rest[0])
		rest = rest[1:]
	}
	return len(p), nil
}

func (s *screen) put(c byte) {
	switch {
	case c == '\r':
		s.column = 0
		return
	case c == '\n':
		s.newLine()
		return
	case c < ' ' || c > '~':
		require.FailNow(s.t, "what is this?", "%q", c)
	case s.column == s.columns:
		s.wrapped = true
		s.newLine()
	}
	last := len(s.lines) - 1
	if s.column == len(s.lines[last]) {
		s.lines[last] = append(s.lines[last], ' ')
	}
	s.lines[last][s.column] = c
	s.column++
}

func (s *screen) newLine() {
	s.lines = append(s.lines, nil)
	s.column = 0
}

// text returns what is on the screen.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]string, len(s.lines))
	for i, line := range s.lines {
		all[i] = string(line)
	}
	return strings.Join(all, "\n")
}

// count returns how often something was written, and forgets it.
func (s *screen) count() (writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	writes, s.writes = s.writes, 0
	return writes
}
