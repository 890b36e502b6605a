// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
)

// split cuts a stream into lines, as the source does, and checks that every line is at its reported
// position. The last one may have no end.
func split(t require.TestingT, stream []byte, reader io.Reader) (got []string, tooLong int) {
	l := lines{newPreviewer: func() *correlate.Previewer { return nil }}
	end := int64(0)
	for failed := error(nil); failed == nil; {
		for failed == nil && l.room() {
			n, err := reader.Read(l.free())
			l.fill(n)
			end += int64(n)
			if failed = err; n%3 == 0 {
				break // sometimes it does not read ahead
			}
		}
		require.LessOrEqual(t, len(l.filled)+len(l.spare), ahead+1)
		for {
			f, ok := l.next()
			require.Zero(t, f.passed)
			if !ok {
				break
			}
			require.True(t, bytes.HasPrefix(stream[end-f.waiting:], f.line), "a line stands at its position")
			got = append(got, string(f.line))
			if f.tooLong {
				tooLong++
			}
		}
		require.NotEmpty(t, l.free(), "there is room for more")
		require.Equal(t, l.read, l.done)
		if failed != nil {
			require.Equal(t, io.EOF, failed)
		}
	}
	if line, long := l.rest(); len(line) > 0 {
		got = append(got, string(line))
		if long {
			tooLong++
		}
	}
	require.Zero(t, l.waiting())
	return got, tooLong
}

// expected is what split must return, in the simplest implementation.
func expected(stream []byte) (want []string, tooLong int) {
	for line := range bytes.Lines(stream) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) > MaxLine {
			line = line[:MaxLine]
			tooLong++
		}
		want = append(want, string(line))
	}
	return want, tooLong
}

func TestLines(t *testing.T) {
	t.Parallel()
	line := func(length int) string { return strings.Repeat("x", length) + "\n" }
	for name, stream := range map[string]string{
		"nothing":                        "",
		"an empty line":                  "\n",
		"two lines":                      "one\ntwo\n",
		"no end":                         "one\ntwo",
		"a long line without an end":     "one\n" + strings.Repeat("x", 3*BlockSize),
		"as long as may be":              line(MaxLine) + "two\n",
		"one more":                       line(MaxLine+1) + "two\n",
		"as long as the buffer":          line(BlockSize) + "two\n",
		"longer than the buffer":         line(BlockSize+1) + "two\n",
		"long lines":                     line(BlockSize*3) + line(BlockSize*2) + "three\n",
		"long lines of different length": line(MaxLine+1) + line(MaxLine) + line(BlockSize-1) + line(1),
	} {
		for reading, reader := range map[string]io.Reader{
			"in large pieces": strings.NewReader(stream),
			"byte by byte":    iotest.OneByteReader(strings.NewReader(stream)),
		} {
			t.Run(name+", "+reading, func(t *testing.T) {
				t.Parallel()
				if reading == "byte by byte" && len(stream) > 10*MaxLine {
					reader = iotest.HalfReader(strings.NewReader(stream))
				}
				want, wantTooLong := expected([]byte(stream))
				got, tooLong := split(t, []byte(stream), reader)
				assert.Equal(t, want, got)
				assert.Equal(t, wantTooLong, tooLong)
			})
		}
	}
}

// TestLinesAtTheEndOfTheBuffer ends a line at every place around the end of the buffer.
func TestLinesAtTheEndOfTheBuffer(t *testing.T) {
	t.Parallel()
	const long, around = MaxLine / 2, 50
	before := bytes.Repeat(append(bytes.Repeat([]byte("x"), long-1), '\n'), BlockSize/long-1)
	for length := long - around; length <= long+around; length++ {
		stream := append(bytes.Clone(before), bytes.Repeat([]byte("y"), length)...)
		stream = append(stream, "\nlast line\n"...)
		want, _ := expected(stream)
		got, tooLong := split(t, stream, bytes.NewReader(stream))
		require.Equal(t, want, got)
		require.Zero(t, tooLong)
	}
}

// FuzzLines makes a stream from a few bytes, of which those beyond ASCII stand for many, and reads it in pieces.
func FuzzLines(f *testing.F) {
	f.Add([]byte("one\ntwo"), uint16(1))
	f.Add([]byte("\n\n\x00\r\n"), uint16(2))
	f.Add([]byte("\xc1x\none\n"), uint16(10))
	f.Add([]byte("one\n\xc2\xff\xffx\ntwo"), uint16(60_000))
	f.Fuzz(func(t *testing.T, seed []byte, piece uint16) {
		var stream []byte
		for _, c := range seed[:min(len(seed), 100)] {
			repeat := 1
			if c >= 0x80 {
				repeat = int(c-0x80)*512 - 1
			}
			stream = append(stream, bytes.Repeat([]byte{c}, max(1, repeat))...)
		}
		size := 1 + int(piece)
		if len(stream) > 10_000 {
			size += 4096 // or it would take minutes
		}
		want, wantTooLong := expected(stream)
		got, tooLong := split(t, stream, pieces{bytes.NewReader(stream), size})
		require.Equal(t, want, got)
		require.Equal(t, wantTooLong, tooLong)
	})
}

// pieces reads at most so many bytes at once.
type pieces struct {
	io.Reader

	size int
}

func (p pieces) Read(buf []byte) (int, error) { return p.Reader.Read(buf[:min(len(buf), p.size)]) }
