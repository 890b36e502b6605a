// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

const (
	// retryInterval is how long to wait after an error of the socket.
	retryInterval = time.Second
	// linger is how long to go on reading when the receiver is told to stop: the
	// kernel records a signal a moment after it was sent, and that may be the one
	// that stops the collector.
	linger = 100 * time.Millisecond
	// lookInterval is how often the kernel is asked for its state at most, however
	// many groups of processes are signaled: each time it starts a thread to answer
	// (kernel/audit.c, audit_send_reply).
	lookInterval = 50 * time.Millisecond
)

// Settings says how to listen.
type Settings struct {
	Mode Mode
	// ReceiveBuffer is the size of the socket's buffer in bytes.
	ReceiveBuffer int
	// Correlation says how records are joined.
	Correlation correlate.Config
	Telemetry   *metadata.TelemetryBuilder
	Logger      *zap.Logger
	// Tampered is called when somebody is seen to blind the monitor.
	Tampered func()
	// Report is told of trouble that may pass, and with nil that it has passed.
	Report func(error)
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
	pending  atomic.Int64
}

var _ source.Source = (*Source)(nil)

// New returns a source that has not opened anything yet.
func New(settings Settings) *Source {
	return &Source{
		settings: settings, sampled: logsampling.New(settings.Logger),
		vacancies: vacancies{usual: takeAfter, yielded: takeAfterYield},
	}
}

// Start opens the socket and begins to listen. It fails if the process lacks a
// right, or if another process is the audit daemon where it must not be.
func (s *Source) Start(ctx context.Context) error {
	socket, err := openSocket()
	if err != nil {
		return explain("opening an audit netlink socket", needRead, err)
	}
	s.checkBuffer(socket)
	return s.begin(ctx, socket, auditcontrol.Client{})
}

// begin starts to listen.
func (s *Source) begin(ctx context.Context, transport transport, kernel kernel) error {
	s.reader = newReader(transport, s.settings.Correlation, s.settings.Tampered)
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
	return s.settings.Telemetry.RegisterReceiverAuditKillPendingCallback(
		func(_ context.Context, observer metric.Int64Observer) error {
			observer.Observe(s.pending.Load())
			return nil
		})
}

// Began returns how Start has begun to listen: ModeMulticast or ModeUnicast. With ModeAuto
// that changes while it runs, as audit daemons come and go.
func (s *Source) Began() Mode { return s.began }

// read empties the socket until it is closed.
func (s *Source) read() {
	troubled := false
	for {
		err := s.reader.run(func() {
			if troubled {
				s.settings.Report(nil)
			}
		})
		if errors.Is(err, os.ErrClosed) {
			return
		}
		s.sampled.Error("cannot read audit records, trying again", zap.Error(err))
		s.settings.Report(fmt.Errorf("reading audit records: %w", err))
		troubled = true
		time.Sleep(retryInterval)
	}
}

// supervise reports and follows the kernel's state until ctx is done.
func (s *Source) supervise(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.reader.replace:
			s.supervisor.yield(ctx)
		case <-s.reader.doubt:
			s.supervisor.look(ctx)
			sleep(ctx, lookInterval)
		case <-ticker.C:
			s.supervisor.look(ctx)
			s.report(ctx)
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
		s.settings.Logger.Warn("the socket's buffer is smaller than receive_buffer, so that bursts may be lost: "+
			"give the collector CAP_NET_ADMIN, or raise it with sysctl net.core.rmem_max",
			zap.Int("bytes", got), zap.Int("receive_buffer", s.settings.ReceiveBuffer), zap.Error(err))
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
	ctx = context.WithoutCancel(ctx)
	s.reader.flush()
	s.supervisor.ascertain(ctx)
	s.reader.queue.Deliver(deliver)
}

// halt ends the supervisor's goroutine.
func (s *Source) halt() {
	if s.stop != nil {
		s.stop()
		s.supervising.Wait()
	}
}

// report moves the counts into the metrics, and tells of losses.
func (s *Source) report(ctx context.Context) {
	now, t := s.reader.snapshot(), s.settings.Telemetry
	t.ReceiverAuditKillRecordsRead.Add(ctx, now.records)
	t.ReceiverAuditKillReceiveOverruns.Add(ctx, now.overruns)
	t.ReceiverAuditKillSequenceGaps.Add(ctx, now.gaps)
	t.ReceiverAuditKillQueueDropped.Add(ctx, now.dropped)
	t.ReceiverAuditKillIncomplete.Add(ctx, now.incomplete+now.correlated.Incomplete-s.reported.Incomplete)
	t.ReceiverAuditKillEvicted.Add(ctx, now.correlated.Evicted-s.reported.Evicted)
	if malformed := now.malformed; malformed > 0 {
		t.ReceiverAuditKillRejected.Add(ctx, malformed, metric.WithAttributes(attribute.String("reason", "malformed")))
	}
	s.reported = now.correlated
	s.pending.Store(int64(now.pending))
	if now.overruns > 0 {
		s.sampled.Warn("audit records were lost, as the socket's buffer was full: raise netlink::receive_buffer",
			zap.Int64("times", now.overruns))
	}
	if now.gaps > 0 {
		s.sampled.Warn("audit events are missing: the kernel's numbers have gaps", zap.Int64("events", now.gaps))
	}
	if now.dropped > 0 {
		s.sampled.Warn("dropped events, as the pipeline does not take them as fast as signals are sent",
			zap.Int64("events", now.dropped), zap.Int("queue", queue.Max))
	}
}

// Close implements source.Source. It gives back the place of the audit daemon
// and restores the kernel's settings.
func (s *Source) Close() error {
	if s.reader == nil {
		return nil
	}
	s.halt()
	s.reader.queue.Abandon()
	s.report(context.Background())
	err := errors.Join(s.supervisor.end(), s.reader.transport.close())
	s.reading.Wait()
	return err
}
