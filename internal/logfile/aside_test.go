// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// TestAsideAsByOne reads logs of any kind in parts that are surveyed side by side, and by one reader that adds every
// line: they must tell the same, word for word, and have the same checkpoint after each batch.
func TestAsideAsByOne(t *testing.T) {
	t.Parallel()
	lines := recorded(t)
	for seed := range uint64(100) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 17)) //nolint:gosec // a log, no secret
			text := anyLog(random, lines)
			config := correlate.Config{
				Timeout: 2 * time.Second, MaxPending: 1 + random.IntN(100), KeepOriginal: seed%2 == 0,
				Changed: func(*kill.Event) {},
			}
			if seed%3 == 0 {
				config.Wait = func(e *kill.Event) time.Duration { return time.Duration(e.Sender.PID%3) * time.Millisecond }
			}
			one := NewScanner(config, 2*MaxLine, seed%4 > 0)
			one.lines.newPreviewer = func() *correlate.Previewer { return nil }
			want := tell(one, text, func() int { return 1000 }, false)
			require.NotEmpty(t, want)
			got := tell(NewScanner(config, 2*MaxLine+random.IntN(MaxLine), seed%4 > 0), text, func() int { return 1 + random.IntN(300_000) }, true)
			require.Len(t, got, len(want))
			for i := range want {
				require.Equal(t, want[i], got[i])
			}
		})
	}
}

// recorded returns the lines of all recordings.
func recorded(t *testing.T) (lines []string) {
	t.Helper()
	paths, err := filepath.Glob("../../testdata/cases/*.log")
	require.NoError(t, err)
	for _, name := range []string{"seed.log", "variants.log", "tamper.log", "behind.log", "forged.log"} {
		paths = append(paths, "../../testdata/"+name)
	}
	for _, path := range paths {
		var text []byte
		text, err = os.ReadFile(path)
		require.NoError(t, err)
		lines = append(lines, strings.Split(string(text), "\n")...)
	}
	file, err := os.Open("../../testdata/mixed.log.gz")
	require.NoError(t, err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	mixed, err := io.ReadAll(io.LimitReader(unzipped, 4<<20))
	require.NoError(t, err)
	return append(lines, strings.Split(string(mixed), "\n")...)
}

// anyLog makes a log of half a megabyte and more of pieces of what was recorded, damaged here and there.
func anyLog(random *rand.Rand, lines []string) []byte {
	var text []byte
	end := "\n"
	// The audit system may be changed by any call, such as one that removes a file that is watched.
	changes := strings.NewReplacer("syscall=44 ", "syscall=87 ")
	if random.IntN(2) == 0 {
		changes = strings.NewReplacer()
	}
	if random.IntN(4) == 0 {
		end = "\r\n"
	}
	for len(text) < 512<<10 {
		from := random.IntN(len(lines))
		piece := slices.Clone(lines[from:min(len(lines), from+1+random.IntN(400))])
		for i, line := range piece {
			switch random.IntN(200) {
			case 0:
				line = piece[random.IntN(len(piece))] // again, or out of order
			case 1:
				line = line[:random.IntN(len(line)+1)]
			case 2:
				line = strings.Repeat("\x00", random.IntN(100)) + line
			case 3:
				line = "node=db" + strconv.Itoa(random.IntN(3)) + " " + line
			case 4:
				line, piece[i] = piece[max(0, i-1)], line
			case 5:
				continue
			}
			text = append(append(text, changes.Replace(line)...), end...)
		}
		switch random.IntN(10) {
		case 0:
			text = append(text, strings.Repeat("x", MaxLine-100+random.IntN(200))...) // with the next line
		case 1:
			text = append(append(text, piece[0]...), strings.Repeat("y", random.IntN(3*MaxLine))+end...)
		case 2: // more lines that are unclear than are marked at once
			text = append(text, strings.Repeat(end, maxMarks-random.IntN(50))...)
			for n := range 100 {
				stamp := fmt.Sprintf("msg=audit(1450214919.%03d:%d): ", n, n)
				text = append(text, "type=CONFIG_CHANGE "+stamp+"audit_enabled=0 old=1 auid=0 ses=1 res=1\n"+
					"type=SYSCALL "+stamp+"arch=c000003e syscall=1 \ntype=PROCTITLE "+stamp+"proctitle=61\n"...)
			}
		}
	}
	if random.IntN(2) == 0 {
		text = text[:len(text)-random.IntN(300)] // no line feed at its end
	}
	return text
}

// tell returns all that a scanner has to say about a log that is read in pieces.
func tell(s *Scanner, text []byte, piece func() int, aside bool) (story []string) {
	now := time.Unix(1450214919, 0)
	say := func(format string, args ...any) { story = append(story, fmt.Sprintf(format, args...)) }
	s.Rejected = func(line []byte, why error) { say("rejected line %d %q: %v", s.Line, line, why) }
	take := func() {
		for _, one := range s.Take() {
			said, err := json.Marshal(one)
			say("%s %v", said, err)
		}
	}
	end := 0
	for end < len(text) || s.More() {
		for end < len(text) && s.Room() {
			n := copy(s.Free(), text[end:min(len(text), end+piece())])
			end += n
			s.Filled(n)
			if !aside {
				break
			}
		}
		for s.Scan(correlate.Position(end), now); s.Full(); s.Scan(correlate.Position(end), now) {
			take()
			done := correlate.Position(end) - correlate.Position(s.Waiting())
			say("batch: done %d, safe %d, pending %d, held %d", done, s.Correlator.Safe(done), s.Correlator.Pending(), s.Correlator.Held())
			if aside {
				break // read ahead before the rest of what was read is scanned
			}
		}
	}
	s.Finish(correlate.Position(end), now)
	s.Correlator.Flush()
	take()
	say("%d lines, %+v, %+v", s.Line, s.Counts(), s.Correlator.Counts())
	return story
}

// TestUnfold keeps a target waiting for its call, so that no call can be passed by its preview alone.
func TestUnfold(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	fmt.Fprintln(&text, `type=OBJ_PID msg=audit(1450214919.000:9): opid=7 oauid=-1 ouid=33 oses=-1 ocomm="victim"`)
	for serial := range 8 {
		fmt.Fprintf(&text, "type=SYSCALL msg=audit(1450214919.000:%d): arch=c000003e syscall=1 \n", serial)
		fmt.Fprintf(&text, "type=CWD msg=audit(1450214919.000:%d): cwd=\"/\"\n", serial)
		fmt.Fprintf(&text, "type=PROCTITLE msg=audit(1450214919.000:%d): proctitle=61\n", serial)
	}
	s := newTestScanner()
	scanAll(s, text.Bytes(), time.Now())
	require.EqualValues(t, 25, s.Counts().Records)
	require.EqualValues(t, 25, s.Line)
	require.EqualValues(t, text.Len(), s.Counts().Bytes)
}
