// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package pluginsource

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
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
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// patience is how long a test waits for something, often how often it checks.
	patience = 20 * time.Second
	often    = 2 * time.Millisecond
)

// bench is a source, a plugin that it may connect to, and all that the source talks to.
type bench struct {
	*plugin
	source *Source
	counts source.Counts
	panics *panics.Guard
	logs   *observer.ObservedLogs

	mutex    sync.Mutex
	failures []error
	events   []*kill.Event
	// tampered and deliver are called by the source; a test may replace them.
	tampered func()
	deliver  func([]source.Observation) error
}

func newBench(t *testing.T) *bench {
	t.Helper()
	// A test's own directory has its name, which may be too long for the path of a socket.
	directory, err := os.MkdirTemp("", "plugin") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(directory)) })
	core, logs := observer.New(zapcore.DebugLevel)
	b := &bench{
		plugin: &plugin{t: t, path: filepath.Join(directory, "events")}, logs: logs, panics: panics.NewGuard(zap.New(core)),
		tampered: func() {}, deliver: func([]source.Observation) error { return nil },
	}
	b.source = New(Settings{
		Path: b.path, Facts: true, Correlation: correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192},
		Panics: b.panics, Counts: &b.counts, Logger: zap.New(core), Tampered: func() { b.tampered() }, Health: b.note,
	})
	return b
}

func (b *bench) note(err error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.failures = append(b.failures, err)
}

// noted returns what the source has said of its health.
func (b *bench) noted() []error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return append([]error(nil), b.failures...)
}

func (b *bench) take(seen []source.Observation) error {
	b.mutex.Lock()
	deliver := b.deliver
	b.mutex.Unlock()
	if err := deliver(seen); err != nil {
		return err
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, o := range seen {
		if o.Event != nil {
			b.events = append(b.events, o.Event)
		}
	}
	return nil
}

// taken returns what was delivered.
func (b *bench) taken() []*kill.Event {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return append([]*kill.Event(nil), b.events...)
}

// run starts the plugin and the source. stop ends the source; if nobody calls it, the end of the test does.
func (b *bench) run() (stop func()) {
	b.t.Helper()
	b.listen()
	require.NoError(b.t, b.source.Start(b.t.Context()))
	b.accept()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.source.Run(ctx, b.take)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
		assert.NoError(b.t, b.source.Close())
	})
	b.t.Cleanup(stop)
	return stop
}

// await returns the first events that were delivered.
func (b *bench) await(n int) []*kill.Event {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return len(b.taken()) >= n }, patience, often, "%d events", n)
	return b.taken()
}

// plugin plays auditd's.
type plugin struct {
	t        *testing.T
	path     string
	listener *net.UnixListener
	conn     net.Conn
}

func (p *plugin) listen() {
	p.t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.path})
	require.NoError(p.t, err)
	p.listener = listener
	p.t.Cleanup(p.end)
}

func (p *plugin) accept() {
	p.t.Helper()
	require.NoError(p.t, p.listener.SetDeadline(time.Now().Add(patience)))
	conn, err := p.listener.Accept()
	require.NoError(p.t, err)
	p.conn = conn
	p.t.Cleanup(p.hangUp)
}

// write writes what fits into the socket, and waits for room for the rest.
func (p *plugin) write(text string) {
	p.t.Helper()
	require.NoError(p.t, p.conn.SetWriteDeadline(time.Now().Add(patience)))
	_, err := p.conn.Write([]byte(text))
	require.NoError(p.t, err, "the source reads")
}

// hangUp ends the connection, end the plugin with its socket.
func (p *plugin) hangUp() { _ = p.conn.Close() } // it may have ended

func (p *plugin) end() { _ = p.listener.Close() } // it may have ended

// recordsOf are the records of one kill(2), a line each.
func recordsOf(serial, sender, target int) []string {
	stamp := fmt.Sprintf("msg=audit(1450214919.813:%d): ", serial)
	return []string{
		fmt.Sprintf("type=SYSCALL %sarch=c000003e syscall=62 success=yes exit=0 a0=%x a1=f a2=0 a3=0 "+
			"items=0 ppid=1 pid=%d auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 "+
			"comm=\"kill\" exe=\"/bin/kill\" key=\"audit_kill\"\n", stamp, target, sender),
		fmt.Sprintf("type=OBJ_PID %sopid=%d oauid=-1 ouid=0 oses=-1 ocomm=\"mysqld\"\n", stamp, target),
		fmt.Sprintf("type=PROCTITLE %sproctitle=\"kill\"\n", stamp),
		fmt.Sprintf("type=EOE %s\n", stamp),
	}
}

// recordText returns the records of one kill(2) as text.
func recordText(serial, sender, target int) string {
	return strings.Join(recordsOf(serial, sender, target), "")
}
