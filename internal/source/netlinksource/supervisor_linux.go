// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

const (
	// takeAfter is how long there must be no audit daemon before the source takes its
	// place: a daemon that is being restarted needs the place again in a moment.
	takeAfter = 5 * time.Second
	// takeAfterYield is the same after a daemon has asked for the place. The kernel refused
	// that request, and someone has to start the daemon again.
	takeAfterYield = 30 * time.Second
	// answerTimeout is how long the kernel's answer to a request may take. The kernel
	// answers during the call, but the answer queues behind all records in the socket.
	answerTimeout = 10 * time.Second
)

// vacancies is how long the place of the audit daemon stays free: usually, and after a
// daemon has asked for it.
type vacancies struct{ usual, yielded time.Duration }

// errWouldBlock means that the host would have to wait for this process, so that it does
// not become the audit daemon.
var errWouldBlock = errors.New("not taking the place of the audit daemon")

// errNoAnswer means that the kernel did not answer a request.
var errNoAnswer = errors.New("the kernel has not answered in time")

// supervisor watches the kernel's state and chooses how to listen.
type supervisor struct {
	mode    Mode
	logger  *zap.Logger
	sampled *zap.Logger // the same, but repeats a message only now and then
	warn    func(*problem.Problem)
	counts  *source.Counts
	health  func(error)
	reader  *reader
	kernel  kernel
	backlog backlog
	self    uint32
	now     func() time.Time
	// answerTimeout is the constant of that name, except in tests.
	answerTimeout time.Duration

	// registered is true while this process is the audit daemon, joined while it
	// listens beside one.
	registered, joined bool
	// lost is how many records the kernel has lost since boot.
	lost uint32
	// checked is when the kernel was last asked, losses when it lost records.
	checked time.Time
	losses  losses
	// alone is when the daemon was first found missing, vacancy how long it may be missing
	// before its place is taken.
	alone     time.Time
	vacancy   time.Duration
	vacancies vacancies
	blind     bool
}

func newSupervisor(settings *Settings, sampled *zap.Logger, reader *reader, kernel kernel, vacancies vacancies) *supervisor {
	return &supervisor{
		mode: settings.Mode, logger: settings.Logger, sampled: sampled,
		warn: settings.Warn, counts: settings.Counts, health: settings.Health,
		reader: reader, kernel: kernel,
		backlog: backlog{kernel: kernel, logger: sampled},
		self:    uint32(os.Getpid()),
		now:     time.Now, answerTimeout: answerTimeout, vacancy: vacancies.usual, vacancies: vacancies,
	}
}

// state asks for the kernel's state. A daemon that was killed counts as none: the kernel
// notices only when it has the next record for it, or when another process takes the place.
func (s *supervisor) state() (*libaudit.AuditStatus, error) {
	status, err := s.kernel.GetStatus()
	if err != nil || status.PID == 0 {
		return status, err
	}
	// Not kill(2) with signal 0, because that might be recorded as well.
	if _, gone := unix.Getpgid(int(status.PID)); errors.Is(gone, unix.ESRCH) {
		status.PID = 0
	}
	return status, nil
}

// begin chooses how to listen first.
func (s *supervisor) begin(ctx context.Context) error {
	status, err := s.state()
	if err != nil {
		return s.beginBlind(err)
	}
	s.lost, s.checked = status.Lost, s.now()
	s.reader.ask(true)
	switch {
	case s.mode == ModeUnicast:
		return s.register(ctx, status)
	case status.PID != 0:
		return s.listen()
	case s.mode == ModeMulticast:
		s.alone = s.now()
		s.warnAlone()
		return s.listen()
	}
	err = s.register(ctx, status)
	switch {
	case errors.Is(err, errWouldBlock):
		s.logger.Warn("listening only, because as the audit daemon this process could make the host wait; "+
			"without a daemon the kernel prints all records to its own log", zap.Error(err))
		return s.listen()
	case errors.Is(err, unix.EEXIST): // a daemon was quicker
		return s.listen()
	}
	return err
}

// beginBlind starts without knowing the kernel's state, for lack of the right to ask or of
// an answer.
func (s *supervisor) beginBlind(err error) error {
	s.blind = auditcontrol.Refused(err)
	explained := explain("asking for the state of the audit system", needControl, err)
	if s.mode == ModeUnicast {
		return explained
	}
	if err := s.listen(); err != nil {
		return err
	}
	s.warn(&problem.Problem{
		What: "listening beside the audit daemon without knowing whether there is one, or what the kernel loses; " +
			"without one the kernel prints all records to its own log",
		Err: explained,
	})
	return nil
}

// listen makes the source listen beside the audit daemon.
func (s *supervisor) listen() error {
	if err := checkNetwork(); err != nil {
		return err
	}
	s.reader.change(listening)
	if err := s.reader.transport.join(); err != nil {
		return explain("listening to audit records (multicast)", needRead, err)
	}
	s.joined = true
	s.logger.Info("listening to audit records beside the audit daemon", zap.String("mode", string(ModeMulticast)))
	return nil
}

// register makes this process the audit daemon, if there is none. Mode auto does not do
// that if the host would then have to wait for it.
func (s *supervisor) register(ctx context.Context, status *libaudit.AuditStatus) error {
	if status.PID != 0 && status.PID != s.self {
		return takenBy(status.PID)
	}
	if err := s.backlog.set(status); err != nil {
		if s.mode == ModeAuto {
			return errors.Join(fmt.Errorf("%w: %w", errWouldBlock, err), s.backlog.restore())
		}
		s.logger.Warn("system calls may have to wait for this process", zap.Error(err))
	}
	if s.joined {
		s.reader.change(toServing)
	} else {
		s.reader.change(serving)
	}
	err := s.ask(ctx, s.reader.transport.register)
	if errors.Is(err, errNoAnswer) && s.holdsPlace(true) {
		err = nil
	}
	if err == nil {
		s.registered = true
		s.logger.Info("receiving audit records in the place of the audit daemon", zap.String("mode", string(ModeUnicast)))
		return nil
	}
	if s.joined {
		s.reader.change(listening)
	}
	err = errors.Join(err, s.backlog.restore())
	if errors.Is(err, unix.EEXIST) {
		if now, unknown := s.kernel.GetStatus(); unknown == nil {
			return takenBy(now.PID)
		}
	}
	return explain("becoming the audit daemon (unicast)", needControl, err)
}

// holdsPlace reports whether this process is the audit daemon, after a request got no
// answer: the kernel sends one only if there is room in the socket. If that cannot be found
// out either, it assumes that the request has succeeded, so that the place is given up in
// the end.
func (s *supervisor) holdsPlace(requested bool) bool {
	status, err := s.kernel.GetStatus()
	if err != nil {
		return requested
	}
	return status.PID == s.self
}

// takenBy is the problem that another process is the audit daemon. It wraps the kernel's
// EEXIST and says more than that.
func takenBy(pid uint32) *problem.Problem {
	name := "a process that has ended"
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		name = visible.Name(strings.TrimSpace(string(comm)))
	}
	return &problem.Problem{
		Err:    taken(fmt.Sprintf("%s[%d] holds the audit pid", name, pid)),
		Fix:    "stop it",
		Advice: []problem.Advice{problem.UseMulticast},
	}
}

// taken is the error in it.
type taken string

// Error implements error.
func (t taken) Error() string { return string(t) }

// Unwrap lets errors.Is find EEXIST.
func (taken) Unwrap() error { return unix.EEXIST }

// ask sends a request and waits for its answer.
func (s *supervisor) ask(ctx context.Context, request func() (uint32, error)) error {
	sequence, err := request()
	if err != nil {
		return err
	}
	timeout := time.NewTimer(s.answerTimeout)
	defer timeout.Stop()
	for {
		select {
		case reply := <-s.reader.answers:
			if reply.sequence == sequence {
				return reply.err
			}
		case <-timeout.C:
			return errNoAnswer
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errNoAnswer, ctx.Err())
		}
	}
}

// check asks for the kernel's state and reacts to it.
func (s *supervisor) check(ctx context.Context) {
	status := s.ascertain()
	switch {
	case status == nil:
	case s.registered && status.PID != s.self:
		s.dismissed(ctx, status)
	case s.registered:
		s.leave()
	case status.PID == 0:
		s.abandoned(ctx, status)
	default:
		s.alone, s.vacancy = time.Time{}, s.vacancies.usual
	}
}

// ascertain asks for the kernel's state, and for what it has lost. It returns nil if that
// is not known.
func (s *supervisor) ascertain() *libaudit.AuditStatus {
	if s.blind {
		return nil
	}
	doubtful := s.reader.takeDoubtful()
	status, err := s.state()
	if err != nil {
		s.sampled.Warn("cannot ask the kernel for the state of its audit system", zap.Error(err))
		s.reader.settle(doubtful, func(*kill.Event) bool { return true })
		return nil
	}
	s.noteLost(status.Lost)
	s.reader.settle(doubtful, func(e *kill.Event) bool { return s.losses.hit(e.Time) })
	return status
}

// noteLost counts what the kernel has lost since the last check.
func (s *supervisor) noteLost(lost uint32) {
	since := lost - s.lost
	if lost < s.lost {
		since = lost // the counter was reset
	}
	before, now := s.checked, s.now()
	s.lost, s.checked = lost, now
	if before.IsZero() { // the first answer: earlier losses do not concern this source
		s.reader.ask(true)
		return
	}
	if since == 0 {
		return
	}
	s.losses.add(before, now)
	s.reader.lost()
	s.counts.Lose(source.KernelRecords, int64(since))
}

// leave stops listening once the records arrive for this process as the daemon.
func (s *supervisor) leave() {
	if s.joined && s.reader.serving() {
		s.joined = false
		if err := s.reader.transport.leave(); err != nil {
			s.sampled.Warn("cannot stop listening by multicast: records arrive twice, and one copy is ignored", zap.Error(err))
		}
	}
}

// dismissed runs when this process is no longer the audit daemon.
func (s *supervisor) dismissed(ctx context.Context, status *libaudit.AuditStatus) {
	s.registered = false
	s.logger.Warn("the kernel no longer sends audit records to this process", zap.Uint32("audit_pid", status.PID))
	var err error
	if s.mode == ModeAuto && status.PID != 0 {
		err = errors.Join(s.backlog.restore(), s.listen())
	} else {
		err = s.register(ctx, status)
	}
	s.reportHealth(err)
}

// abandoned runs while there is no audit daemon.
func (s *supervisor) abandoned(ctx context.Context, status *libaudit.AuditStatus) {
	switch {
	case s.mode == ModeUnicast:
		s.reportHealth(s.register(ctx, status))
	case s.alone.IsZero():
		s.alone = s.now()
		if s.mode == ModeMulticast {
			s.warnAlone()
		}
	case s.mode == ModeAuto && s.now().Sub(s.alone) >= s.vacancy:
		s.reportHealth(s.register(ctx, status))
		s.alone, s.vacancy = time.Time{}, s.vacancies.usual
	}
}

func (s *supervisor) warnAlone() {
	s.warn(&problem.Problem{
		What:   "there is no audit daemon, so the kernel also prints all audit records to its own log",
		Fix:    "start auditd",
		Advice: []problem.Advice{problem.UseDaemonsPlace},
	})
}

// yield gives the place of the audit daemon to another process that asks for it. The kernel
// has already refused that request, so the process has to be started again, which systemd
// does with auditd.
func (s *supervisor) yield(ctx context.Context) {
	if !s.registered {
		return
	}
	if s.mode != ModeAuto {
		s.warn(&problem.Problem{
			What:   "another process wants to be the audit daemon, and was refused by the kernel",
			Advice: []problem.Advice{problem.YieldToDaemon},
		})
		return
	}
	s.logger.Warn("another process wants to be the audit daemon and was refused; " +
		"making room for it: start it again if nothing else does")
	s.reportHealth(s.step(ctx))
}

// step steps back from being the audit daemon to listening beside one.
func (s *supervisor) step(ctx context.Context) error {
	if err := checkNetwork(); err != nil {
		return err
	}
	if err := s.reader.transport.join(); err != nil {
		return explain("listening to audit records (multicast)", needRead, err)
	}
	s.joined = true
	s.reader.change(toListening)
	err := s.ask(ctx, s.reader.transport.unregister)
	if errors.Is(err, errNoAnswer) && !s.holdsPlace(false) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("giving up the place of the audit daemon: %w", err)
	}
	s.registered = false
	s.alone, s.vacancy = s.now(), s.vacancies.yielded
	return s.backlog.restore()
}

// reportHealth reports a problem that may pass, or that it has passed.
func (s *supervisor) reportHealth(err error) {
	switch {
	case errors.Is(err, errWouldBlock): // listening is no problem
		s.sampled.Warn("listening only; without an audit daemon the kernel prints all records to its own log", zap.Error(err))
		err = nil
	case err != nil:
		s.sampled.Error("cannot listen to audit records as configured, trying again", zap.Error(err))
	}
	s.health(err)
}

// end gives up the daemon's place and restores what was changed.
func (s *supervisor) end() error {
	var errs []error
	if s.registered {
		s.registered = false
		if _, err := s.reader.transport.unregister(); err != nil {
			errs = append(errs, fmt.Errorf("giving up the place of the audit daemon: %w", err))
		}
	}
	return errors.Join(append(errs, s.backlog.restore())...)
}
