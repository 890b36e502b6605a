// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

func newTestScanner(tb testing.TB) *scanner {
	tb.Helper()
	return newScanner(correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192}, new(source.Counts), func() {})
}

// scanAll feeds a scanner as the source does.
func scanAll(s *scanner, text []byte, now time.Time) {
	for end := 0; end < len(text); {
		n := copy(s.lines.free(), text[end:])
		s.lines.filled(n)
		end += n
		for s.more = true; s.more; {
			s.scan(correlate.Position(end), now)
			if len(s.events) >= maxBatch {
				s.take()
			}
		}
	}
}

// TestEventInTwoReads lets a read end on every byte of an event.
func TestEventInTwoReads(t *testing.T) {
	t.Parallel()
	seed, err := os.ReadFile("../../../testdata/seed.log")
	require.NoError(t, err)
	seed = append(bytes.TrimSuffix(seed, []byte("\n")), '\n')
	for cut := range len(seed) + 1 {
		s := newTestScanner(t)
		scanAll(s, seed[:cut], time.Now())
		require.Equal(t, int64(bytes.Count(seed[:cut], []byte("\n"))), s.records)
		scanAll(s, seed[cut:], time.Now())
		s.correlator.Flush()
		require.Len(t, s.events, 1, "cut at %d", cut)
		require.True(t, s.events[0].Complete)
		require.Equal(t, 3936, s.events[0].Targets[0].PID)
		require.Equal(t, "mysqld", s.events[0].Targets[0].Command)
		require.Zero(t, s.malformed)
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

// BenchmarkScan reads a recording of which one record in 84 belongs to a kill.
func BenchmarkScan(b *testing.B) {
	benchmarkScan(b, func(line []byte) bool { return len(line) > 0 })
}

// BenchmarkScanOthers leaves out the lines of kills: what is left must cost no
// allocation at all.
func BenchmarkScanOthers(b *testing.B) {
	s := benchmarkScan(b, func(line []byte) bool {
		return !bytes.Contains(line, []byte("syscall=62 ")) && !bytes.Contains(line, []byte("type=OBJ_PID")) &&
			!bytes.Contains(line, []byte("type=PROCTITLE"))
	})
	require.Empty(b, s.take())
}

func benchmarkScan(b *testing.B, keep func(line []byte) bool) *scanner {
	b.Helper()
	file, err := os.Open("../../../testdata/mixed.log.gz")
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
	s := newTestScanner(b)
	now := time.Now()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		scanAll(s, text, now)
		s.correlator.Flush()
	}
	return s
}
