// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

func TestStartAtEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(*testing.T, *bench)
		// append is what is added after Start.
		append string
		want   []int
	}{
		"a log with events": {
			prepare: func(t *testing.T, b *bench) { b.append(t, event(1, 2)) },
			append:  event(3),
			want:    upTo(3, 3),
		},
		"half a line was written": {
			prepare: func(t *testing.T, b *bench) { b.append(t, event(1)+event(2)[:100]) },
			append:  event(2)[100:],
			want:    upTo(2, 2),
		},
		"no log": {
			prepare: func(*testing.T, *bench) {},
			append:  event(1),
			want:    upTo(1, 1),
		},
		"an empty log": {
			prepare: func(t *testing.T, b *bench) { b.append(t, "") },
			append:  event(1),
			want:    upTo(1, 1),
		},
		"an empty log, just rotated": {
			prepare: func(t *testing.T, b *bench) {
				b.append(t, event(1))
				b.rotate(t, 5)
			},
			append: event(2),
			want:   upTo(2, 2),
		},
		"no log, only rotated files": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(2), event(1))
				b.write(t, b.number(1), event(2))
			},
			append: event(3),
			want:   upTo(3, 3),
		},
		"no log, only compressed files": {
			prepare: func(t *testing.T, b *bench) { b.write(t, b.number(1)+".gz", zipped(t, event(1))) },
			append:  event(2),
			want:    upTo(2, 2),
		},
		"a line without an end that is longer than what is looked at": {
			prepare: func(t *testing.T, b *bench) { b.append(t, string(make([]byte, 200_000))) },
			append:  "\n" + event(1),
			want:    upTo(1, 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			test.prepare(t, b)
			settings := b.settings()
			settings.FromBeginning = false
			first := prepare(t, settings)
			// Nothing may be missed from here on, even after a kill -9.
			killed := b.storage.copy(t)
			b.append(t, test.append)
			first.read()
			first.await(test.want...)
			assert.Zero(t, b.lost())

			settings.Store = killed
			start(t, settings).await(test.want...)
			assert.Zero(t, b.lost())
		})
	}
}

func TestStartAtBeginning(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(*testing.T, *bench)
		want    []int
		lost    int64
	}{
		"only the live file": {
			prepare: func(t *testing.T, b *bench) { b.append(t, event(1, 2)) },
			want:    upTo(1, 2),
		},
		"rotated files, the oldest first": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(2), event(1))
				b.write(t, b.number(1), event(2))
				b.append(t, event(3))
			},
			want: upTo(1, 3),
		},
		"an event spread over two files": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(1), records(1)[0]+"\n")
				b.append(t, records(1)[1]+"\n"+records(1)[2]+"\n")
			},
			want: upTo(1, 1),
		},
		"more than ten, in the order of their numbers": {
			prepare: func(t *testing.T, b *bench) {
				for n := 1; n <= 12; n++ {
					b.write(t, b.number(13-n), event(n))
				}
				b.append(t, event(13))
			},
			want: upTo(1, 13),
		},
		"as many as auditd keeps with keep_logs": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(1001), event(1))
				b.write(t, b.number(1000), event(2))
				b.write(t, b.number(999), event(3))
			},
			want: upTo(1, 3),
		},
		"compressed files": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(3)+".gz", zipped(t, event(1)))
				b.write(t, b.number(2)+".gz", zipped(t, event(2))+zipped(t, event(3)))
				b.write(t, b.number(1), event(4))
				b.append(t, event(5))
			},
			want: upTo(1, 5),
		},
		"a file beside its compressed copy, as while gzip runs": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(1), event(1, 2))
				b.write(t, b.number(1)+".gz", zipped(t, event(1, 2)))
				b.append(t, event(3))
			},
			want: upTo(1, 3),
		},
		"a file beside the beginning of its compressed copy": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(1), event(1, 2))
				b.write(t, b.number(1)+".gz", zipped(t, event(1, 2))[:100])
				b.append(t, event(3))
			},
			want: upTo(1, 3),
		},
		"a file beside an empty compressed copy": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(1), event(1))
				b.write(t, b.number(1)+".gz", "")
				b.append(t, event(2))
			},
			want: upTo(1, 2),
		},
		"a file beside another compressed one of the same number": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(1)+".gz", zipped(t, event(1)))
				b.write(t, b.number(1), event(2))
				b.append(t, event(3))
			},
			want: upTo(1, 3),
		},
		"a compressed file that is no gzip": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(2), event(1))
				b.write(t, b.number(1)+".gz", "not gzip at all")
				b.append(t, event(3))
			},
			want: []int{1, 3},
			lost: 1,
		},
		"a compressed file that ends too early": {
			prepare: func(t *testing.T, b *bench) {
				whole := zipped(t, event(upTo(1, 9)...))
				b.write(t, b.number(1)+".gz", whole[:len(whole)-8]) // length and checksum
				b.append(t, event(10))
			},
			want: upTo(1, 10),
			lost: 1,
		},
		"only damaged compressed files": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(2)+".gz", "not gzip at all")
				b.write(t, b.number(1)+".gz", "nor this")
			},
			lost: 2,
		},
		"empty files in between": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(3), "")
				b.write(t, b.number(2), event(1))
				b.write(t, b.number(1), "")
				b.append(t, event(2))
			},
			want: upTo(1, 2),
		},
		"no live file": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.number(2), event(1))
				b.write(t, b.number(1), event(2))
			},
			want: upTo(1, 2),
		},
		"files of other names": {
			prepare: func(t *testing.T, b *bench) {
				for _, name := range []string{"x", "audit.log.01", "audit.log.+1", "audit.log.0", "audit.log.1.bz2", "audit.log.20260101.old"} {
					b.write(t, filepath.Join(filepath.Dir(b.path), name), event(9))
				}
				require.NoError(t, os.Mkdir(b.number(1), 0o700))
				b.append(t, event(1))
			},
			want: upTo(1, 1),
		},
		"files with dates": {
			prepare: func(t *testing.T, b *bench) {
				b.write(t, b.path+"-20261127", event(1))
				b.write(t, b.path+"-20261128", event(2))
				b.append(t, event(3))
			},
			want: upTo(1, 3),
		},
		"a file packed by xz": {
			prepare: func(t *testing.T, b *bench) {
				var packed bytes.Buffer
				w, err := xz.NewWriter(&packed)
				require.NoError(t, err)
				_, err = io.WriteString(w, event(1))
				require.NoError(t, err)
				require.NoError(t, w.Close())
				b.write(t, b.path+"-20261128.xz", packed.String())
				b.append(t, event(2))
			},
			want: upTo(1, 2),
		},
		"a read-only log": {
			prepare: func(t *testing.T, b *bench) {
				b.append(t, event(1))
				require.NoError(t, os.Chmod(b.path, 0o400))
			},
			want: upTo(1, 1),
		},
	} {
		for _, follow := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", followed", false: ", to its end"}[follow], func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				test.prepare(t, b)
				settings := b.settings()
				settings.Follow = follow
				r := start(t, settings)
				require.Eventually(t, func() bool { return b.lost() >= test.lost }, patience, look)
				r.await(test.want...)
				r.stop()
				r.check(test.want...)
				assert.Equal(t, test.lost, b.lost())
			})
		}
	}
}

func TestLink(t *testing.T) {
	t.Parallel()
	for name, absolute := range map[string]bool{"absolute": true, "relative": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			elsewhere := &auditLog{path: filepath.Join(t.TempDir(), "real.log")}
			target := elsewhere.path
			if !absolute {
				var err error
				target, err = filepath.Rel(filepath.Dir(b.path), target)
				require.NoError(t, err)
			}
			require.NoError(t, os.Symlink(target, b.path))
			elsewhere.write(t, elsewhere.number(1), event(1))
			elsewhere.append(t, event(2))
			r := start(t, b.settings())
			r.await(1, 2)
			// Rotated twice at once, so that reading has to go through the file in between.
			resume := r.freeze(b, 3)
			elsewhere.append(t, event(6))
			elsewhere.rotate(t, 5)
			elsewhere.append(t, event(7))
			elsewhere.rotate(t, 5)
			elsewhere.append(t, event(8))
			resume()
			r.await(upTo(1, 8)...)
			assert.Zero(t, b.lost())
		})
	}
}

func TestRelativePath(t *testing.T) {
	for _, folder := range []string{"", "./", "../log/"} {
		t.Run(folder+"audit.log", func(t *testing.T) {
			b := newBench(t)
			b.path = filepath.Join(filepath.Dir(b.path), "log", "audit.log")
			require.NoError(t, os.Mkdir(filepath.Dir(b.path), 0o700))
			t.Chdir(filepath.Dir(b.path))
			b.write(t, b.number(1), event(1))
			b.append(t, event(2))
			settings := b.settings()
			settings.Path = folder + "audit.log"
			r := start(t, settings)
			r.await(1, 2)
			b.rotate(t, 5)
			b.append(t, event(3))
			r.await(1, 2, 3)
		})
	}
}

func TestAppearsLater(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]string{"in a folder that is there": "", "together with its folder": "later/on"} {
		for _, beginning := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", from its beginning", false: ", from its end"}[beginning], func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				b.path = filepath.Join(filepath.Dir(b.path), folder, "audit.log")
				settings := b.settings()
				settings.FromBeginning = beginning
				r := start(t, settings)
				assert.Len(t, b.logs.FilterMessageSnippet("does not exist yet").All(), 1)
				require.NoError(t, os.MkdirAll(filepath.Dir(b.path), 0o700))
				b.append(t, event(1))
				b.rotate(t, 5)
				b.append(t, event(2))
				r.await(1, 2)
				b.append(t, event(3))
				r.await(1, 2, 3)
				assert.Zero(t, b.lost())
			})
		}
	}
}

func TestNothingToRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	settings := b.settings()
	settings.Follow = false
	require.ErrorIs(t, newSource(t, settings).Start(t.Context()), os.ErrNotExist)
}
