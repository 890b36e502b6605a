// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

const (
	// crashes is how many times the collector is killed.
	crashes = 18
	// seedVariable is an environment variable with the seed of an earlier run, to repeat its random choices.
	seedVariable = "AUDITKILL_E2E_SEED"
)

// We promise that kill -9 at any moment loses nothing, and that duplicates equal the first
// delivery.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		events []auditlog.Event
		// open are events that are complete only after a timeout: the checkpoint must not
		// move past them before.
		open []auditlog.Event
	}{
		"auditd of today":     {events: auditlog.Kills(t)},
		"no PROCTITLE (2015)": {events: auditlog.Kills(t), open: auditlog.Load(t, harness.Path("testdata/seed.log"), -1)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRaggedWriter(t)
			sink := otlp.NewSink(t, "grpc")
			c := collector.Config{
				Receiver:   fmt.Sprintf("{file: {path: %q, start_at: beginning}, storage: file_storage}", w.log.Path),
				Exporter:   sink.Exporter,
				Extensions: collector.FileStorage(t.TempDir()),
			}
			running := collector.Start(t, c)
			for i := range crashes {
				life := w.duration(30, 900)
				if i%6 == 5 {
					life = w.duration(2500, 3500) // longer than the timeout of an event
				}
				for end := time.Now().Add(life); time.Now().Before(end); {
					w.step(test.events, test.open)
				}
				running.Kill()
				for range w.random.IntN(30) {
					w.step(test.events, test.open)
				}
				running = collector.Start(t, c)
			}
			w.flush()
			otlp.AwaitAll(t, sink, w.log.Want)
			running.Stop()
			otlp.AssertConsistent(t, sink.Records(), w.log.Want)
			for _, r := range sink.Records() {
				require.Equal(t, true, r.Attributes["kill.complete"], r.Body)
			}
			t.Logf("%d log records wanted, %d taken, %d files", len(w.log.Want), sink.Count(), w.files)
		})
	}
}

// raggedWriter writes a log in the worst possible way: in pieces that end anywhere, with interleaved
// events, and with rotations between any two records.
type raggedWriter struct {
	log    *auditlog.Log
	noise  []auditlog.Event
	random *rand.Rand
	// unwritten is the rest of a partly written line.
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
		log:    auditlog.New(t),
		noise:  auditlog.Noise(t),
		random: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // repeatable, not secret
		files:  1,
	}
}

// duration returns a random number of milliseconds.
func (w *raggedWriter) duration(from, to int) time.Duration {
	return time.Duration(from+w.random.IntN(to-from)) * time.Millisecond
}

func (w *raggedWriter) pick(events []auditlog.Event) auditlog.Event {
	return events[w.random.IntN(len(events))]
}

// step writes a few events, and pauses as a real host does.
func (w *raggedWriter) step(events, open []auditlog.Event) {
	chosen := [][]string{w.log.Stamp(w.pick(w.noise))}
	for range 1 + w.random.IntN(2) {
		chosen = append(chosen, w.log.Stamp(w.pick(events)))
	}
	if len(open) > 0 && w.random.IntN(60) == 0 {
		chosen = append(chosen, w.log.Stamp(w.pick(open)))
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

// line writes one line. A part of it may be written only with the next line.
func (w *raggedWriter) line(line string) {
	text := w.unwritten + line
	if w.random.IntN(300) == 0 {
		w.unwritten = text
		w.flush()
		w.log.Rotate()
		w.files++
		return
	}
	for text != "" && w.random.IntN(8) > 0 {
		n := min(len(text), 1+w.random.IntN(400))
		w.log.Write(text[:n])
		text = text[n:]
	}
	w.unwritten = text
	if strings.Count(text, "\n") > 3 {
		w.flush()
	}
}

func (w *raggedWriter) flush() {
	w.log.Write(w.unwritten)
	w.unwritten = ""
}
