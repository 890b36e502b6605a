// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// These tests go step by step through what a source does while other programs change the log, to
// hit the moments that matter.

// cwd is an irrelevant line with a time of its own.
func cwd(second string) string {
	return "type=CWD msg=audit(145021491" + second + ".000:1): cwd=\"/\"\n"
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func newTestTrail(t *testing.T, path string) (*trail, *int) {
	t.Helper()
	lost := new(int)
	tr := &trail{path: path, logger: zap.NewNop(), lost: func() { *lost++ }}
	t.Cleanup(func() { assert.NoError(t, tr.close()) })
	return tr, lost
}

// TestWrittenJustBeforeTheRotation writes to the log after it was read to its end and before its rotation is noticed.
func TestWrittenJustBeforeTheRotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	writeFile(t, path, cwd("1"))
	s := New(Settings{
		Tampered: func() {},
		Path:     path, FromBeginning: true, Follow: true,
		Correlation: correlate.Config{Timeout: time.Second, MaxPending: 1},
		Counts:      new(source.Counts), Logger: zap.NewNop(), Health: func(error) {},
	})
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	require.NoError(t, s.read())
	require.ErrorIs(t, s.read(), io.EOF)
	// As far as the source knows, the log is done now.
	writeFile(t, path, cwd("1")+cwd("2"))
	require.NoError(t, os.Rename(path, path+".1"))
	writeFile(t, path, cwd("3"))
	require.NoError(t, s.moveOn())
	assert.Equal(t, int64(2), s.scanner.Counts().Records, "the line was read before moving on")
	require.ErrorIs(t, s.read(), io.EOF)
	require.NoError(t, s.moveOn())
	require.NoError(t, s.read())
	assert.Equal(t, int64(3), s.scanner.Counts().Records)
}

// TestChooseAgain changes the log while one of its files is chosen.
func TestChooseAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare, change func(t *testing.T, path string)
		want            string
	}{
		"renamed": {
			prepare: func(t *testing.T, path string) { writeFile(t, path, cwd("2")) },
			change: func(t *testing.T, path string) {
				require.NoError(t, os.Rename(path, path+".1"))
				writeFile(t, path, cwd("3"))
			},
			want: cwd("2"),
		},
		"created": {
			prepare: func(*testing.T, string) {},
			change:  func(t *testing.T, path string) { writeFile(t, path, cwd("2")) },
			want:    cwd("2"),
		},
		"an empty copy was filled": {
			prepare: func(t *testing.T, path string) {
				writeFile(t, path+".1", "")
				writeFile(t, path, cwd("2"))
			},
			change: func(t *testing.T, path string) {
				writeFile(t, path+".1", cwd("2"))
				writeFile(t, path, cwd("3"))
			},
			want: cwd("2"),
		},
		"a copy was finished": {
			prepare: func(t *testing.T, path string) {
				writeFile(t, path+".1", cwd("2")[:20])
				writeFile(t, path, cwd("2"))
			},
			change: func(t *testing.T, path string) {
				writeFile(t, path+".1", cwd("2"))
				writeFile(t, path, cwd("3"))
			},
			want: cwd("2"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "audit.log")
			test.prepare(t, path)
			tr, _ := newTestTrail(t, path)
			looks := 0
			chosen, err := tr.choose(func(entries []logfile.File) (choice, error) {
				looks++
				// Changed after the choice was made, or just before.
				if looks == 2 && name == "a copy was finished" {
					test.change(t, path)
				}
				chosen, err := tr.openFirst(entries)
				if looks == 1 && name != "a copy was finished" {
					test.change(t, path)
				}
				return chosen, err
			})
			require.NoError(t, err)
			tr.current = chosen.file
			assert.GreaterOrEqual(t, looks, 2)
			assert.Equal(t, test.want, string(chosen.file.prefix))
		})
	}
}

// TestChooseAmongAlike expects a file that begins like the live one to be chosen if that does not change.
func TestChooseAmongAlike(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	writeFile(t, path+".1", cwd("1"))
	writeFile(t, path, cwd("1"))
	tr, _ := newTestTrail(t, path)
	require.NoError(t, tr.openOldest())
	assert.Equal(t, path+".1", tr.current.path)
}

// TestNeverSettles renames files forever.
func TestNeverSettles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	tr, _ := newTestTrail(t, path)
	looks := 0
	_, err := tr.choose(func(entries []logfile.File) (choice, error) {
		looks++
		writeFile(t, path+".new", cwd("1"))
		require.NoError(t, os.Rename(path+".new", path))
		return tr.openFirst(entries)
	})
	require.ErrorIs(t, err, logfile.ErrUnsettled)
	assert.Equal(t, logfile.SettleTries, looks)
}

// TestEmptiedIsToldOnce checks an emptied log several times.
func TestEmptiedIsToldOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	writeFile(t, path, cwd("1"))
	tr, lost := newTestTrail(t, path)
	require.NoError(t, tr.openEnd())
	require.NoError(t, os.Truncate(path, 0))
	for range 3 {
		_, err := tr.current.read(make([]byte, 10))
		require.ErrorIs(t, err, errTruncated)
		file, err := tr.resume()
		require.NoError(t, err)
		require.Nil(t, file)
	}
	writeFile(t, path, cwd("2"))
	file, err := tr.resume()
	require.NoError(t, err)
	tr.follow(file, tr.position())
	assert.Equal(t, 1, *lost)
}

// TestFoundButChanged empties a file between finding and opening it.
func TestFoundButChanged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	writeFile(t, path, cwd("1"))
	entries, err := logfile.List(path)
	require.NoError(t, err)
	id := identityOf([]byte(cwd("1")), 0, 0)
	require.Zero(t, find(entries, id))
	writeFile(t, path, cwd("2")+cwd("3"))
	_, err = openAgain(entries[0], id, 5)
	require.ErrorIs(t, err, logfile.ErrUnsettled)
}

// TestSegments expects the files from that of the checkpoint on to be kept, and no others.
func TestSegments(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	const files = 5
	for n := 1; n <= files; n++ {
		writeFile(t, fmt.Sprintf("%s.%d", path, files+1-n), cwd(strconv.Itoa(n)))
	}
	tr, _ := newTestTrail(t, path)
	require.NoError(t, tr.openOldest())
	size := correlate.Position(len(cwd("1")))
	for n := 1; n < files; n++ {
		tr.current.offset = int64(size)
		tr.follow(tr.following, tr.position())
	}
	require.Len(t, tr.segments, files)
	for _, test := range []struct {
		at     correlate.Position
		file   int // counted from 1
		offset int64
	}{
		{at: 0, file: 1},
		{at: 5, file: 1, offset: 5},
		{at: size, file: 2},
		{at: 3*size - 1, file: 3, offset: int64(size) - 1},
		{at: 5 * size, file: 5, offset: int64(size)},
	} {
		at := tr.checkpoint(test.at)
		assert.Equal(t, test.offset, at.Offset)
		assert.True(t, at.matches([]byte(cwd(strconv.Itoa(test.file)))), "at %d", test.at)
		assert.Len(t, tr.segments, files+1-test.file)
	}
}

// TestIdentityOfHalfALine expects a file to be identified only by whole lines, because half a line
// may be the beginning of any other.
func TestIdentityOfHalfALine(t *testing.T) {
	t.Parallel()
	assert.Zero(t, identityOf([]byte(cwd("1")[:10]), 0, 0).Length)
	id := identityOf([]byte(cwd("1")+cwd("2")[:10]), 0, 0)
	assert.Equal(t, len(cwd("1")), id.Length)
	assert.True(t, id.matches([]byte(cwd("1")+cwd("3"))))
	assert.False(t, id.matches([]byte(cwd("2"))))
	assert.False(t, id.matches([]byte(cwd("1")[:20])))
}

// countingStorage counts how often something is stored.
type countingStorage struct {
	source.Store

	sets int
}

func (s *countingStorage) Set(context.Context, string, []byte) error {
	s.sets++
	return nil
}

func TestSaveOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	client := new(countingStorage)
	c := newCheckpoints(client, "/var/log/audit/audit.log")
	for _, offset := range []int64{1, 1, 2, 2, 2} {
		require.NoError(t, c.save(t.Context(), checkpoint{Version: checkpointVersion, Offset: offset}))
	}
	assert.Equal(t, 2, client.sets)
}
