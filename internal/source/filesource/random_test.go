// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source/filesource"
)

// TestAnything writes events whose records are mixed, rotates the log in every way, and stops and
// kills the source that reads it, all at random. At the end, each event has been delivered complete
// at least once, and nothing else has been.
func TestAnything(t *testing.T) {
	t.Parallel()
	for name, rotate := range map[string]func(*chaos){
		"as auditd rotates":    (*chaos).rename,
		"as logrotate rotates": (*chaos).renameAndCompress,
		"copytruncate":         (*chaos).copyAndTruncate,
		"in every way": func(c *chaos) {
			[]func(*chaos){(*chaos).rename, (*chaos).renameAndCompress, (*chaos).copyAndTruncate}[c.rand.IntN(3)](c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64() //nolint:gosec // not a secret
			t.Logf("seed %d", seed)
			c := &chaos{
				bench: newBench(t), t: t, rand: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // not a secret
			}
			c.settings = c.bench.settings()
			c.settings.Correlation.Timeout = time.Hour // however slow the machine is
			c.settings.Correlation.Wait = func(e *kill.Event) time.Duration {
				return time.Duration(e.Audit.Serial%3) * 5 * time.Millisecond
			}
			const events = 400
			for n := 1; n <= events; n += 4 {
				for _, line := range c.mixed(n, n+1, n+2, n+3) {
					c.appendInPieces(line + "\n")
					if c.rand.IntN(20) == 0 {
						rotate(c)
					}
					if c.rand.IntN(25) == 0 {
						c.restart()
					}
				}
			}
			if c.run == nil {
				c.launch()
			}
			assert.Eventually(t, func() bool { return len(c.delivered()) >= events }, patience, look)
			c.end()
			want := map[string]bool{}
			for n := 1; n <= events; n++ {
				want[keyOf(n)] = true
			}
			assert.Equal(t, want, c.delivered())
			assert.Zero(t, c.lost())
			assert.Zero(t, c.rejected())
		})
	}
}

// chaos is a log to which anything may happen.
type chaos struct {
	*bench

	t        *testing.T
	rand     *rand.Rand
	settings filesource.Settings
	// run is the source that reads the log now, if any; cancel ends it.
	run    *sink
	cancel context.CancelFunc
	done   chan struct{}
	ended  []*sink
}

// mixed returns the lines of some events in random order, except that a record stays near the others of its event.
func (c *chaos) mixed(events ...int) []string {
	var lines []string
	for _, n := range events {
		lines = append(lines, records(n)...)
	}
	c.rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return lines
}

// appendInPieces lets a half-written line be seen.
func (c *chaos) appendInPieces(line string) {
	cut := c.rand.IntN(len(line))
	c.append(c.t, line[:cut])
	if c.rand.IntN(10) == 0 {
		time.Sleep(time.Duration(c.rand.IntN(int(8 * time.Millisecond)))) // give the source a chance
	}
	c.append(c.t, line[cut:])
}

// shift renames all rotated files.
func (c *chaos) shift() {
	highest := 1
	for n := 1; n <= highest; n++ {
		if c.exists(n, "") || c.exists(n, ".gz") {
			highest = n + 1
		}
	}
	for n := highest; n > 1; n-- {
		for _, suffix := range []string{"", ".gz"} {
			if c.exists(n-1, suffix) {
				require.NoError(c.t, os.Rename(c.number(n-1)+suffix, c.number(n)+suffix))
			}
		}
	}
}

func (c *chaos) exists(n int, suffix string) bool {
	_, err := os.Stat(c.number(n) + suffix)
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(c.t, err)
	}
	return err == nil
}

func (c *chaos) rename() {
	c.shift()
	c.bench.rename(c.t, 1)
	if c.rand.IntN(2) == 0 {
		c.append(c.t, "")
	}
}

// renameAndCompress compresses one of the rotated files.
func (c *chaos) renameAndCompress() {
	c.rename()
	if n := 1 + c.rand.IntN(3); c.exists(n, "") {
		c.compress(c.t, c.number(n))
	}
}

func (c *chaos) copyAndTruncate() {
	if _, err := os.Stat(c.path); err != nil {
		return // renamed, and no line was written since
	}
	c.shift()
	c.copyTruncate(c.t, c.number(1))
}

// restart ends the source or starts another.
func (c *chaos) restart() {
	if c.run == nil {
		c.launch()
		return
	}
	if c.rand.IntN(2) == 0 {
		// Killed: nothing is delivered or stored from here on.
		c.run.close()
		c.storage = c.storage.copy(c.t)
		c.settings.Store = c.storage
	}
	c.end()
	if c.rand.IntN(3) > 0 {
		c.launch()
	}
}

// launch starts a source while the log continues to change.
func (c *chaos) launch() {
	ctx, cancel := context.WithCancel(context.Background())
	source, taken, done := filesource.New(c.settings), newSink(), make(chan struct{})
	c.run, c.cancel, c.done = taken, cancel, done
	go func() {
		defer close(done)
		if assert.NoError(c.t, source.Start(ctx)) {
			source.Run(ctx, taken.deliver)
		}
		assert.NoError(c.t, source.Close())
	}()
}

func (c *chaos) end() {
	c.cancel()
	<-c.done
	c.ended = append(c.ended, c.run)
	c.run = nil
}

// delivered returns the events that have been delivered complete by now.
func (c *chaos) delivered() map[string]bool {
	sinks := slices.Clone(c.ended)
	if c.run != nil {
		sinks = append(sinks, c.run)
	}
	whole := map[string]bool{}
	for _, taken := range sinks {
		for _, e := range taken.events() {
			if e.Complete && e.Sender.Title != "" {
				whole[identify(e)] = true
			}
		}
	}
	return whole
}
