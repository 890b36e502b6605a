// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/moby/sys/capability"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/rhythm"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// retryInterval is how long to wait after an error of the socket.
	retryInterval = time.Second
	// linger is how long to keep reading when the receiver is stopped: the kernel records a
	// signal a moment after it was sent, and that may be the signal that stops the
	// collector.
	linger = 100 * time.Millisecond
	// checkInterval is how often the kernel is asked for its state at most, however many
	// groups of processes are signaled: each time it starts a thread to answer
	// (kernel/audit.c, audit_send_reply).
	checkInterval = 50 * time.Millisecond
)

// Settings says how to listen.
type Settings struct {
	Mode Mode
	// ReceiveBuffer is the size of the socket's buffer in bytes.
	ReceiveBuffer int
	// Correlation says how records are joined.
	Correlation correlate.Config
	// Facts delivers facts as well as events.
	Facts bool
	// Panics contains a panic to the record that caused it.
	Panics *panics.Guard
	Counts *source.Counts
	Logger *zap.Logger
	// Warn is called with what a person has to fix.
	Warn func(*problem.Problem)
	// Tampered is called when an act that blinds the monitor is seen.
	Tampered func()
	// Health is called with a problem that may pass, and with nil once it has passed.
	Health func(error)
}

// Source listens to the kernel's audit system.
type Source struct {
	settings   Settings
	sampled    *zap.Logger
	reader     *reader
	supervisor *supervisor
	vacancies  vacancies

	began Mode

	// stop ends the supervisor.
	stop                 context.CancelFunc
	reading, supervising sync.WaitGroup

	reported correlate.Counts
}

var _ source.Source = (*Source)(nil)

// New returns a source that has opened nothing yet.
func New(settings Settings) *Source {
	return &Source{
		settings: settings, sampled: logsampling.New(settings.Logger),
		vacancies: vacancies{usual: takeAfter, yielded: takeAfterYield},
	}
}

// Start opens the socket and starts listening. It fails if the process lacks a right, or if
// another process is the audit daemon and the mode does not allow that.
func (s *Source) Start(ctx context.Context) error {
	socket, err := openSocket()
	if err != nil {
		return explain("opening an audit netlink socket", needRead, err)
	}
	s.checkBuffer(socket)
	return s.begin(ctx, socket, auditcontrol.Client{})
}

// begin starts listening.
func (s *Source) begin(ctx context.Context, transport transport, kernel kernel) error {
	s.reader = newReader(transport, &s.settings)
	s.supervisor = newSupervisor(&s.settings, s.sampled, s.reader, kernel, s.vacancies)
	s.reading.Go(s.read)
	if err := s.supervisor.begin(ctx); err != nil {
		return err
	}
	s.began = ModeMulticast
	if s.supervisor.registered {
		s.began = ModeUnicast
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.supervising.Go(func() { s.supervise(ctx) })
	return nil
}

// Traits implements source.Source. With ModeAuto the way changes while the source runs, as
// audit daemons come and go.
func (s *Source) Traits() source.Traits { return source.Traits{Way: string(s.began), Live: true} }

// read empties the socket until it is closed.
func (s *Source) read() {
	failing := false
	for {
		err := s.reader.run(func() {
			if failing {
				s.settings.Health(nil)
			}
		})
		if errors.Is(err, os.ErrClosed) {
			return
		}
		s.sampled.Error("cannot read audit records, trying again", zap.Error(err))
		s.settings.Health(fmt.Errorf("reading audit records: %w", err))
		failing = true
		time.Sleep(retryInterval)
	}
}

// supervise reports the counts and reacts to the kernel's state until ctx is done.
func (s *Source) supervise(ctx context.Context) {
	timer := time.NewTimer(rhythm.Next(tick))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.reader.replace:
			s.supervisor.yield(ctx)
		case <-s.reader.doubt:
			s.supervisor.check(ctx)
			sleep(ctx, checkInterval)
		case <-timer.C:
			s.supervisor.check(ctx)
			s.report()
			timer.Reset(rhythm.Next(tick))
		}
	}
}

func sleep(ctx context.Context, duration time.Duration) {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// checkBuffer sets the size of the socket's buffer.
func (s *Source) checkBuffer(socket *socket) {
	got, err := socket.setBuffer(s.settings.ReceiveBuffer)
	if err != nil || got < s.settings.ReceiveBuffer {
		s.settings.Warn(&problem.Problem{
			What:    "the socket's buffer is smaller than configured, so bursts may be lost",
			Err:     err,
			Lacking: privilege.Lacking(capability.CAP_NET_ADMIN),
			Fix:     "raise it with sysctl net.core.rmem_max",
			Details: []problem.Detail{{Name: "bytes", Value: got}, {Name: "receive_buffer", Value: s.settings.ReceiveBuffer}},
		})
	}
}

// Run implements source.Source.
func (s *Source) Run(ctx context.Context, deliver source.Deliver) {
	events := s.reader.queue
	for ctx.Err() == nil {
		select {
		case <-events.Ready():
			if !s.reader.queue.Deliver(deliver) {
				return
			}
		case <-ctx.Done():
		}
	}
	time.Sleep(linger)
	s.halt()
	s.reader.flush()
	s.supervisor.ascertain()
	s.reader.queue.Finish()
	s.reader.queue.Deliver(deliver)
}

// halt stops the supervisor's goroutine.
func (s *Source) halt() {
	if s.stop != nil {
		s.stop()
		s.supervising.Wait()
	}
}

// report updates the counts.
func (s *Source) report() {
	now, c := s.reader.snapshot(), s.settings.Counts
	c.Records.Add(now.records)
	c.Malformed.Add(now.malformed)
	c.Incomplete.Add(now.incomplete + now.correlated.Incomplete - s.reported.Incomplete)
	c.Evicted.Add(now.correlated.Evicted - s.reported.Evicted)
	c.Pending.Store(int64(now.pending))
	c.Lose(source.ReceiveOverruns, now.overruns)
	c.Lose(source.SequenceGaps, now.gaps)
	c.Lose(source.QueueFull, now.dropped)
	c.Joined.Add(s.reader.queue.TakeJoined())
	s.reported = now.correlated
}

// Close implements source.Source. It gives up the place of the audit daemon and restores
// the kernel's settings.
func (s *Source) Close() error {
	if s.reader == nil {
		return nil
	}
	s.halt()
	s.reader.queue.Abandon()
	s.report()
	err := errors.Join(s.supervisor.end(), s.reader.transport.close())
	s.reading.Wait()
	return err
}
