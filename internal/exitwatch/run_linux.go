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

// Run reports the end of each process that is followed, until ctx is done. It is called
// once, after Start.
func (w *Watcher) Run(ctx context.Context, report func(ends []*kill.End)) {
	stop := context.AfterFunc(ctx, func() { _ = w.epoll.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		ready, err := w.wait(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.config.Logger.Error("the ends of processes are no longer seen, and their outcomes unknown", zap.Error(err))
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

// wait returns what epoll reports, nothing if it is time to give up waiting for a status.
func (w *Watcher) wait(ctx context.Context) ([]unix.EpollEvent, error) {
	if err := w.epoll.SetReadDeadline(w.due()); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // the deadline of that may just have been overwritten
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

// due returns when there is something to do though nobody ends; zero for never.
func (w *Watcher) due() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		return time.Time{}
	}
	return w.waiting[0].due
}

// ends returns the ends that there is nothing more to learn of.
func (w *Watcher) ends(ready []unix.EpollEvent, now time.Time) []*kill.End {
	defer w.config.Panics.Contain("working on the end of a process")
	w.mu.Lock()
	defer w.mu.Unlock()
	var ends []*kill.End
	tell := func(p *watch) {
		w.drop(p)
		ends = append(ends, p.end())
	}
	if w.connector != nil {
		w.askConnector(now, tell)
	}
	for i := range ready {
		p := w.watches[idOf(&ready[i])]
		if p == nil { // the connector, or forgotten meanwhile
			continue
		}
		first := p.hasEnded(now)
		if w.learn(p, ready[i].Events&unix.EPOLLHUP != 0) {
			tell(p)
		} else if first {
			w.waiting = append(w.waiting, p)
		}
	}
	w.giveUp(now, tell)
	return ends
}

// hasEnded notes when a process has ended, and reports whether that is new.
func (p *watch) hasEnded(now time.Time) bool {
	if !p.ended.IsZero() {
		return false
	}
	p.ended, p.due = now, now.Add(patience)
	return true
}

// learn asks how a process has ended, and reports whether that is known or never will be.
func (w *Watcher) learn(p *watch, reaped bool) bool {
	if !reaped {
		if s, err := w.stat(p.pid); err == nil && s.Start == p.start {
			p.name = s.Command
			// The kernel tells 0 to those who may not know it.
			if s.Status != 0 || w.trusted {
				p.exit = kill.Exit{Known: true, Status: s.Status}
			}
		}
	}
	if reaped && w.tellsExit && !p.exit.Known {
		p.exit = exitOf(p.pidfd)
	}
	more := w.connector != nil || w.tellsExit && !reaped
	return p.exit.Known || !more
}

// askConnector notes the status of those that have ended, and tells of those that nothing
// but the connector tells of.
func (w *Watcher) askConnector(now time.Time, tell func(*watch)) {
	lost := w.connector.each(func(pid, status int) {
		p, exit := w.followed[pid], kill.Exit{Known: true, Status: status}
		switch {
		case p == nil:
		case w.lives(p):
			p.guess, p.guessed = exit, now
		case p.pidfd == none:
			p.exit = exit
			p.hasEnded(now)
			w.learn(p, false)
			tell(p)
		default:
			p.exit = exit
		}
	})
	if !lost {
		return
	}
	for _, p := range w.followed {
		if p.pidfd == none && !w.lives(p) {
			p.hasEnded(now)
			tell(p)
		}
	}
}

// giveUp tells of those whose status has come, or does not.
func (w *Watcher) giveUp(now time.Time, tell func(*watch)) {
	waiting := w.waiting[:0]
	for _, p := range w.waiting {
		switch {
		case w.watches[p.id] == nil: // told or forgotten
		case p.exit.Known:
			tell(p)
		case !now.Before(p.due):
			if p.ended.Sub(p.guessed) < patience { // as all threads are killed, one by one
				p.exit = p.guess
			}
			tell(p)
		default:
			waiting = append(waiting, p)
		}
	}
	clear(w.waiting[len(waiting):])
	w.waiting = waiting
}

// end returns how the process has ended.
func (p *watch) end() *kill.End {
	return &kill.End{PID: p.pid, Start: p.start, Time: p.ended, Exit: p.exit, Command: p.name}
}
