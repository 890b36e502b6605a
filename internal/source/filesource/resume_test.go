// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestResume stops or kills a source that has read the events 1 to 3, changes
// the log, and starts another one.
func TestResume(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		// before makes the log, in place of event(1, 2, 3).
		before func(*testing.T, *bench)
		change func(*testing.T, *bench)
		// want are the events that the second source delivers.
		want []int
		lost int64
		// again allows events to come again, and incomplete.
		again bool
	}{
		"nothing has happened": {
			change: func(*testing.T, *bench) {},
		},
		"more was written": {
			change: func(t *testing.T, b *bench) { b.append(t, event(11, 12)) },
			want:   upTo(11, 12),
		},
		"the file was rotated": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.rotate(t, 5)
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"the file was rotated, and there is no other yet": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.rename(t, 5)
			},
			want: upTo(11, 11),
		},
		"the file was rotated several times": {
			change: func(t *testing.T, b *bench) {
				for n := 11; n < 15; n++ {
					b.append(t, event(n))
					b.rotate(t, 9)
				}
				b.append(t, event(15))
			},
			want: upTo(11, 15),
		},
		"the file was compressed": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.rotate(t, 5)
				b.compress(t, b.number(1))
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"the file was compressed, and damaged": {
			change: func(t *testing.T, b *bench) {
				b.rotate(t, 5)
				text := zipped(t, event(1, 2, 3, 11))
				b.write(t, b.number(1)+".gz", text[:len(text)-8])
				require.NoError(t, os.Remove(b.number(1)))
				b.append(t, event(12))
			},
			want: upTo(11, 12),
			lost: 1,
		},
		"the file was compressed, and cut before the place": {
			change: func(t *testing.T, b *bench) {
				b.rotate(t, 5)
				b.write(t, b.number(1)+".gz", zipped(t, event(1, 2, 3)[:1100]))
				require.NoError(t, os.Remove(b.number(1)))
				b.append(t, event(12))
			},
			want: upTo(12, 12),
			lost: 1,
		},
		"the file was copied and emptied": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.copyTruncate(t, b.number(1))
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"the file was copied and emptied, and nothing written": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.copyTruncate(t, b.number(1))
			},
			want: upTo(11, 11),
		},
		"the file was copied, emptied, and the copy compressed": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.copyTruncate(t, b.number(1))
				b.compress(t, b.number(1))
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"the file was copied, but not emptied yet": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				text, err := os.ReadFile(b.path)
				require.NoError(t, err)
				b.write(t, b.number(1), string(text))
			},
			want: upTo(11, 11),
		},
		"the file was emptied": {
			change: func(t *testing.T, b *bench) {
				require.NoError(t, os.Truncate(b.path, 0))
				b.append(t, event(11))
			},
			want: upTo(11, 11),
			lost: 1,
		},
		"the file was shortened": {
			change: func(t *testing.T, b *bench) {
				require.NoError(t, os.Truncate(b.path, 1100)) // in event 3
				b.rotate(t, 5)
				b.append(t, event(11))
			},
			want:  append(upTo(1, 2), 11),
			lost:  1,
			again: true,
		},
		"the file is gone": {
			change: func(t *testing.T, b *bench) {
				b.write(t, b.number(3), event(0)) // older than the place
				for n := 11; n < 14; n++ {
					b.append(t, event(n))
					b.rotate(t, 3)
				}
				b.append(t, event(14))
			},
			want: upTo(12, 14),
			lost: 1,
		},
		"all files are gone": {
			change: func(t *testing.T, b *bench) { require.NoError(t, os.Remove(b.path)) },
			lost:   1,
		},
		"the file is gone, and the clock was set back": {
			change: func(t *testing.T, b *bench) {
				require.NoError(t, os.Remove(b.path))
				b.append(t, event(0))
			},
			want: upTo(0, 0),
			lost: 1,
		},
		"there was no log": {
			before: func(*testing.T, *bench) {},
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.rotate(t, 5)
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"the log was empty": {
			before: func(t *testing.T, b *bench) { b.append(t, "") },
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.rotate(t, 5)
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"the log held half a line": {
			before: func(t *testing.T, b *bench) { b.append(t, event(11)[:80]) },
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11)[80:])
				b.rotate(t, 5)
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"the log held half a line, and a longer one follows": {
			before: func(t *testing.T, b *bench) {
				b.write(t, b.number(1), event(1, 2, 3))
				b.append(t, event(11)[:20]) // as any record begins
			},
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11)[20:])
				b.rotate(t, 5)
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"the last file held half a line": {
			before: func(t *testing.T, b *bench) {
				b.write(t, b.number(2), event(1, 2, 3))
				b.write(t, b.number(1), event(11)[:20])
			},
			change: func(t *testing.T, b *bench) { b.append(t, event(11)) },
			want:   upTo(11, 11),
		},
	} {
		for _, how := range []string{"stopped", "killed"} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				known := upTo(1, 3)
				if test.before == nil {
					b.append(t, event(known...))
				} else {
					test.before(t, b)
				}
				first := start(t, b.settings())
				if len(b.everything(t)) > len(event(known...)) || test.before == nil {
					first.await(known...)
				}
				settings := b.settings()
				if how == "killed" {
					// A killed collector stores nothing more.
					settings.Store = b.storage.copy(t)
				}
				first.stop()
				delivered := first.sink.counts()

				test.change(t, b)
				second := start(t, settings)
				require.Eventually(t, func() bool {
					return len(second.sink.counts()) >= len(test.want) && b.lost() >= test.lost
				}, patience, look)
				second.stop()
				for _, n := range test.want {
					assert.Equal(t, 1, second.sink.counts()[keyOf(n)], "event %d", n)
				}
				for _, e := range second.sink.events() {
					assert.True(t, e.Complete || test.again, "event %d", e.Audit.Serial)
				}
				if how == "stopped" && !test.again {
					for key := range delivered {
						assert.NotContains(t, second.sink.counts(), key, "delivered before")
					}
				}
				assert.Equal(t, test.lost, b.lost())
				assert.Len(t, b.logs.FilterMessage("a part of the log is lost").All(), int(test.lost))
			})
		}
	}
}

// TestResumeBesideOlderFiles waits for a log of which only files remain that were read before.
func TestResumeBesideOlderFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(t, b.number(1), event(1))
	b.append(t, event(2))
	r := start(t, b.settings())
	r.await(1, 2)
	r.stop()
	require.NoError(t, os.Remove(b.path))
	r = start(t, b.settings())
	b.append(t, event(3))
	r.await(3)
	assert.Equal(t, int64(1), b.lost())
}

// everything returns the content of all uncompressed files of the log.
func (l *auditLog) everything(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(l.path + "*")
	require.NoError(t, err)
	var text strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		text.Write(content)
	}
	return text.String()
}

func TestCheckpointOfNoUse(t *testing.T) {
	t.Parallel()
	const sound = `{"version":1,"prefix_length":10,"prefix_sum":1,"device":1,"inode":1,"offset":1,"first":{}}`
	for name, test := range map[string]struct {
		value string
		want  string
	}{
		"no JSON":                {value: "\x00\x01", want: "is damaged, remove the storage to start anew"},
		"empty":                  {value: "", want: "is damaged, remove the storage to start anew"},
		"cut":                    {value: sound[:40], want: "is damaged, remove the storage to start anew"},
		"another version":        {value: `{"version":2}`, want: "has version 2, this receiver reads version 1"},
		"a negative offset":      {value: `{"version":1,"offset":-1}`, want: "is damaged, remove the storage to start anew"},
		"a negative length":      {value: `{"version":1,"prefix_length":-1}`, want: "is damaged, remove the storage to start anew"},
		"a length beyond bounds": {value: `{"version":1,"prefix_length":1025}`, want: "is damaged, remove the storage to start anew"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.append(t, event(1))
			require.NoError(t, b.storage.Set(t.Context(), "file:"+b.path, []byte(test.value)))
			source := newSource(t, b.settings())
			err := source.Start(t.Context())
			require.ErrorContains(t, err, test.want)
			assert.ErrorContains(t, err, "file:"+b.path)
		})
	}
	t.Run("of a file that never was", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.append(t, event(1))
		require.NoError(t, b.storage.Set(t.Context(), "file:"+b.path, []byte(sound)))
		start(t, b.settings()).await(1)
	})
	t.Run("storage that cannot be read", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		require.NoError(t, b.storage.Close(t.Context()))
		source := newSource(t, b.settings())
		require.ErrorContains(t, source.Start(t.Context()), "reading the checkpoint")
	})
}

// TestCheckpointWaitsForDelivery checks that the checkpoint does not move until what was read has
// been accepted.
func TestCheckpointWaitsForDelivery(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append(t, event(1))
	r := start(t, b.settings())
	at := func() int64 { return b.storage.checkpoint(t, b.path).Offset }
	size := func() int64 { return int64(len(b.everything(t))) }
	r.await(1)
	require.Eventually(t, func() bool { return at() == size() }, patience, look)
	before := size()
	resume := r.freeze(b, 2)
	assert.Equal(t, before, at())
	resume()
	r.await(upTo(1, 4)...)
	require.Eventually(t, func() bool { return at() == size() }, patience, look)
}

// TestRefusedAtShutdown makes the receiver refuse events because it shuts down; they come again
// after the restart, with those read after them.
func TestRefusedAtShutdown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append(t, event(1))
	r := start(t, b.settings())
	r.await(1)
	resume := r.freeze(b, 2)
	r.sink.close()
	r.cancel()
	resume()
	r.stop()
	r.check(1)
	start(t, b.settings()).await(upTo(2, 4)...)
}

// TestPendingAtShutdown stops a source that waits for the rest of an event.
func TestPendingAtShutdown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	lines := records(2)
	// Event 3 is complete, but comes after a record of event 2.
	b.append(t, event(1)+lines[0]+"\n"+lines[1]+"\n"+event(3))
	r := start(t, b.settings())
	require.Eventually(t, func() bool { return len(r.sink.counts()) == 2 }, patience, look)
	r.stop()
	r.check(1, 2, 3) // what is pending is delivered as far as it is known
	assert.Empty(t, r.sink.events()[2].Sender.Title)
	assert.Equal(t, int64(len(event(1))), b.storage.checkpoint(t, b.path).Offset)

	b.append(t, lines[2]+"\n")
	r = start(t, b.settings())
	r.await(2, 3)
	assert.Equal(t, "killer\x00-9", r.sink.events()[1].Sender.Title)
}

// TestStorageFull expects events to be delivered while the checkpoint cannot be stored, and the
// checkpoint to be stored once there is room again.
func TestStorageFull(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	errFull := errors.New("no space left on device")
	b.storage.fill(errFull)
	r := start(t, b.settings())
	for n := 1; n <= 3; n++ {
		b.append(t, event(n))
		r.await(upTo(1, n)...)
	}
	require.Eventually(t, func() bool { return b.counts.CheckpointErrors.Load() >= 4 }, patience, look)
	failed := b.logs.FilterMessageSnippet("will be delivered again after a restart").All()
	require.Len(t, failed, 1, "logged once, not each time")
	require.ErrorIs(t, failed[0].Context[0].Interface.(error), errFull)
	require.ErrorContains(t, failed[0].Context[0].Interface.(error), "file:"+b.path)
	assert.Nil(t, b.storage.checkpoint(t, b.path))

	b.storage.fill(nil) // without anything new in the log
	require.Eventually(t, func() bool {
		at := b.storage.checkpoint(t, b.path)
		return at != nil && at.Offset == int64(len(event(1, 2, 3)))
	}, patience, look)
	r.stop()
	start(t, b.settings()).await()
}

// TestCheckpointWithoutEvents expects the checkpoint to advance although nothing in the log is an
// event, and not to be stored again while nothing arrives.
func TestCheckpointWithoutEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	line := "type=CWD msg=" + stamp(1) + `: cwd="/"` + "\n"
	b.append(t, line)
	r := start(t, b.settings())
	for n := 2; n <= 3; n++ {
		b.append(t, line)
		require.Eventually(t, func() bool {
			return b.storage.checkpoint(t, b.path).Offset == int64(n*len(line))
		}, patience, look)
	}
	r.stop()
	tries := b.storage.tries()
	start(t, b.settings()).stop()
	assert.Equal(t, tries, b.storage.tries())
}
