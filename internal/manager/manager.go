// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/dbus"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

const (
	// patience is how long systemd may take to answer, which has one thread for everything.
	patience = 10 * time.Second
	// firstDelay is how long to wait before connecting again, longestDelay how long at most.
	firstDelay   = 200 * time.Millisecond
	longestDelay = 30 * time.Second
	// steady is how long a connection has to last to be worth the next one. A bus may accept whom it then refuses.
	steady = 2 * time.Second
	// checkInterval is how often a systemd is checked for having ended.
	checkInterval = time.Second
	// busInterval is how often the bus is tried while systemd's own socket stands in for it.
	busInterval = 5 * time.Second
	// reportAfter is how long the host's systemd may be unreachable before that is reported. At boot, the bus
	// is there later than systemd.
	reportAfter = 20 * time.Second
)

// How many messages a second are handled, and how many at once. A host that starts sends some thousands.
const (
	hostRate, hostBurst   = 4000, 20000
	otherRate, otherBurst = 1000, 20000
)

// errOthers is the error of a systemd that lets nobody in but its user and, on the host, root.
var errOthers = errors.New("it belongs to another user")

// manager is one systemd.
type manager struct {
	watcher *Watcher
	of      *process
	logger  *zap.Logger
	// bus and private are the paths of the sockets of its bus and of its own.
	bus, private string
	// others is true if it is not the host's: what it says is bounded more tightly, as anybody may run one.
	others bool
	// place is the one that it takes; nil if it takes none.
	place *watch
}

func newManager(w *Watcher, of *process) *manager {
	m := &manager{watcher: w, of: of, others: !of.host, logger: w.config.Logger.With(zap.Int("systemd", of.pid))}
	m.bus, m.private = "run/dbus/system_bus_socket", "run/systemd/private"
	if !m.system() {
		runtime := "run/user/" + strconv.FormatUint(uint64(of.innerUser), 10)
		m.bus, m.private = runtime+"/bus", runtime+"/systemd/private"
	}
	return m
}

// system reports whether this is the first process of the host or of a container. Otherwise it is a user's.
func (m *manager) system() bool { return m.of.inner == hostPID }

// logind is how facts name this systemd if they are about logins.
func (m *manager) logind() int {
	if m.of.host {
		return 0
	}
	return m.of.pid
}

// run listens until the process has ended, or ctx is done. It connects again if a connection ends.
func (m *manager) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval = firstDelay, longestDelay
	for lost := time.Now(); ctx.Err() == nil && m.of.alive(); {
		began := time.Now()
		connected, err := m.connect(ctx)
		if connected {
			m.watcher.counters.disconnected.Add(1)
		}
		m.place.tried(connected && time.Since(began) > steady)
		switch {
		case connected && time.Since(began) > steady:
			delays.Reset()
			lost = time.Now()
		case m.of.host && time.Since(lost) > reportAfter:
			m.watcher.warn(unreachable(err))
		}
		m.logger.Debug("not connected to systemd", zap.Error(err))
		pause(ctx, delays.NextBackOff())
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// links are the connections to try, the best first: the bus also has what others say. The bus of a user lets nobody
// else in, not even root. systemd's own socket does, but nobody whose pid it cannot see.
func (m *manager) links() []*link {
	var all []*link
	ours := int64(m.of.user) == int64(os.Geteuid())
	if m.system() || ours {
		all = append(all, newLink(m, true))
	}
	if !m.of.nested && (ours || os.Geteuid() == 0) {
		all = append(all, newLink(m, false))
	}
	return all
}

// connect connects to the bus or to systemd's own socket, and listens until that ends. It reports whether there was
// a connection.
func (m *manager) connect(ctx context.Context) (bool, error) {
	var helpers sync.WaitGroup
	defer helpers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	links := m.links()
	if len(links) == 0 {
		return false, errOthers
	}
	var err error
	for i, l := range links {
		conn, dialErr := m.dial(ctx, l.socket(), l.wants, l.minor)
		if dialErr != nil {
			err = errors.Join(err, dialErr)
			continue
		}
		if i > 0 {
			helpers.Go(func() { m.awaitBus(ctx, cancel) })
		}
		helpers.Go(func() { m.watchEnd(ctx, cancel) })
		return true, l.serve(ctx, conn)
	}
	return false, err
}

// dial connects to one of the sockets, over which the wanted messages will be handled, and less of minor ones.
func (m *manager) dial(ctx context.Context, path string, wanted, minor func(*dbus.Message) bool) (*dbus.Conn, error) {
	socket, err := m.of.dial(path)
	if err != nil {
		return nil, err
	}
	c := &m.watcher.counters
	config := dbus.Config{
		Patience: patience, Rate: otherRate, Burst: otherBurst, Rest: !m.of.host, Wanted: wanted, Minor: minor,
		Dropped: func() { c.dropped.Add(1) }, Rested: func() { c.rested.Add(1) },
	}
	if m.of.host {
		config.Rate, config.Burst = hostRate, hostBurst
	}
	conn := dbus.New(socket, config)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.Authenticate(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("connecting to /%s: %w", path, err)
	}
	return conn, nil
}

// watchEnd calls end once the process has ended: somebody else could keep its bus alive, and the pid could
// become another's.
func (m *manager) watchEnd(ctx context.Context, end func()) {
	for m.of.alive() {
		pause(ctx, checkInterval)
		if ctx.Err() != nil {
			return
		}
	}
	end()
}

// awaitBus calls end once the bus is there.
func (m *manager) awaitBus(ctx context.Context, end func()) {
	for {
		pause(ctx, busInterval)
		if ctx.Err() != nil {
			return
		}
		if conn, err := m.dial(ctx, m.bus, nil, nil); err == nil {
			_ = conn.Close()
			end()
			return
		}
	}
}

func unreachable(err error) *problem.Problem {
	return &problem.Problem{
		What: "systemd cannot be asked what it does to services, so that causes such as a stop that timed out will be missing",
		Err:  err,
		Fix: "let this process connect to /run/dbus/system_bus_socket: with systemd allow AF_UNIX in RestrictAddressFamilies=, " +
			"in a container mount the host's /run/dbus, too (deploy/kubernetes/behind.yaml)",
	}
}
