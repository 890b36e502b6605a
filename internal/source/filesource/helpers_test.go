// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/filesource"
)

const (
	// patience is how long a test waits for what must happen.
	patience = 20 * time.Second
	// look is how often it checks.
	look = 2 * time.Millisecond
)

// bench is an audit log in a folder of its own, with everything that a source of it needs.
type bench struct {
	*auditLog
	storage *fakeStorage
	counts  source.Counts
	logs    *observer.ObservedLogs
	logger  *zap.Logger

	mutex    sync.Mutex
	troubles []error
}

func newBench(t *testing.T) *bench {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	return &bench{
		auditLog: &auditLog{path: filepath.Join(t.TempDir(), "audit.log")},
		storage:  newFakeStorage(),
		logs:     logs,
		logger:   zap.New(core),
	}
}

// settings are those of a receiver that follows the log from its beginning.
func (b *bench) settings() filesource.Settings {
	return filesource.Settings{
		Tampered:      func() {},
		Path:          b.path,
		FromBeginning: true,
		Follow:        true,
		Correlation:   correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192},
		Store:         b.storage,
		Counts:        &b.counts,
		Logger:        b.logger,
		Health:        b.report,
	}
}

func (b *bench) report(err error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.troubles = append(b.troubles, err)
}

// reported returns the problems that the source has reported.
func (b *bench) reported() []error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return slices.Clone(b.troubles)
}

// lost is how many files were rotated away unread.
func (b *bench) lost() int64 { return b.counts.Lost(source.RotatedFiles) }

// rejected is how many lines were not usable records.
func (b *bench) rejected() int64 { return b.counts.Malformed.Load() + b.counts.TooLong.Load() }

// run is a source at work.
type run struct {
	t      *testing.T
	source *filesource.Source
	sink   *sink
	cancel context.CancelFunc
	done   chan struct{}
}

// newSource returns a source that is closed when the test ends.
func newSource(t *testing.T, settings filesource.Settings) *filesource.Source {
	t.Helper()
	s := filesource.New(settings)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

// prepare starts a source with the given settings, without letting it read.
func prepare(t *testing.T, settings filesource.Settings) *run {
	t.Helper()
	r := &run{t: t, source: newSource(t, settings), sink: newSink(), done: make(chan struct{})}
	require.NoError(t, r.source.Start(t.Context()))
	return r
}

// start starts a source and lets it read until the test ends or stops it.
func start(t *testing.T, settings filesource.Settings) *run {
	t.Helper()
	r := prepare(t, settings)
	r.read()
	return r
}

func (r *run) read() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.source.Run(ctx, r.sink.deliver)
	}()
	r.t.Cleanup(r.stop)
}

// stop shuts the source down in the way the receiver does.
func (r *run) stop() {
	r.cancel()
	<-r.done
}

// await waits until each of the given events has been delivered, and checks that they are complete,
// that there are no others, and that each was delivered once.
func (r *run) await(events ...int) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return len(r.sink.counts()) >= len(events) }, patience, look)
	r.check(events...)
}

// freeze makes the source stop checking, so that whatever is done to the log before the returned
// function is called happens between two checks. That takes three events: one to be delivered, one
// that waits for that, and one that cannot be handed on. The last is followed by the given text.
func (r *run) freeze(b *bench, first int, text ...string) func() {
	r.t.Helper()
	resume := sync.OnceFunc(r.sink.block())
	r.t.Cleanup(resume) // so that the source can stop if the test fails
	for n := first; n < first+3; n++ {
		written := event(n)
		if n == first+2 {
			written += strings.Join(text, "")
		}
		before := b.counts.Records.Load()
		b.append(r.t, written)
		require.Eventually(r.t, func() bool { return b.counts.Records.Load() == before+3 }, patience, look)
	}
	return resume
}

// whileReading changes a log of which the events 1 to 3 have been read, and lets check say what
// must come of it: once while the source may see each step, unless what happens is to be unseen,
// and once between two of its checks.
func whileReading(t *testing.T, unseen bool, change func(*testing.T, *bench), check func(*testing.T, *bench, *run)) {
	t.Helper()
	if !unseen {
		t.Run("seen", func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.append(t, event(1, 2, 3))
			r := start(t, b.settings())
			r.await(upTo(1, 3)...)
			change(t, b)
			check(t, b, r)
		})
	}
	t.Run("between two looks", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		r := start(t, b.settings())
		resume := r.freeze(b, 1)
		change(t, b)
		resume()
		check(t, b, r)
	})
}

// check does what await does for the events that are already there.
func (r *run) check(events ...int) {
	r.t.Helper()
	want := map[string]int{}
	for _, n := range events {
		want[keyOf(n)] = 1
	}
	require.Equal(r.t, want, r.sink.counts())
	for _, e := range r.sink.events() {
		assert.True(r.t, e.Complete, "event %d is complete", e.Audit.Serial)
	}
}

// sink receives what a source delivers.
type sink struct {
	mutex   sync.Mutex
	seen    []source.Observation
	refuse  error
	blocked chan struct{}
}

func newSink() *sink { return new(sink) }

func (s *sink) deliver(seen []source.Observation) error {
	s.mutex.Lock()
	blocked := s.blocked
	s.mutex.Unlock()
	if blocked != nil {
		<-blocked
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	s.seen = append(s.seen, seen...)
	return nil
}

// block makes deliver wait until the returned function is called.
func (s *sink) block() func() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	blocked := make(chan struct{})
	s.blocked = blocked
	return func() {
		s.mutex.Lock()
		s.blocked = nil
		s.mutex.Unlock()
		close(blocked)
	}
}

var errRefused = errors.New("the receiver is shutting down")

// close makes deliver refuse everything.
func (s *sink) close() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.refuse = errRefused
}

func (s *sink) events() []*kill.Event {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var events []*kill.Event
	for _, o := range s.seen {
		if o.Event != nil {
			events = append(events, o.Event)
		}
	}
	return events
}

// counts returns how often each event was delivered.
func (s *sink) counts() map[string]int {
	counts := map[string]int{}
	for _, e := range s.events() {
		counts[identify(e)]++
	}
	return counts
}

// identify returns what log.record.uid is made from.
func identify(e *kill.Event) string {
	pid := 0
	if len(e.Targets) > 0 {
		pid = e.Targets[0].PID
	}
	return fmt.Sprintf("%d:%d>%d", e.Time.UnixMilli(), e.Audit.Serial, pid)
}

const (
	epoch     = 1450214919 // seconds
	targetPID = 100_000
)

// keyOf is what identify returns for the n-th event.
func keyOf(n int) string { return fmt.Sprintf("%d:%d>%d", int64(epoch)*1000+int64(n), n, targetPID+n) }

// upTo returns the numbers from first to last.
func upTo(first, last int) []int {
	var numbers []int
	for n := first; n <= last; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

// stamp is the time and serial of the n-th event, n milliseconds after the first.
func stamp(n int) string { return fmt.Sprintf("audit(%d.%03d:%d)", epoch+n/1000, n%1000, n) }

// records returns the three lines of the n-th event, without their line feeds.
func records(n int) []string {
	return []string{
		fmt.Sprintf(`type=SYSCALL msg=%s: arch=c000003e syscall=62 success=yes exit=0 a0=%x a1=9 a2=0 a3=0 items=0 `+
			`ppid=1 pid=100 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 `+
			`comm="killer" exe="/bin/killer" key="audit_kill"`, stamp(n), targetPID+n),
		fmt.Sprintf(`type=OBJ_PID msg=%s: opid=%d oauid=-1 ouid=33 oses=-1 ocomm="victim"`, stamp(n), targetPID+n),
		fmt.Sprintf(`type=PROCTITLE msg=%s: proctitle=6B696C6C6572002D39`, stamp(n)),
	}
}

// event returns the lines of the given events, one event after the other.
func event(numbers ...int) string {
	var text strings.Builder
	for _, n := range numbers {
		for _, line := range records(n) {
			text.WriteString(line + "\n")
		}
	}
	return text.String()
}

// auditLog does to the files of a log what auditd and other programs do.
type auditLog struct{ path string }

// number returns the path of a rotated file.
func (l *auditLog) number(n int) string { return fmt.Sprintf("%s.%d", l.path, n) }

func (l *auditLog) write(t require.TestingT, path, text string) {
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// append adds text at the end of the live file.
func (l *auditLog) append(t require.TestingT, text string) {
	file, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = file.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// rotate renames the files as auditd does (src/auditd-event.c, rotate_logs),
// which keeps the given number of files, and creates a new one.
func (l *auditLog) rotate(t require.TestingT, keep int) {
	l.rename(t, keep)
	l.append(t, "")
}

// rename is rotate up to the moment when there is no live file.
func (l *auditLog) rename(t require.TestingT, keep int) {
	require.NoError(t, os.Chmod(l.path, 0o400))
	for n := keep - 1; n > 1; n-- {
		if err := os.Rename(l.number(n-1), l.number(n)); !errors.Is(err, os.ErrNotExist) {
			require.NoError(t, err)
		}
	}
	require.NoError(t, os.Rename(l.path, l.number(1)))
}

// compress replaces a file as gzip does.
func (l *auditLog) compress(t require.TestingT, path string) {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	l.write(t, path+".gz", zipped(t, string(text)))
	require.NoError(t, os.Remove(path))
}

func zipped(t require.TestingT, text string) string {
	var buffer strings.Builder
	writer := gzip.NewWriter(&buffer)
	_, err := writer.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return buffer.String()
}
