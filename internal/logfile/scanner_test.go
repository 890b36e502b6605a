// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
)

func newTestScanner() *Scanner {
	return NewScanner(correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192}, 0, false)
}

// scanAll feeds a scanner as the source does.
func scanAll(s *Scanner, text []byte, now time.Time) {
	for end := 0; end < len(text); {
		n := copy(s.Free(), text[end:])
		s.Filled(n)
		end += n
		for s.more = true; s.more; {
			s.Scan(correlate.Position(end), now)
			if s.Full() {
				s.Take()
			}
		}
	}
}

// TestEventInTwoReads ends a read on every byte of an event.
func TestEventInTwoReads(t *testing.T) {
	t.Parallel()
	seed, err := os.ReadFile("../../testdata/seed.log")
	require.NoError(t, err)
	seed = append(bytes.TrimSuffix(seed, []byte("\n")), '\n')
	for cut := range len(seed) + 1 {
		s := newTestScanner()
		scanAll(s, seed[:cut], time.Now())
		require.Equal(t, int64(bytes.Count(seed[:cut], []byte("\n"))), s.Counts().Records)
		scanAll(s, seed[cut:], time.Now())
		s.Correlator.Flush()
		require.Len(t, s.seen, 1, "cut at %d", cut)
		require.True(t, s.seen[0].Event.Complete)
		require.Equal(t, 3936, s.seen[0].Event.Targets[0].PID)
		require.Equal(t, "mysqld", s.seen[0].Event.Targets[0].Command)
		require.Zero(t, s.Counts().Malformed)
	}
}

// TestFactsInOrder reads a recording in pieces of any size.
func TestFactsInOrder(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../testdata/behind.log")
	require.NoError(t, err)
	read := func(piece int) string {
		s := NewScanner(correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192}, 0, true)
		var story strings.Builder
		at, end := correlate.Position(-1), 0
		for end < len(text) {
			n := copy(s.Free(), text[end:min(len(text), end+piece)])
			s.Filled(n)
			end += n
			for s.more = true; s.more; {
				s.Scan(correlate.Position(end), time.Now())
				for _, one := range s.Take() {
					require.GreaterOrEqual(t, one.At, at)
					at = one.At
					switch {
					case one.Event != nil:
						fmt.Fprintln(&story, "event", one.Event.Audit.Serial)
					case one.Fact.Job != nil:
						fmt.Fprintln(&story, one.Fact.Job.Type, one.Fact.Job.Unit)
					case one.Fact.Command != nil:
						fmt.Fprintln(&story, one.Fact.Command.Title)
					}
				}
			}
		}
		return story.String()
	}
	whole := read(len(text))
	assert.Contains(t, whole, "systemctl\x00stop\x00mariadb\nevent 2977313\nevent 2977314\nstop mariadb.service\n")
	for piece := 100; piece < 30_000; piece *= 3 {
		require.Equal(t, whole, read(piece))
	}
}

// TestLastLineTellsAFact ends a log without a line feed.
func TestLastLineTellsAFact(t *testing.T) {
	t.Parallel()
	const line = `type=USER_CMD msg=audit(1450214919.813:2): pid=9 uid=1000 auid=1000 ses=17 msg='cwd="/" cmd="id" exe="/usr/bin/sudo" terminal=? res=success'`
	for end, want := range map[int]int{len(line): 1, len(line) - 1: 0} {
		s := NewScanner(correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192}, 0, true)
		scanAll(s, []byte(line[:end]), time.Now())
		s.Finish(correlate.Position(end), time.Now())
		assert.Len(t, s.Take(), want)
	}
}

func TestLooksWhole(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		`type=OBJ_PID msg=audit(1.000:1): opid=1 ocomm="a"`:    true,
		`type=SYSCALL msg=audit(1.000:1): comm="a" key=(null)`: true,
		`type=OBJ_PID msg=audit(1.000:1): opid=1 ocomm="`:      false,
		`type=OBJ_PID msg=audit(1.000:1): opid=1 ocomm="a`:     false,
		`type=OBJ_PID msg=audit(1.000:1): opid=1`:              false,
		`type=PROCTITLE msg=audit(1.000:1): proctitle=2F`:      false,
		`type=PROCTITLE msg=audit(1.000:1): proctitle=`:        false,
		"": false,
	} {
		assert.Equal(t, want, looksWhole([]byte(line)), line)
	}
}

// BenchmarkScan reads a recording in which one record in 84 belongs to a kill.
func BenchmarkScan(b *testing.B) {
	benchmarkScan(b, newTestScanner(), func(line []byte) bool { return len(line) > 0 })
}

// BenchmarkScanFacts does the same and tells facts, of which there are none.
func BenchmarkScanFacts(b *testing.B) {
	benchmarkScan(b, NewScanner(correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192}, 0, true), func(line []byte) bool { return len(line) > 0 })
}

// BenchmarkScanOthers leaves out the lines of kills and of changes of the audit system: the rest must not allocate.
func BenchmarkScanOthers(b *testing.B) {
	s := benchmarkScan(b, newTestScanner(), func(line []byte) bool {
		return !bytes.Contains(line, []byte("syscall=62 ")) && !bytes.Contains(line, []byte("type=OBJ_PID")) &&
			!bytes.Contains(line, []byte("type=CONFIG_CHANGE")) && !bytes.Contains(line, []byte("type=DAEMON_END")) &&
			!bytes.Contains(line, []byte("type=PROCTITLE"))
	})
	require.Empty(b, s.Take())
}

func benchmarkScan(b *testing.B, s *Scanner, keep func(line []byte) bool) *Scanner {
	b.Helper()
	file, err := os.Open("../../testdata/mixed.log.gz")
	require.NoError(b, err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	require.NoError(b, err)
	mixed, err := io.ReadAll(unzipped)
	require.NoError(b, err)
	var text []byte
	for line := range bytes.Lines(mixed) {
		if keep(line) {
			text = append(text, line...)
		}
	}
	now := time.Now()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		scanAll(s, text, now)
		s.Correlator.Flush()
	}
	return s
}
