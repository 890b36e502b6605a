// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

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
)

func newTestScanner() *Scanner {
	return NewScanner(correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192}, 0)
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
		require.Len(t, s.events, 1, "cut at %d", cut)
		require.True(t, s.events[0].Complete)
		require.Equal(t, 3936, s.events[0].Targets[0].PID)
		require.Equal(t, "mysqld", s.events[0].Targets[0].Command)
		require.Zero(t, s.Counts().Malformed)
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
	benchmarkScan(b, func(line []byte) bool { return len(line) > 0 })
}

// BenchmarkScanOthers leaves out the lines of kills and of changes of the audit system: the rest must not allocate.
func BenchmarkScanOthers(b *testing.B) {
	s := benchmarkScan(b, func(line []byte) bool {
		return !bytes.Contains(line, []byte("syscall=62 ")) && !bytes.Contains(line, []byte("type=OBJ_PID")) &&
			!bytes.Contains(line, []byte("type=CONFIG_CHANGE")) && !bytes.Contains(line, []byte("type=DAEMON_END")) &&
			!bytes.Contains(line, []byte("type=PROCTITLE"))
	})
	require.Empty(b, s.Take())
}

func benchmarkScan(b *testing.B, keep func(line []byte) bool) *Scanner {
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
	s := newTestScanner()
	now := time.Now()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		scanAll(s, text, now)
		s.Correlator.Flush()
	}
	return s
}
