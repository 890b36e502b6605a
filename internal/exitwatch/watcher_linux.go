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
	// patience is how long the status of a process that has ended is waited for: until
	// its parent asks for it, most of which do at once.
	patience = 400 * time.Millisecond
	// readyAtOnce is how many ends are handled, and delivered, together.
	readyAtOnce = 128
)

var (
	// ErrFull says that outcome.MaxWatches processes are followed already.
	ErrFull = errors.New("as many processes are followed as may be")

	errOtherNamespace = &problem.Problem{
		What: "processes cannot be watched from within a container's pid namespace",
		Fix:  "run this process in the host's, in Kubernetes with hostPID: true, with Docker with --pid host",
	}
)

// Config says how a Watcher follows processes.
type Config struct {
	// Root is where the host's root directory is; empty for /.
	Root   string
	Logger *zap.Logger
	// Warn is told of what a person has to fix.
	Warn func(*problem.Problem)
	// Panics contains a panic while ends are worked on.
	Panics *panics.Guard
	// Connector has the process connector tell how processes end also where the kernel
	// would tell it of each by itself.
	Connector bool
}

// Watcher tells of the ends of processes for a source that does not. It holds a pidfd of
// each, so that no other process is taken for it.
type Watcher struct {
	config Config
	proc   string
	// tellsExit is true if the kernel tells of the status of a process after its parent
	// has asked for it, trusted if /proc tells us that of a zombie.
	tellsExit, trusted bool
	pidfdOpen          func(pid, flags int) (int, error)
	connectorOpen      func() (*connector, error)

	// epoll is watched by Go's runtime, so that no thread blocks in it.
	epoll  *os.File
	raw    syscall.RawConn
	epfd   int
	events [readyAtOnce]unix.EpollEvent

	// mu is held for a few system calls at most, and never while events are delivered.
	mu sync.Mutex
	// connector is nil if it is not needed, or not to be had.
	connector *connector
	closed    bool
	// failed is why Run has ended before it should; nil if it has not.
	failed  error
	watches map[uint64]*watch
	// followed has those of the watches whose process bears its pid, for all we know.
	followed map[int]*watch
	last     uint64
	// waiting are those that have ended and whose status may come, the first one first.
	waiting []*watch
	buffer  [procstat.MaxSize]byte
}

var _ outcome.Exits = (*Watcher)(nil)

// watch is one process that is followed.
type watch struct {
	// id tells what epoll reports from what it has reported of an earlier watch with the
	// same file descriptor.
	id    uint64
	pid   int
	start time.Duration
	// pidfd is none if the kernel has no pidfds, and the connector tells of the end.
	pidfd int
	exit  kill.Exit
	// guess is the status that the connector told, at that time, while the process lived:
	// its first thread has ended before the others, or gave way to one that called exec(2).
	guess   kill.Exit
	guessed time.Time

	// ended is when the process has ended, due until when its status is waited for; both
	// are zero as long as it lives.
	ended, due time.Time
	// name is what it was called at its end; empty if that is not known.
	name string
}

const (
	none = -1
	// connectorID is what epoll reports of the connector. Those of watches are greater.
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
		followed:      make(map[int]*watch),
	}
}

// Start opens what the Watcher needs. It fails if a human has to mend something.
func (w *Watcher) Start() error {
	if privilege.OtherPIDNamespace() {
		return errOtherNamespace
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("watching processes: opening an epoll file: %w", err)
	}
	err = unix.SetNonblock(epfd, true) // else the runtime would not watch it
	if err != nil {
		return fmt.Errorf("watching processes: %w", errors.Join(err, unix.Close(epfd)))
	}
	epoll := os.NewFile(uintptr(epfd), "epoll")
	if w.raw, err = epoll.SyscallConn(); err != nil {
		return fmt.Errorf("watching processes: %w", errors.Join(err, epoll.Close()))
	}
	w.epfd, w.epoll = epfd, epoll
	// To root of another user namespace, the host's processes are those of others.
	all, _ := privilege.Has(capability.CAP_SYS_PTRACE)
	w.trusted = all && !privilege.OtherUserNamespace()
	if w.tellsExit = !w.config.Connector && kernelTellsExit(); !w.tellsExit {
		w.connect()
	}
	return nil
}

// connect opens the connector. Without it, less is known of an end.
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

// Follow implements outcome.Exits.
func (w *Watcher) Follow(target outcome.Target) (time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.epoll == nil {
		return 0, fmt.Errorf("watching process %d: %w", target.PID, os.ErrClosed)
	}
	if w.failed != nil {
		return 0, fmt.Errorf("watching process %d: %w", target.PID, w.failed)
	}
	already := w.followed[target.PID]
	if already != nil && already.certainly(target) {
		return already.start, nil
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
	if already != nil && already.start == s.Start {
		closePidfd(pidfd)
		return s.Start, nil
	}
	// Who bore the pid before is still told of, as it has ended.
	return s.Start, w.add(&watch{pid: target.PID, start: s.Start, pidfd: pidfd})
}

// identify returns what /proc tells of a target if that is who bears the pid. It is asked
// after the pidfd was opened, so that it is not about one that bore the pid before.
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
		// It tells at once if the process has ended. Edges, as a zombie would go on telling.
		event := eventOf(p.id, unix.EPOLLIN|unix.EPOLLET)
		if err := unix.EpollCtl(w.epfd, unix.EPOLL_CTL_ADD, p.pidfd, event); err != nil {
			closePidfd(p.pidfd)
			return fmt.Errorf("watching process %d: epoll: %w: the sysctl fs.epoll.max_user_watches bounds it", p.pid, err)
		}
	}
	w.watches[p.id], w.followed[p.pid] = p, p
	return nil
}

// is reports whether the process that bears the pid now is the one that the event tells of.
func is(t outcome.Target, s procstat.Stat) bool {
	switch {
	case t.Start != 0:
		return s.Start == t.Start
	case s.Start+procstat.Tick <= t.At:
		return true
	}
	// It was born within the tick of the event. A process often runs another program by
	// then; that its pid is another's already is likelier only if it was killed.
	return s.Start <= t.At+procstat.RecordLag && (!t.Killed || t.Command != "" && s.Command == t.Command)
}

// certainly reports whether the target is the process that is followed, without asking
// /proc. As long as it bears its pid, nobody else does.
func (p *watch) certainly(t outcome.Target) bool {
	if t.Start != 0 {
		return p.start == t.Start
	}
	return p.start+procstat.Tick <= t.At && p.pidfd != none && poll(p.pidfd) == 0
}

// Resume implements outcome.Exits.
func (w *Watcher) Resume(pid int, start time.Duration) error {
	_, err := w.Follow(outcome.Target{PID: pid, Start: start})
	return err
}

// Forget implements outcome.Exits.
func (w *Watcher) Forget(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.followed[pid]; p != nil {
		w.drop(p)
	}
}

// Lives implements outcome.Exits.
func (w *Watcher) Lives(pid int, start time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.followed[pid]
	if p == nil || p.start != start {
		p = &watch{pid: pid, start: start, pidfd: none}
	}
	return w.lives(p)
}

// lives reports whether a process has not ended. Without a pidfd, /proc tells that.
func (w *Watcher) lives(p *watch) bool {
	if p.pidfd != none {
		return poll(p.pidfd) == 0
	}
	s, err := w.stat(p.pid)
	return err == nil && s.Start == p.start && !s.Dead()
}

// drop forgets a watch.
func (w *Watcher) drop(p *watch) {
	delete(w.watches, p.id)
	if w.followed[p.pid] == p {
		delete(w.followed, p.pid)
	}
	closePidfd(p.pidfd) // which takes it out of epoll
}

func (w *Watcher) stat(pid int) (procstat.Stat, error) {
	return procstat.ReadExit(w.proc+strconv.Itoa(pid)+"/stat", w.buffer[:])
}

func closePidfd(pidfd int) {
	if pidfd != none {
		_ = unix.Close(pidfd)
	}
}

// eventOf returns what epoll reports: an id takes the place of a file descriptor.
func eventOf(id uint64, events uint32) *unix.EpollEvent {
	return &unix.EpollEvent{Events: events, Fd: int32(id), Pad: int32(id >> 32)}
}

func idOf(e *unix.EpollEvent) uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

// kernelTellsExit reports whether the kernel is Linux 6.15 or later, which cannot be seen
// before a process has ended.
func kernelTellsExit() bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	return releaseTellsExit(unix.ByteSliceToString(name.Release[:]))
}

func releaseTellsExit(release string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n < 2 {
		return false
	}
	return major > 6 || major == 6 && minor >= 15
}
