// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/problem"

	"github.com/moby/sys/capability"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

const (
	// statusTimeout is how long after the end of a process its parent may take to reap it,
	// which makes the exit status available. Most parents do that at once.
	statusTimeout = 400 * time.Millisecond
	// readyAtOnce is how many ends are handled and delivered together.
	readyAtOnce = 128
)

var (
	// ErrFull is returned if outcome.MaxWatches processes are watched current.
	ErrFull = errors.New("the limit of watched processes is reached")

	errOtherNamespace = &problem.Problem{
		What: "processes cannot be watched from within a container's pid namespace",
		Fix:  "run this process in the host's, in Kubernetes with hostPID: true, with Docker with --pid host",
	}
)

// Config configures a Watcher.
type Config struct {
	// Root is where the host's root directory is mounted; empty for /.
	Root   string
	Logger *zap.Logger
	// Warn receives problems that a person has to fix.
	Warn func(*problem.Problem)
	// Panics contains a panic while ends are worked on.
	Panics *panics.Guard
	// Connector uses the process connector even if the kernel reports the exit status by
	// pidfds.
	Connector bool
}

// Watcher reports the ends of processes for a source that does not. It holds a pidfd of each,
// so that it never mistakes another process with the same pid for it.
type Watcher struct {
	config Config
	proc   string
	// pidfdsHaveExit is true if a pidfd has the exit status after the parent has reaped the
	// process, trusted if /proc shows us the exit status of any zombie.
	pidfdsHaveExit, trusted bool
	pidfdOpen               func(pid, flags int) (int, error)
	connectorOpen           func() (*connector, error)

	// epoll is polled by Go's runtime, so that no thread blocks in it.
	epoll  *os.File
	raw    syscall.RawConn
	epfd   int
	events [readyAtOnce]unix.EpollEvent

	// mu is held for a few system calls at most, and never while events are delivered.
	mu sync.Mutex
	// connector is nil if it is not needed or not available.
	connector *connector
	closed    bool
	// failed is why Run has ended early; nil if it has not.
	failed  error
	watches map[uint64]*watch
	// byPID has the newest watch of each pid.
	byPID map[int]*watch
	last  uint64
	// awaitingStatus are the processes that have ended and whose status is not known yet, in
	// the order in which they ended.
	awaitingStatus []*watch
	buffer         [procstat.MaxSize]byte
}

var _ outcome.Exits = (*Watcher)(nil)

// watch is one watched process.
type watch struct {
	// id identifies the watch in what epoll reports. A file descriptor would not: an earlier
	// watch may have had the same.
	id    uint64
	pid   int
	start time.Duration
	// pidfd is none if the kernel has no pidfds; then the connector reports the end.
	pidfd int
	exit  kill.Exit
	// guess is a status that the connector reported at the time guessed, while the process
	// was alive: its first thread ended before the others, or gave way to one that called
	// exec(2).
	guess   kill.Exit
	guessed time.Time

	// ended is when the process ended, due when to stop waiting for its status; both are zero
	// while it is alive.
	ended, due time.Time
	// name is its name at its end; empty if not known.
	name string
}

const (
	none = -1
	// connectorID is the id of the connector in what epoll reports. Those of watches are
	// greater.
	connectorID = 0
)

// New returns a Watcher that has opened nothing yet.
func New(config Config) *Watcher {
	return &Watcher{
		config:        config,
		proc:          filepath.Join("/", config.Root, "proc") + "/",
		pidfdOpen:     unix.PidfdOpen,
		connectorOpen: openConnector,
		watches:       make(map[uint64]*watch),
		byPID:         make(map[int]*watch),
	}
}

// Start opens what the Watcher needs. It fails if a person has to fix something.
func (w *Watcher) Start() error {
	if privilege.OtherPIDNamespace() {
		return errOtherNamespace
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("watching processes: opening an epoll file: %w", err)
	}
	err = unix.SetNonblock(epfd, true) // otherwise the runtime would not poll it
	if err != nil {
		return fmt.Errorf("watching processes: %w", errors.Join(err, unix.Close(epfd)))
	}
	epoll := os.NewFile(uintptr(epfd), "epoll")
	if w.raw, err = epoll.SyscallConn(); err != nil {
		return fmt.Errorf("watching processes: %w", errors.Join(err, epoll.Close()))
	}
	w.epfd, w.epoll = epfd, epoll
	// The root user of another user namespace may not see the status of the host's processes.
	all, _ := privilege.Has(capability.CAP_SYS_PTRACE)
	w.trusted = all && !privilege.OtherUserNamespace()
	if w.pidfdsHaveExit = !w.config.Connector && kernelReportsExit(); !w.pidfdsHaveExit {
		w.connect()
	}
	return nil
}

// connect opens the process connector. Without it, the exit status is often not known.
func (w *Watcher) connect() {
	c, err := w.connectorOpen()
	if err == nil {
		err = unix.EpollCtl(w.epfd, unix.EPOLL_CTL_ADD, c.fd, eventOf(connectorID, unix.EPOLLIN))
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}
	if err != nil {
		w.config.Warn(&problem.Problem{
			What: `the exit status of most processes is unavailable, and their outcome is only "ended": ` +
				"before Linux 6.15 it takes the process connector",
			Err: err, Lacking: privilege.Lacking(capability.CAP_NET_ADMIN),
		})
		return
	}
	w.connector = c
}

// Close releases what Start has opened. It is called after Run, or instead of it.
func (w *Watcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.epoll == nil {
		return nil
	}
	w.closed = true
	err := w.epoll.Close()
	if w.connector != nil {
		err = errors.Join(err, w.connector.close())
	}
	for _, p := range w.watches {
		w.drop(p)
	}
	return err
}

// Watch implements outcome.Exits.
func (w *Watcher) Watch(target outcome.Target) (time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.epoll == nil {
		return 0, fmt.Errorf("watching process %d: %w", target.PID, os.ErrClosed)
	}
	if w.failed != nil {
		return 0, fmt.Errorf("watching process %d: %w", target.PID, w.failed)
	}
	current := w.byPID[target.PID]
	if current != nil && current.certainly(target) {
		return current.start, nil
	}
	if len(w.watches) >= outcome.MaxWatches {
		return 0, fmt.Errorf("watching process %d: %w: %d", target.PID, ErrFull, outcome.MaxWatches)
	}
	pidfd, err := w.pidfdOpen(target.PID, 0)
	if errors.Is(err, unix.ENOSYS) && w.connector != nil {
		pidfd, err = none, nil
	}
	if err != nil {
		return 0, explainOpen(target.PID, err)
	}
	s, err := w.identify(target, pidfd)
	if err != nil {
		closePidfd(pidfd)
		return 0, err
	}
	if current != nil && current.start == s.Start {
		closePidfd(pidfd)
		return s.Start, nil
	}
	// The end of an earlier process with the pid is still reported.
	return s.Start, w.add(&watch{pid: target.PID, start: s.Start, pidfd: pidfd})
}

// identify returns what /proc shows of a target if the target still has the pid. It reads
// /proc after the pidfd was opened, so that it never sees an earlier process with the pid.
func (w *Watcher) identify(target outcome.Target, pidfd int) (procstat.Stat, error) {
	s, err := w.stat(target.PID)
	switch {
	case err != nil && pidfd != none && poll(pidfd) == 0:
		return procstat.Stat{}, explainStat(target.PID, w.proc, err)
	case err != nil, !is(target, s), pidfd == none && s.Dead():
		return procstat.Stat{}, fmt.Errorf("process %d: %w", target.PID, outcome.ErrGone)
	}
	return s, nil
}

func (w *Watcher) add(p *watch) error {
	w.last++
	p.id = w.last
	if p.pidfd != none {
		// It reports at once if the process has ended. Edge-triggered, because a zombie would
		// be reported again and again.
		event := eventOf(p.id, unix.EPOLLIN|unix.EPOLLET)
		if err := unix.EpollCtl(w.epfd, unix.EPOLL_CTL_ADD, p.pidfd, event); err != nil {
			closePidfd(p.pidfd)
			return fmt.Errorf("watching process %d: epoll: %w: the sysctl fs.epoll.max_user_watches bounds it", p.pid, err)
		}
	}
	w.watches[p.id], w.byPID[p.pid] = p, p
	return nil
}

// is reports whether the process that has the pid now is the target of the event.
func is(t outcome.Target, s procstat.Stat) bool {
	switch {
	case t.Start != 0:
		return s.Start == t.Start
	case s.Start+procstat.Tick <= t.At:
		return true
	}
	// It was created within the tick of the event. That may well be the target, even if it runs
	// another program now. A reused pid is likelier only if the target was killed.
	return s.Start <= t.At+procstat.RecordLag && (!t.Killed || t.Command != "" && s.Command == t.Command)
}

// certainly reports whether the target is certainly the watched process, without reading
// /proc: while that is alive, no other process can have its pid.
func (p *watch) certainly(t outcome.Target) bool {
	if t.Start != 0 {
		return p.start == t.Start
	}
	return p.start+procstat.Tick <= t.At && p.pidfd != none && poll(p.pidfd) == 0
}

// Resume implements outcome.Exits.
func (w *Watcher) Resume(pid int, start time.Duration) error {
	_, err := w.Watch(outcome.Target{PID: pid, Start: start})
	return err
}

// Unwatch implements outcome.Exits.
func (w *Watcher) Unwatch(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.byPID[pid]; p != nil {
		w.drop(p)
	}
}

// Alive implements outcome.Exits.
func (w *Watcher) Alive(pid int, start time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.byPID[pid]
	if p == nil || p.start != start {
		p = &watch{pid: pid, start: start, pidfd: none}
	}
	return w.alive(p)
}

// alive reports whether a process has not ended, by its pidfd or by /proc.
func (w *Watcher) alive(p *watch) bool {
	if p.pidfd != none {
		return poll(p.pidfd) == 0
	}
	s, err := w.stat(p.pid)
	return err == nil && s.Start == p.start && !s.Dead()
}

// drop removes a watch.
func (w *Watcher) drop(p *watch) {
	delete(w.watches, p.id)
	if w.byPID[p.pid] == p {
		delete(w.byPID, p.pid)
	}
	closePidfd(p.pidfd) // which removes it from epoll
}

func (w *Watcher) stat(pid int) (procstat.Stat, error) {
	return procstat.ReadExit(w.proc+strconv.Itoa(pid)+"/stat", w.buffer[:])
}

func closePidfd(pidfd int) {
	if pidfd != none {
		_ = unix.Close(pidfd)
	}
}

// eventOf returns an event for epoll that has an id in the place of a file descriptor.
func eventOf(id uint64, events uint32) *unix.EpollEvent {
	return &unix.EpollEvent{Events: events, Fd: int32(id), Pad: int32(id >> 32)}
}

func idOf(e *unix.EpollEvent) uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

// kernelReportsExit reports whether the kernel is Linux 6.15 or later, whose pidfds have the
// exit status. There is nothing to test before a process has ended.
func kernelReportsExit() bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	return releaseReportsExit(unix.ByteSliceToString(name.Release[:]))
}

func releaseReportsExit(release string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n < 2 {
		return false
	}
	return major > 6 || major == 6 && minor >= 15
}
