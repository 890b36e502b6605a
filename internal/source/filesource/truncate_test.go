// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// copyTruncate does what logrotate's copytruncate does: it copies the log to
// the given path and empties it.
func (l *auditLog) copyTruncate(t require.TestingT, copied string) {
	text, err := os.ReadFile(l.path)
	require.NoError(t, err)
	l.write(t, copied, string(text))
	require.NoError(t, os.Truncate(l.path, 0))
}

func TestTruncateWhileReading(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		// change adds the events from 11 on to a log that holds 1 to 3.
		change func(*testing.T, *bench)
		want   []int
		lost   int64
		// unseen is for what is lost only if it happens between two checks.
		unseen bool
		// again allows events to come more than once.
		again bool
	}{
		"copied": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.copyTruncate(t, b.number(1))
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"copied, grown again beyond what was read": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.copyTruncate(t, b.number(1))
				b.append(t, event(upTo(12, 30)...))
			},
			want: upTo(11, 30),
		},
		"copied several times": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.copyTruncate(t, b.number(1))
				b.append(t, event(12))
				require.NoError(t, os.Rename(b.number(1), b.number(2)))
				b.copyTruncate(t, b.number(1))
				b.append(t, event(13))
			},
			want: upTo(11, 13),
		},
		"copied and compressed": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.copyTruncate(t, b.number(1))
				b.compress(t, b.number(1))
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"copied, then rotated": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.copyTruncate(t, b.number(1))
				b.append(t, event(12))
				b.rotate(t, 5)
				b.append(t, event(13))
			},
			want: upTo(11, 13),
		},
		"by a writer that does not append": {
			// Writing continues at the old offset, so that the file begins with NULs.
			change: func(t *testing.T, b *bench) {
				info, err := os.Stat(b.path)
				require.NoError(t, err)
				b.copyTruncate(t, b.number(1))
				b.append(t, strings.Repeat("\x00", int(info.Size()))+event(11))
			},
			want: upTo(11, 11),
		},
		"no copy": {
			change: func(t *testing.T, b *bench) {
				require.NoError(t, os.Truncate(b.path, 0))
				b.append(t, event(11))
			},
			want: upTo(11, 11),
			lost: 1,
		},
		"no copy, grown again beyond what was read": {
			change: func(t *testing.T, b *bench) {
				require.NoError(t, os.Truncate(b.path, 0))
				b.append(t, event(upTo(11, 30)...))
			},
			want: upTo(11, 30),
			lost: 1,
		},
		"no copy, and nothing after": {
			change: func(t *testing.T, b *bench) { require.NoError(t, os.Truncate(b.path, 0)) },
			lost:   1,
		},
		"no copy, then rotated": {
			change: func(t *testing.T, b *bench) {
				require.NoError(t, os.Truncate(b.path, 0))
				b.append(t, event(11))
				b.rotate(t, 5)
				b.append(t, event(12))
			},
			want: upTo(11, 12),
			lost: 1,
		},
		"a copy for which there was no room": {
			change: func(t *testing.T, b *bench) {
				b.copyTruncate(t, b.number(1))
				require.NoError(t, os.Truncate(b.number(1), 1100))
				b.append(t, event(11))
			},
			want:   upTo(11, 11),
			lost:   1,
			unseen: true, // or it would go on in the copy while that is whole
		},
		"a damaged compressed copy": {
			change: func(t *testing.T, b *bench) {
				b.copyTruncate(t, b.number(1))
				text := zipped(t, event(1, 2, 3))
				b.write(t, b.number(1)+".gz", text[:len(text)-8])
				require.NoError(t, os.Remove(b.number(1)))
				b.append(t, event(11))
			},
			want:   upTo(11, 11),
			lost:   1,
			unseen: true, // or it would go on in the copy while that is whole
		},
		"shortened": {
			change: func(t *testing.T, b *bench) {
				require.NoError(t, os.Truncate(b.path, int64(len(event(1)))))
				b.append(t, event(11))
			},
			want:  upTo(11, 11),
			lost:  1,
			again: true,
		},
		"rotated before": {
			change: func(t *testing.T, b *bench) {
				b.rotate(t, 5)
				b.append(t, event(11))
				b.rotate(t, 5)
				require.NoError(t, os.Chmod(b.number(2), 0o600)) // auditd has left it read-only
				require.NoError(t, os.Truncate(b.number(2), 0))
				b.append(t, event(12))
			},
			want:   upTo(11, 12),
			lost:   1,
			unseen: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whileReading(t, test.unseen, test.change, func(t *testing.T, b *bench, r *run) {
				t.Helper()
				want := append(upTo(1, 3), test.want...)
				require.Eventually(t, func() bool {
					return b.lost() >= test.lost && len(r.sink.counts()) >= len(want)
				}, patience, look)
				r.stop()
				if !test.again {
					r.check(want...)
				}
				for _, n := range want {
					assert.Contains(t, r.sink.counts(), keyOf(n))
				}
				assert.Equal(t, test.lost, b.lost())
			})
		})
	}
}

// TestHalfALineGoesOnInTheCopy reads half a line from the log and the rest of it from its copy.
func TestHalfALineGoesOnInTheCopy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := start(t, b.settings())
	resume := r.freeze(b, 1, event(4)[:100])
	b.append(t, event(4)[100:])
	b.copyTruncate(t, b.number(1))
	b.append(t, event(5))
	resume()
	r.await(upTo(1, 5)...)
	assert.Zero(t, b.lost())
	assert.Zero(t, b.rejected())
}
