// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	// crashes is how often the collector is killed.
	crashes = 18
	// seedVariable repeats the random choices of an earlier run.
	seedVariable = "AUDITKILL_E2E_SEED"
)

// Promised: kill -9 at any moment loses nothing, and what is delivered twice is
// the same both times.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		events []auditEvent
		// open are events that end only when nothing more has come for a
		// while, so that the checkpoint must stay behind.
		open []auditEvent
	}{
		"auditd of today":     {events: kills(t)},
		"no PROCTITLE (2015)": {events: kills(t), open: loadEvents(t, "../testdata/seed.log", -1)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRaggedWriter(t)
			sink := newSink(t, "grpc")
			c := config{
				receiver:   fmt.Sprintf("{file: {path: %q, start_at: beginning}, storage: file_storage}", w.log.path),
				exporter:   sink.exporter,
				extensions: fileStorage(t.TempDir()),
			}
			running := start(t, c)
			for i := range crashes {
				life := w.duration(30, 900)
				if i%6 == 5 {
					life = w.duration(2500, 3500) // longer than an event is waited for
				}
				for end := time.Now().Add(life); time.Now().Before(end); {
					w.step(test.events, test.open)
				}
				running.kill()
				for range w.random.IntN(30) {
					w.step(test.events, test.open)
				}
				running = start(t, c)
			}
			w.flush()
			awaitAll(t, sink, w.log.want)
			running.stop()
			assertConsistent(t, sink.records(), w.log.want)
			for _, r := range sink.records() {
				require.Equal(t, true, r.Attributes["kill.complete"], r.Body)
			}
			t.Logf("%d log records wanted, %d taken, %d files", len(w.log.want), sink.count(), w.files)
		})
	}
}

// awaitAll waits until every wanted log record has been taken.
func awaitAll(t *testing.T, sink *sink, want []key) {
	t.Helper()
	var missing []key
	arrived := assert.Eventually(t, func() bool {
		missing = lacking(want, sink.records())
		return len(missing) == 0
	}, patience, 200*time.Millisecond)
	require.True(t, arrived, "%d log records never arrived, the first is %+v", len(missing), missing[:min(1, len(missing))])
}

// lacking returns the wanted log records that are not there.
func lacking(want []key, got []record) []key {
	there := make(map[key]bool)
	for i := range got {
		there[got[i].key()] = true
	}
	return slices.DeleteFunc(slices.Clone(want), func(k key) bool { return there[k] })
}

// assertConsistent checks that the log records are those wanted and no others,
// and that their uids tell which of them are the same.
func assertConsistent(t *testing.T, got []record, want []key) {
	t.Helper()
	byKey := make(map[key]record)
	uids := make(map[any]key)
	for _, r := range got {
		// The one thing that may differ: the file has another name after a rotation.
		delete(r.Attributes, "log.file.path")
		k := r.key()
		if first, seen := byKey[k]; seen {
			require.Equal(t, first, r, "a log record delivered twice is the same both times")
		}
		byKey[k] = r
		uid := r.Attributes["log.record.uid"]
		if other, seen := uids[uid]; seen {
			require.Equal(t, other, k, "log records of the same uid")
		}
		uids[uid] = k
	}
	assert.Len(t, slices.Collect(maps.Keys(byKey)), len(want), "log records, each counted once")
	assert.Empty(t, lacking(want, got), "log records that never arrived")
	assert.Len(t, uids, len(byKey), "one uid for each")
}

// raggedWriter writes a log as badly as it can be written: in pieces that end
// anywhere, the records of some events interleaved, rotated between any two
// records.
type raggedWriter struct {
	log    *auditLog
	noise  []auditEvent
	random *rand.Rand
	// unwritten is the rest of a line that was begun.
	unwritten string
	files     int
}

func newRaggedWriter(t *testing.T) *raggedWriter {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, seedVariable)
	}
	t.Logf("random choices: %s=%d", seedVariable, seed)
	return &raggedWriter{
		log:    newAuditLog(t),
		noise:  noise(t),
		random: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // repeatable, not secret
		files:  1,
	}
}

// duration is a random number of milliseconds.
func (w *raggedWriter) duration(from, to int) time.Duration {
	return time.Duration(from+w.random.IntN(to-from)) * time.Millisecond
}

func (w *raggedWriter) pick(events []auditEvent) auditEvent {
	return events[w.random.IntN(len(events))]
}

// step writes a few events, and takes the time that a host takes.
func (w *raggedWriter) step(events, open []auditEvent) {
	chosen := [][]string{w.log.stamp(w.pick(w.noise))}
	for range 1 + w.random.IntN(2) {
		chosen = append(chosen, w.log.stamp(w.pick(events)))
	}
	if len(open) > 0 && w.random.IntN(60) == 0 {
		chosen = append(chosen, w.log.stamp(w.pick(open)))
	}
	for len(chosen) > 0 {
		i := w.random.IntN(len(chosen))
		w.line(chosen[i][0])
		if chosen[i] = chosen[i][1:]; len(chosen[i]) == 0 {
			chosen = slices.Delete(chosen, i, i+1)
		}
	}
	time.Sleep(w.duration(0, 8))
}

// line writes one line, of which a part may stay behind until the next.
func (w *raggedWriter) line(line string) {
	text := w.unwritten + line
	if w.random.IntN(300) == 0 {
		w.unwritten = text
		w.flush()
		w.log.rotate()
		w.files++
		return
	}
	for text != "" && w.random.IntN(8) > 0 {
		n := min(len(text), 1+w.random.IntN(400))
		w.log.write(text[:n])
		text = text[n:]
	}
	w.unwritten = text
	if strings.Count(text, "\n") > 3 {
		w.flush()
	}
}

func (w *raggedWriter) flush() {
	w.log.write(w.unwritten)
	w.unwritten = ""
}
