// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// maxLine is the longest line that is read whole.
const maxLine = 64 << 10

// TestForeignBytes puts something between two good events, both of which must be read whole.
func TestForeignBytes(t *testing.T) {
	t.Parallel()
	random := make([]byte, 100_000)
	source := rand.NewChaCha8([32]byte{})
	_, err := source.Read(random)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		between   string
		malformed int64
		tooLong   int64
		also      []int
	}{
		"nothing":                  {},
		"an empty line":            {between: "\n", malformed: 1},
		"text":                     {between: "hello\n", malformed: 1},
		"a type and no more":       {between: "type=SYSCALL\n", malformed: 1},
		"a record without a stamp": {between: "type=SYSCALL msg=audit(now): x\n", malformed: 1},
		"a record without a stamp that matters to nobody": {between: "type=CWD msg=audit(now): x\n"},
		"NULs in a line of their own":                     {between: strings.Repeat("\x00", 5000) + "\n", malformed: 1},
		"NULs before a good line":                         {between: strings.Repeat("\x00", 5000), malformed: 1},
		"lines of random bytes":                           {between: string(random) + "\n", malformed: int64(strings.Count(string(random), "\n")) + 1},
		"a line that is too long":                         {between: strings.Repeat("x", maxLine+1) + "\n", malformed: 1, tooLong: 1},
		"a line of 10 MB":                                 {between: strings.Repeat("x", 10<<20) + "\n", malformed: 1, tooLong: 1},
		"two lines of 10 MB":                              {between: strings.Repeat(strings.Repeat("x", 10<<20)+"\n", 2), malformed: 2, tooLong: 2},
		"a record of 10 MB that matters to nobody": {
			between: "type=CWD msg=" + stamp(3) + `: cwd="` + strings.Repeat("x", 10<<20) + "\"\n", tooLong: 1,
		},
		"an event with carriage returns": {
			between: strings.ReplaceAll(event(3), "\n", "\r\n"), also: upTo(3, 3),
		},
		"an event with a title of 10 MB": {
			between: strings.Join(records(3)[:2], "\n") + "\n" + records(3)[2] + strings.Repeat("41", 10<<20) + "\n", tooLong: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			text := event(1) + test.between + event(2)
			b.append(t, text)
			r := start(t, b.settings())
			require.Eventually(t, func() bool { return len(r.sink.counts()) >= 2+len(test.also) }, patience, look)
			require.Eventually(t, func() bool { return b.counts.Bytes.Load() == int64(len(text)) }, patience, look)
			r.stop()
			whole := map[string]int{}
			for _, e := range r.sink.events() {
				if e.Complete {
					whole[identify(e)]++
				}
			}
			want := map[string]int{keyOf(1): 1, keyOf(2): 1}
			for _, n := range test.also {
				want[keyOf(n)] = 1
			}
			assert.Equal(t, want, whole)
			assert.Equal(t, int64(strings.Count(text, "\n")), b.counts.Records.Load())
			assert.Equal(t, test.malformed, b.counts.Malformed.Load())
			assert.Equal(t, test.tooLong, b.counts.TooLong.Load())
		})
	}
}

func TestCarriageReturns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append(t, strings.ReplaceAll(event(1), "\n", "\r\n"))
	settings := b.settings()
	settings.Correlation.KeepOriginal = true
	r := start(t, settings)
	r.await(1)
	assert.Equal(t, "killer\x00-9", r.sink.events()[0].Sender.Title)
	lines := records(1)
	assert.Equal(t, lines[0]+"\n"+lines[2], r.sink.events()[0].Original)
	assert.Equal(t, lines[1], r.sink.events()[0].Targets[0].Original)
}

// TestLongestLine expects a line of up to maxLine to be read whole, and a longer one to be cut.
func TestLongestLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		length int
		whole  bool
	}{
		"as long as may be": {length: maxLine, whole: true},
		"too long":          {length: maxLine + 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			lines := records(1)
			lines[2] = strings.TrimSuffix(lines[2], "39")
			if len(lines[2])%2 != test.length%2 {
				lines[2] += " " // behind the value, which must be of even length
			}
			title := strings.Repeat("41", (test.length-len(lines[2]))/2)
			lines[2] = strings.Replace(lines[2], "proctitle=", "proctitle="+title, 1)
			require.Len(t, lines[2], test.length)
			b.append(t, strings.Join(lines, "\n")+"\n")
			r := start(t, b.settings())
			require.Eventually(t, func() bool { return len(r.sink.events()) == 1 }, patience, look)
			e := r.sink.events()[0]
			assert.Equal(t, test.whole, e.Complete)
			assert.Contains(t, e.Sender.Title, "AAAA")
			assert.Equal(t, test.whole, b.rejected() == 0)
		})
	}
}

func TestHalfALine(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]int{
		"one byte":                    1,
		"all but the line feed":       len(records(1)[0]),
		"in the second line":          len(records(1)[0]) + 50,
		"all but the last line feed":  len(event(1)) - 1,
		"all but the last characters": len(event(1)) - 5,
	} {
		t.Run(name+", followed", func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			text := event(1) + event(2)[:cut]
			b.append(t, text)
			r := start(t, b.settings())
			require.Eventually(t, func() bool { return b.counts.Bytes.Load() == int64(len(text)) }, patience, look)
			r.await(1)
			b.append(t, event(2)[cut:])
			r.await(1, 2)
		})
		t.Run(name+", nothing else in the log", func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.append(t, event(1)[:cut])
			r := start(t, b.settings())
			b.append(t, event(1)[cut:])
			r.await(1)
		})
		t.Run(name+", rotated away", func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.append(t, event(1)+event(2)[:cut])
			b.rotate(t, 5)
			b.append(t, event(3))
			r := start(t, b.settings())
			require.Eventually(t, func() bool { return r.sink.counts()[keyOf(3)] == 1 }, patience, look)
			r.stop()
			assert.Equal(t, 1, r.sink.counts()[keyOf(1)])
			assert.Equal(t, int64(strings.Count(event(2)[:cut], "\n")+7), b.counts.Records.Load(), "half a line counts")
		})
	}
}

// TestHalfALineAtTheEnd reads a log whose last line is not finished to its end, and again once it is.
func TestHalfALineAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cut      int
		complete bool
	}{
		"a line that lacks only its line feed": {cut: len(records(2)[0]) + 1 + len(records(2)[1]), complete: true},
		"a line that was cut":                  {cut: len(records(2)[0]) + 1 + len(records(2)[1]) - 3},
		"a line that was cut in its pid":       {cut: len(records(2)[0]) + len("\n"+strings.Split(records(2)[1], " oauid")[0]) - 2},
		"the first line of an event":           {cut: len(records(2)[0]) - 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.append(t, event(1)+event(2)[:test.cut])
			settings := b.settings()
			settings.Follow = false
			r := start(t, settings)
			require.Eventually(t, func() bool { return len(r.sink.events()) == 2 }, patience, look)
			r.stop()
			assert.True(t, r.sink.events()[0].Complete)
			assert.Equal(t, test.complete, r.sink.events()[1].Complete)
			for _, target := range r.sink.events()[1].Targets {
				assert.Contains(t, []int{0, targetPID + 2}, target.PID, "half a number is none")
			}
			assert.Equal(t, int64(len(event(1))), b.storage.checkpoint(t, b.path).Offset, "before the event")

			b.append(t, event(2)[test.cut:])
			r = start(t, settings)
			r.await(2)
		})
	}
}

// TestOnlyHalfALine reads a log that holds nothing else to its end.
func TestOnlyHalfALine(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append(t, records(1)[0])
	settings := b.settings()
	settings.Follow = false
	r := start(t, settings)
	require.Eventually(t, func() bool { return len(r.sink.events()) == 1 }, patience, look)
	assert.False(t, r.sink.events()[0].Complete)
}
