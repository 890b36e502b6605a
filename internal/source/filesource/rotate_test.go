// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRotateWhileReading changes a log that is being read. Each case begins with a log whose first
// events have been read.
func TestRotateWhileReading(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		// change adds the events from 11 on to the log.
		change func(*testing.T, *bench)
		want   []int
		lost   int64
		// unseen is for what can be noticed only if it happens between two checks.
		unseen bool
	}{
		"once": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.rotate(t, 5)
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"several times": {
			change: func(t *testing.T, b *bench) {
				for n := 11; n < 14; n++ {
					b.append(t, event(n))
					b.rotate(t, 5)
				}
				b.append(t, event(14))
			},
			want: upTo(11, 14),
		},
		"in the middle of an event": {
			change: func(t *testing.T, b *bench) {
				b.append(t, records(11)[0]+"\n"+records(11)[1]+"\n")
				b.rotate(t, 5)
				b.append(t, records(11)[2]+"\n")
			},
			want: upTo(11, 11),
		},
		"without a line in between": {
			change: func(t *testing.T, b *bench) {
				b.rotate(t, 5)
				b.rotate(t, 5)
				b.rotate(t, 5)
				b.append(t, event(11))
			},
			want: upTo(11, 11),
		},
		"the file that is read was removed, the next one not": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.rotate(t, 2)
				b.append(t, event(12))
				require.NoError(t, os.Remove(b.number(1)))
			},
			want: upTo(11, 12),
		},
		"more often than files are kept": {
			change: func(t *testing.T, b *bench) {
				for n := 11; n < 15; n++ {
					b.append(t, event(n))
					b.rotate(t, 3)
				}
				b.append(t, event(15))
			},
			// 11 is in the file that is held open, 12 is in no file any more.
			want:   []int{11, 13, 14, 15},
			lost:   1,
			unseen: true,
		},
		"no new log yet": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.rename(t, 5)
			},
			want: upTo(11, 11),
		},
		"moved elsewhere": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				require.NoError(t, os.Rename(b.path, filepath.Join(t.TempDir(), "kept.log")))
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"removed and created again": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				require.NoError(t, os.Remove(b.path))
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"removed together with its folder and created again": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				require.NoError(t, os.RemoveAll(filepath.Dir(b.path)))
				require.NoError(t, os.Mkdir(filepath.Dir(b.path), 0o700))
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"created again after the clock was set back": {
			change: func(t *testing.T, b *bench) {
				require.NoError(t, os.Remove(b.path))
				b.append(t, event(0))
			},
			want: upTo(0, 0),
		},
		"replaced by a copy of itself": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11)[:100])
				text, err := os.ReadFile(b.path)
				require.NoError(t, err)
				b.write(t, b.path+".new", string(text))
				require.NoError(t, os.Rename(b.path+".new", b.path))
				b.append(t, event(11)[100:])
			},
			want: upTo(11, 11),
		},
		"compressed at once": {
			change: func(t *testing.T, b *bench) {
				b.append(t, event(11))
				b.rotate(t, 5)
				b.compress(t, b.number(1))
				b.append(t, event(12))
			},
			want: upTo(11, 12),
		},
		"compressed at once, several times": {
			change: func(t *testing.T, b *bench) {
				for n := 11; n < 14; n++ {
					b.append(t, event(n))
					if n > 11 {
						require.NoError(t, os.Rename(b.number(n-11)+".gz", b.number(n-10)+".gz"))
						if n > 12 {
							require.NoError(t, os.Rename(b.number(1)+".gz", b.number(2)+".gz"))
						}
					}
					b.rotate(t, 2)
					b.compress(t, b.number(1))
				}
				b.append(t, event(14))
			},
			want: upTo(11, 14),
		},
		"the next one was damaged when it was compressed": {
			change: func(t *testing.T, b *bench) {
				b.rotate(t, 5)
				b.append(t, event(11))
				b.rotate(t, 5)
				require.NoError(t, os.Remove(b.number(1)))
				b.write(t, b.number(1)+".gz", "not gzip at all")
				b.append(t, event(12))
			},
			want:   upTo(12, 12),
			lost:   1,
			unseen: true,
		},
		"the writer goes on in the old file until it is told": {
			change: func(t *testing.T, b *bench) {
				writer, err := os.OpenFile(b.path, os.O_APPEND|os.O_WRONLY, 0)
				require.NoError(t, err)
				defer writer.Close()
				b.rotate(t, 5)
				for n := 11; n < 15; n++ {
					_, err = writer.WriteString(event(n))
					require.NoError(t, err)
				}
				b.append(t, event(15))
			},
			want: upTo(11, 15),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whileReading(t, test.unseen, test.change, func(t *testing.T, b *bench, r *run) {
				t.Helper()
				want := append(upTo(1, 3), test.want...)
				r.await(want...)
				r.stop()
				r.check(want...)
				assert.Equal(t, test.lost, b.lost())
			})
		})
	}
}

// TestRemovedWhileReading removes rotated files that are still to be read.
func TestRemovedWhileReading(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		remove []int
		want   []int
		lost   int64
	}{
		"the one that is read": {remove: []int{3}, want: upTo(1, 4)},
		"and the next":         {remove: []int{3, 2}, want: upTo(1, 4), lost: 1}, // there might have been more
		"and all others":       {remove: []int{3, 2, 1}, want: []int{1, 2, 4}, lost: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for n := 1; n <= 3; n++ {
				b.write(t, b.number(4-n), event(n))
			}
			b.append(t, event(4))
			r := prepare(t, b.settings())
			for _, n := range test.remove {
				require.NoError(t, os.Remove(b.number(n)))
			}
			r.read()
			r.await(test.want...)
			assert.Equal(t, test.lost, b.lost())
		})
	}
}
