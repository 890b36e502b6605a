// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
)

// kill9 are the records of a SIGKILL at so many milliseconds after 1450214919 s.
func kill9(milliseconds, serial int) string {
	stamp := fmt.Sprintf("%d.%03d:%d", 1450214919+milliseconds/1000, milliseconds%1000, serial)
	return fmt.Sprintf("type=SYSCALL msg=audit(%[1]s): arch=c000003e syscall=62 success=yes exit=0 a0=f60 a1=9 a2=0 a3=0 items=0 ppid=1 pid=%[2]d "+
		"auid=500 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts3 ses=1 comm=\"kill\" exe=\"/bin/kill\" key=\"audit_kill\"\n"+
		"type=OBJ_PID msg=audit(%[1]s): opid=3936 oauid=500 ouid=102 oses=1 ocomm=\"mysqld\"\n"+
		"type=PROCTITLE msg=audit(%[1]s): proctitle=\"kill\"\n", stamp, serial)
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var buffer bytes.Buffer
	zipper := gzip.NewWriter(&buffer)
	_, err := zipper.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, zipper.Close())
	return buffer.String()
}

// serials are those of the events that a log holds.
func serials(l *Log) (all []uint32) {
	for e := range l.Events(correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192}) {
		all = append(all, e.Audit.Serial)
	}
	return all
}

func writeLog(t *testing.T, files map[string]string) (directory string) {
	t.Helper()
	directory = t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600))
	}
	return directory
}

func TestLog(t *testing.T) {
	t.Parallel()
	second := kill9(1000, 2)
	cut := strings.Index(second, "\n") + 1
	directory := writeLog(t, map[string]string{
		"audit.log.10.gz": zipped(t, kill9(0, 1)+second[:cut]),
		"audit.log.2":     second[cut:],
		"audit.log.1":     "",
		"audit.log":       strings.TrimSuffix(kill9(2500, 3), "\n"),
		"audit.log.bak":   kill9(9, 9),
		"other.log":       kill9(9, 9),
	})
	for _, path := range []string{directory, filepath.Join(directory, "audit.log")} {
		l, err := Open(path)
		require.NoError(t, err)
		var read int64
		l.Progress = func(n int64) { read += n }
		l.Problem = func(p Problem) { assert.Fail(t, p.Error()) }
		assert.Equal(t, []uint32{1, 2, 3}, serials(l))
		assert.Equal(t, l.Size(), read)
		assert.EqualValues(t, 9, l.Lines())
		first, last := l.Span()
		assert.Equal(t, time.UnixMilli(1450214919000), first)
		assert.Equal(t, time.UnixMilli(1450214921500), last)
		l.Close()
	}
}

// If a log is rotated while it is read, it is read as it was before.
func TestLogIsRotated(t *testing.T) {
	t.Parallel()
	directory := writeLog(t, map[string]string{"audit.log.1": kill9(0, 1), "audit.log": kill9(1000, 2)})
	path := filepath.Join(directory, "audit.log")
	l, err := Open(path)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, os.Rename(path+".1", path+".2"))
	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, os.WriteFile(path, []byte(kill9(2000, 3)), 0o600))
	require.NoError(t, os.Remove(path+".2"))
	assert.Equal(t, []uint32{1, 2}, serials(l))
}

// A signal to many is known later than one to a single process that came after it.
func TestLogIsInOrder(t *testing.T) {
	t.Parallel()
	toGroup := strings.Replace(kill9(0, 1), "a0=f60", "a0=fffff0a0", 1)
	log := toGroup + kill9(10, 2) + kill9(20, 3) + kill9(60_000, 4)
	assert.Equal(t, []uint32{1, 2, 3, 4}, serials(New("log", strings.NewReader(log))))

	// What comes too late for that comes nevertheless.
	var long strings.Builder
	for i := range 3 * window {
		long.WriteString(kill9(60_000+i, 10+i))
	}
	long.WriteString(kill9(0, 1))
	all := serials(New("log", strings.NewReader(long.String())))
	assert.Len(t, all, 3*window+1)
	assert.Contains(t, all, uint32(1))
}

// TestLogFacts expects facts before the events that come after them, and as far ahead as these wait, however large
// the pieces are in which the log is read.
func TestLogFacts(t *testing.T) {
	t.Parallel()
	job := func(milliseconds, serial int, unit string) string {
		return fmt.Sprintf("type=SERVICE_STOP msg=audit(%d.%03d:%d): pid=1 uid=0 auid=4294967295 ses=4294967295 msg='unit=%s comm=\"systemd\" "+
			"exe=\"/usr/lib/systemd/systemd\" hostname=? addr=? terminal=? res=success'\n", 1450214919+milliseconds/1000, milliseconds%1000, serial, unit)
	}
	first := kill9(100, 2)
	open := strings.Index(first, "type=OBJ_PID")
	text := job(0, 1, "a") + first[:open] + kill9(150, 3) + first[open:] + job(200, 4, "b") + kill9(300, 5) + job(299, 6, "late") +
		job(900, 7, "c") + kill9(5000, 8) + job(5100, 9, "d")
	for wait, want := range map[time.Duration]string{
		0:                      "a 2 3 b late 5 c 8 d",
		100 * time.Millisecond: "a b 2 3 late 5 c d 8",
		time.Second:            "a b late c 2 3 5 d 8",
		time.Hour:              "a b late c d 2 3 5 8",
	} {
		for name, in := range map[string]io.Reader{"at once": strings.NewReader(text), "in pieces": iotest.OneByteReader(strings.NewReader(text))} {
			var story []string
			l := New("a", in)
			l.Fact = func(f *attribution.Fact) { story = append(story, strings.TrimSuffix(f.Job.Unit, ".service")) }
			l.Wait = func(*kill.Event) time.Duration { return wait }
			for e := range l.Events(correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192}) {
				story = append(story, strconv.Itoa(int(e.Audit.Serial)))
			}
			assert.Equal(t, want, strings.Join(story, " "), "%v, %s", wait, name)
		}
	}
	l := New("a", strings.NewReader(text))
	assert.Equal(t, []uint32{2, 3, 5, 8}, serials(l), "nobody wants facts")
}

func TestLogProblems(t *testing.T) {
	t.Parallel()
	good := kill9(0, 1)
	for name, tt := range map[string]struct {
		in   io.Reader
		want []string
	}{
		"none":               {strings.NewReader(good), nil},
		"separators":         {strings.NewReader("----\ntime->Tue Dec 15 21:28:39 2015\n\n" + good + "----\n"), nil},
		"Windows":            {strings.NewReader("----\r\n" + strings.ReplaceAll(good, "\n", "\r\n")), nil},
		"other records":      {strings.NewReader("type=CWD msg=audit(x)\n" + good), nil},
		"words":              {strings.NewReader("hello\n" + good + "new world"), []string{"log:1: not an audit record", "log:5: not an audit record"}},
		"interpreted":        {strings.NewReader("type=SYSCALL msg=audit(12/15/15 21:28:39.813:148) : x\n" + good), []string{"log:1: not an audit record: it looks like the output of ausearch -i: `ausearch --raw` prints what can be read"}},
		"reading fails":      {io.MultiReader(strings.NewReader(good), iotest.ErrReader(errors.New("disk on fire"))), []string{"log:3: the rest after this line cannot be read: disk on fire"}},
		"gzip without data":  {strings.NewReader("\x1f\x8b"), []string{"log: cannot be read: the compressed file is cut off: unexpected EOF"}},
		"half of compressed": {strings.NewReader(zipped(t, good)[:200]), []string{"log:LINE: the rest after this line cannot be read: the compressed file is cut off: unexpected EOF"}},
		"damaged": {
			strings.NewReader("type=SYSCALL msg=audit(1450214919.000:7): arch=c000003e sysc\n" + good), []string{"log:1: damaged audit record"},
		},
		"too long": {
			strings.NewReader(good + "type=SYSCALL msg=audit(1450214919.000:7): arch=c000003e syscall=2 comm=\"" + strings.Repeat("x", 2*logfile.MaxLine) + "\"\n"),
			[]string{"log:4: longer than 65536 bytes: the rest of it is not read"},
		},
		"too long a kill": {
			strings.NewReader(good + "type=PROCTITLE msg=audit(1450214919.000:1): proctitle=" + strings.Repeat("41", logfile.MaxLine) + "\n"),
			[]string{"log:4: longer than 65536 bytes: the rest of it is not read"},
		},
		"some NUL bytes":     {strings.NewReader(strings.Repeat("\x00", 4096) + good), []string{"log:1: " + errNULs.Error()}},
		"only NUL bytes":     {strings.NewReader(good + strings.Repeat("\x00", 3*logfile.MaxLine)), nil},
		"bzip2":              {strings.NewReader("BZh91AY"), []string{"log: cannot be read: compressed, but not by gzip, xz or zstd: use bzcat FILE | auditkill report -"}},
		"one byte at a time": {iotest.OneByteReader(strings.NewReader(good)), nil},
	} {
		var got []string
		l := New("log", tt.in)
		l.Problem = func(p Problem) {
			got = append(got, p.Error())
			assert.Equal(t, strings.Contains(p.Error(), "cannot be read:"), p.Rest)
			require.ErrorIs(t, p, p.Err)
		}
		events := serials(l)
		if len(tt.want) == 1 && strings.Contains(tt.want[0], "LINE") {
			require.Len(t, got, 1)
			assert.Contains(t, got[0], "unexpected EOF", name)
			continue
		}
		assert.Equal(t, tt.want, got, name)
		if name != "gzip without data" && name != "bzip2" {
			assert.Equal(t, []uint32{1}, events, name)
		}
	}
}

// A file that cannot be opened is no reason not to read the others.
func TestLogWithoutAPart(t *testing.T) {
	t.Parallel()
	directory := writeLog(t, map[string]string{"audit.log.1": kill9(0, 1), "audit.log": kill9(1000, 2)})
	l, err := Open(directory)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.parts[0].in.Close())
	l.parts[0].err = &os.PathError{Op: "open", Path: l.parts[0].name, Err: os.ErrPermission}
	var told []string
	l.Problem = func(p Problem) { told = append(told, p.Error()) }
	assert.Equal(t, []uint32{2}, serials(l))
	assert.Equal(t, []string{filepath.Join(directory, "audit.log.1") + ": cannot be read: permission denied"}, told)
}

func TestLogUnread(t *testing.T) {
	t.Parallel()
	files := map[string]string{"audit.log": kill9(0, 1), "audit.log.1.gz": zipped(t, kill9(0, 0)), "audit.log.swp": "", "other.log-20151215": ""}
	var want []string
	for _, name := range []string{"audit.log-20151215.bz2", "audit.log-20151214.gz.tmp", "audit.log-20151213x", "audit.log.2.bz2"} {
		files[name] = ""
		want = append(want, name)
	}
	directory := writeLog(t, files)
	l, err := Open(filepath.Join(directory, "audit.log"))
	require.NoError(t, err)
	defer l.Close()
	var got []string
	for _, path := range l.Unread() {
		got = append(got, filepath.Base(path))
	}
	assert.ElementsMatch(t, want, got)
}

// Many logs share the memory, and each is read as if it were alone.
func TestLogShares(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for i := range 2000 {
		log.WriteString(kill9(i, i))
	}
	want := serials(New("log", strings.NewReader(log.String())))
	l := New("log", strings.NewReader(log.String()))
	l.Share = 1000
	assert.Equal(t, want, serials(l))
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	for _, path := range []string{filepath.Join(directory, "audit.log"), directory, filepath.Join(directory, "no", "audit.log")} {
		_, err := Open(path)
		require.ErrorIs(t, err, os.ErrNotExist, path)
	}
	_, err := Open(filepath.Join(writeLog(t, map[string]string{"audit.log": ""}), "audit.log"))
	require.NoError(t, err)
}

func TestLogWithin(t *testing.T) {
	t.Parallel()
	directory := writeLog(t, map[string]string{"audit.log": kill9(1, 1), "audit.log.1": kill9(0, 0), "other.log": kill9(0, 0)})
	open := func(name string) *Log {
		l, err := Open(filepath.Join(directory, name))
		require.NoError(t, err)
		t.Cleanup(l.Close)
		return l
	}
	whole, part, other := open("audit.log"), open("audit.log.1"), open("other.log")
	assert.True(t, part.Within(whole))
	assert.False(t, whole.Within(part))
	assert.False(t, other.Within(whole))
	assert.False(t, whole.Within(whole))
	assert.True(t, whole.Same(open("audit.log")))
	assert.False(t, part.Same(other))
	stream := New("stream", strings.NewReader(""))
	assert.False(t, stream.Same(stream), "a stream is not known in advance")
	assert.False(t, stream.Within(whole))
	assert.EqualValues(t, -1, stream.Size())
}

// Reading stops when enough was seen.
func TestLogStops(t *testing.T) {
	t.Parallel()
	l := New("log", io.MultiReader(strings.NewReader(strings.Repeat(kill9(0, 1), 1000)), iotest.ErrReader(errors.New("read on"))))
	l.Problem = func(p Problem) { assert.Fail(t, p.Error()) }
	for e := range l.Events(correlate.Config{Timeout: time.Second, MaxPending: 10}) {
		assert.EqualValues(t, 1, e.Audit.Serial)
		break
	}
}

// A Log holds the same however it is read.
func FuzzLog(f *testing.F) {
	f.Add([]byte(kill9(0, 1)))
	f.Add([]byte("----\n" + kill9(0, 1)[:300] + "\n\x00\x00type=OBJ_PID msg=audit(1450214919.000:1): opid=3"))
	f.Add([]byte("\x1f\x8b" + "rubbish"))
	cases, err := filepath.Glob("../../../../testdata/cases/*.log")
	require.NoError(f, err)
	for _, path := range cases {
		log, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(log)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config := correlate.Config{Timeout: time.Second, MaxPending: 16}
		var events []*kill.Event
		l := New("log", bytes.NewReader(data))
		l.Problem = func(p Problem) { assert.LessOrEqual(t, p.Line, l.Lines()+int64(bytes.Count(data, []byte("\n")))+1) }
		events = slices.AppendSeq(events, l.Events(config))
		if strings.HasPrefix(string(data), "\x1f\x8b") {
			return
		}
		scanned := 0
		for range New("log", iotest.HalfReader(bytes.NewReader(data))).Events(config) {
			scanned++
		}
		assert.Len(t, events, scanned, "however it is read")
	})
}

func BenchmarkLog(b *testing.B) {
	file, err := os.Open("../../../../testdata/mixed.log.gz")
	require.NoError(b, err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	require.NoError(b, err)
	log, err := io.ReadAll(unzipped)
	require.NoError(b, err)
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		for range New("log", bytes.NewReader(log)).Events(correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192}) {
			continue
		}
	}
}
