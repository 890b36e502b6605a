// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"context"
	"errors"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Run reports the end of each watched process until ctx is done. It is called once, after
// Start.
func (w *Watcher) Run(ctx context.Context, report func(ends []*kill.End)) {
	stop := context.AfterFunc(ctx, func() { _ = w.epoll.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		ready, err := w.wait(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.config.Logger.Error("the ends of processes are no longer reported, so outcomes will not be known", zap.Error(err))
			w.mu.Lock()
			defer w.mu.Unlock()
			w.failed = err
			return
		}
		if ends := w.ends(ready, time.Now()); len(ends) > 0 {
			report(ends)
		}
	}
}

// wait returns what epoll reports; nothing once it is time to stop waiting for a status.
func (w *Watcher) wait(ctx context.Context) ([]unix.EpollEvent, error) {
	if err := w.epoll.SetReadDeadline(w.due()); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // SetReadDeadline may just have overwritten the deadline that Run sets then
		return nil, ctx.Err()
	}
	var n int
	var failure error
	err := w.raw.Read(func(epfd uintptr) bool {
		n, failure = unix.EpollWait(int(epfd), w.events[:], 0)
		if errors.Is(failure, unix.EINTR) {
			n, failure = 0, nil
		}
		return n > 0 || failure != nil
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil
	}
	return w.events[:max(n, 0)], errors.Join(err, failure)
}

// due returns when the first wait for a status is over; zero if there is none.
func (w *Watcher) due() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.awaitingStatus) == 0 {
		return time.Time{}
	}
	return w.awaitingStatus[0].due
}

// ends returns the ends of which nothing more will be known.
func (w *Watcher) ends(ready []unix.EpollEvent, now time.Time) []*kill.End {
	defer w.config.Panics.Contain("working on the end of a process")
	w.mu.Lock()
	defer w.mu.Unlock()
	var ends []*kill.End
	report := func(p *watch) {
		w.drop(p)
		ends = append(ends, p.end())
	}
	if w.connector != nil {
		w.readConnector(now, report)
	}
	for i := range ready {
		p := w.watches[idOf(&ready[i])]
		if p == nil { // the connector, or a process no longer watched
			continue
		}
		first := p.hasEnded(now)
		if w.readExit(p, ready[i].Events&unix.EPOLLHUP != 0) {
			report(p)
		} else if first {
			w.awaitingStatus = append(w.awaitingStatus, p)
		}
	}
	w.reportDecided(now, report)
	return ends
}

// hasEnded records when a process ended, and reports whether that is new.
func (p *watch) hasEnded(now time.Time) bool {
	if !p.ended.IsZero() {
		return false
	}
	p.ended, p.due = now, now.Add(statusTimeout)
	return true
}

// readExit asks for the exit status of a process, and reports whether it is known or never
// will be.
func (w *Watcher) readExit(p *watch, reaped bool) bool {
	if !reaped {
		if s, err := w.stat(p.pid); err == nil && s.Start == p.start {
			p.name = s.Command
			// The kernel shows 0 to a process that may not see the status.
			if s.Status != 0 || w.trusted {
				p.exit = kill.Exit{Known: true, Status: s.Status}
			}
		}
	}
	if reaped && w.pidfdsHaveExit && !p.exit.Known {
		p.exit = exitOf(p.pidfd)
	}
	more := w.connector != nil || w.pidfdsHaveExit && !reaped
	return p.exit.Known || !more
}

// readConnector records the status of processes that have ended, and reports those that have
// no pidfd.
func (w *Watcher) readConnector(now time.Time, report func(*watch)) {
	lost := w.connector.each(func(pid, status int) {
		p, exit := w.byPID[pid], kill.Exit{Known: true, Status: status}
		switch {
		case p == nil:
		case w.alive(p):
			p.guess, p.guessed = exit, now
		case p.pidfd == none:
			p.exit = exit
			p.hasEnded(now)
			w.readExit(p, false)
			report(p)
		default:
			p.exit = exit
		}
	})
	if !lost {
		return
	}
	for _, p := range w.byPID {
		if p.pidfd == none && !w.alive(p) {
			p.hasEnded(now)
			report(p)
		}
	}
}

// reportDecided reports the processes whose status is known by now, or was waited for long
// enough.
func (w *Watcher) reportDecided(now time.Time, report func(*watch)) {
	undecided := w.awaitingStatus[:0]
	for _, p := range w.awaitingStatus {
		switch {
		case w.watches[p.id] == nil: // reported already, or no longer watched
		case p.exit.Known:
			report(p)
		case !now.Before(p.due):
			if p.ended.Sub(p.guessed) < statusTimeout { // all threads were killed, one by one
				p.exit = p.guess
			}
			report(p)
		default:
			undecided = append(undecided, p)
		}
	}
	clear(w.awaitingStatus[len(undecided):])
	w.awaitingStatus = undecided
}

// end returns the end of the process.
func (p *watch) end() *kill.End {
	return &kill.End{PID: p.pid, Start: p.start, Time: p.ended, Exit: p.exit, Command: p.name}
}
