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
)

const (
	// takeAfter is how long there must be no audit daemon before the source takes
	// its place: one that is restarted needs it itself in a moment.
	takeAfter = 5 * time.Second
	// takeAfterYield is the same after a daemon has asked for the place. The kernel
	// refused it that once, and somebody has to start it again.
	takeAfterYield = 30 * time.Second
	// answerTimeout is how long the kernel's answer to a request may take. It comes
	// with the call, but behind all records that are in the socket.
	answerTimeout = 10 * time.Second
)

// vacancies are how long the place of the audit daemon is left free: usually, and
// after a daemon has asked for it.
type vacancies struct{ usual, yielded time.Duration }

// errStalls is why the place of the audit daemon is not taken.
var errStalls = errors.New("not taking the place of the audit daemon")

// errNoAnswer is a request without an answer.
var errNoAnswer = errors.New("the kernel has not answered in time")

// supervisor knows the kernel's state and chooses how to listen.
type supervisor struct {
	mode    Mode
	logger  *zap.Logger
	sampled *zap.Logger // the same, but tells the same only once in a while
	warn    func(*problem.Problem)
	counts  *source.Counts
	health  func(error)
	reader  *reader
	kernel  kernel
	backlog backlog
	self    uint32
	now     func() time.Time
	// answerTimeout is the constant of that name, but in tests.
	answerTimeout time.Duration

	// registered is true while this process is the audit daemon, joined while it
	// listens beside one.
	registered, joined bool
	// lost is how many records the kernel has lost since it was booted.
	lost uint32
	// looked is when the kernel was asked last, losses when it has lost records.
	looked time.Time
	losses losses
	// alone is when the daemon was first found missing, vacancy how long that may
	// last before its place is taken.
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

// state asks for the kernel's state. A daemon that was killed counts as none: the
// kernel finds that out only when it has the next record for it, or when another
// takes the place.
func (s *supervisor) state() (*libaudit.AuditStatus, error) {
	status, err := s.kernel.GetStatus()
	if err != nil || status.PID == 0 {
		return status, err
	}
	// Not kill(2) with signal 0, of which there may be a record.
	if _, gone := unix.Getpgid(int(status.PID)); errors.Is(gone, unix.ESRCH) {
		status.PID = 0
	}
	return status, nil
}

// begin chooses how to listen at the start.
func (s *supervisor) begin(ctx context.Context) error {
	status, err := s.state()
	if err != nil {
		return s.beginBlind(err)
	}
	s.lost, s.looked = status.Lost, s.now()
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
	case errors.Is(err, errStalls):
		s.logger.Warn("listening only, as the host would have to wait for this process in the place of the audit daemon; "+
			"without a daemon the kernel prints all records to its own log", zap.Error(err))
		return s.listen()
	case errors.Is(err, unix.EEXIST): // a daemon was faster
		return s.listen()
	}
	return err
}

// beginBlind begins without knowing the kernel's state, for lack of the right to
// ask, or of an answer.
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

// register makes this process the audit daemon, if there is none. In mode auto it
// does not where the host would have to wait for it.
func (s *supervisor) register(ctx context.Context, status *libaudit.AuditStatus) error {
	if status.PID != 0 && status.PID != s.self {
		return takenBy(status.PID)
	}
	if err := s.backlog.set(status); err != nil {
		if s.mode == ModeAuto {
			return errors.Join(fmt.Errorf("%w: %w", errStalls, err), s.backlog.restore())
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

// holdsPlace reports whether this process is the audit daemon, where a request got
// no answer: the kernel sends it only if there is room in the socket. If that is
// not known either, it is as was requested, so that it is given back in the end.
func (s *supervisor) holdsPlace(requested bool) bool {
	status, err := s.kernel.GetStatus()
	if err != nil {
		return requested
	}
	return status.PID == s.self
}

// takenBy is the problem that another process is the audit daemon. It says more than the
// kernel's EEXIST, which it stands for.
func takenBy(pid uint32) *problem.Problem {
	name := "a process that has ended"
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		name = strings.TrimSpace(string(comm))
	}
	return &problem.Problem{
		Err:    taken(fmt.Sprintf("%s[%d] holds the audit pid", name, pid)),
		Fix:    "stop it",
		Advice: []problem.Advice{problem.UseMulticast},
	}
}

// taken is the error behind it.
type taken string

// Error implements error.
func (t taken) Error() string { return string(t) }

// Unwrap tells errors.Is.
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

// look asks for the kernel's state and follows it.
func (s *supervisor) look(ctx context.Context) {
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

// ascertain asks for the kernel's state, and what it has lost. It returns nil if
// that is not known.
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
	s.reader.settle(doubtful, func(e *kill.Event) bool { return s.losses.struck(e.Time) })
	return status
}

// noteLost counts what the kernel has lost since the last look.
func (s *supervisor) noteLost(lost uint32) {
	since := lost - s.lost
	if lost < s.lost {
		since = lost // the counter was reset
	}
	before, now := s.looked, s.now()
	s.lost, s.looked = lost, now
	if before.IsZero() { // the first answer: what was lost before is no news
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

// leave ends listening once the records come to this process as the daemon.
func (s *supervisor) leave() {
	if s.joined && s.reader.serving() {
		s.joined = false
		if err := s.reader.transport.leave(); err != nil {
			s.sampled.Warn("audit records come twice, and once in vain", zap.Error(err))
		}
	}
}

// dismissed is what happens when the kernel has let go of this process.
func (s *supervisor) dismissed(ctx context.Context, status *libaudit.AuditStatus) {
	s.registered = false
	s.logger.Warn("the kernel sends audit records to this process no longer", zap.Uint32("audit_pid", status.PID))
	var err error
	if s.mode == ModeAuto && status.PID != 0 {
		err = errors.Join(s.backlog.restore(), s.listen())
	} else {
		err = s.register(ctx, status)
	}
	s.tell(err)
}

// abandoned is what happens while there is no audit daemon.
func (s *supervisor) abandoned(ctx context.Context, status *libaudit.AuditStatus) {
	switch {
	case s.mode == ModeUnicast:
		s.tell(s.register(ctx, status))
	case s.alone.IsZero():
		s.alone = s.now()
		if s.mode == ModeMulticast {
			s.warnAlone()
		}
	case s.mode == ModeAuto && s.now().Sub(s.alone) >= s.vacancy:
		s.tell(s.register(ctx, status))
		s.alone, s.vacancy = time.Time{}, s.vacancies.usual
	}
}

func (s *supervisor) warnAlone() {
	s.warn(&problem.Problem{
		What:   "there is no audit daemon, so that the kernel also prints all audit records to its own log",
		Fix:    "start auditd",
		Advice: []problem.Advice{problem.UseDaemonsPlace},
	})
}

// yield gives the place of the audit daemon to another process that asks for it.
// The kernel has refused it already, so that it has to be started again, which
// systemd does with auditd.
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
		"making room for it, start it again if nobody does")
	s.tell(s.step(ctx))
}

// step back from being the audit daemon to listening beside one.
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

// tell reports trouble that may pass, or that it has.
func (s *supervisor) tell(err error) {
	switch {
	case errors.Is(err, errStalls): // listening is no trouble
		s.sampled.Warn("listening only; without an audit daemon the kernel prints all records to its own log", zap.Error(err))
		err = nil
	case err != nil:
		s.sampled.Error("cannot listen to audit records as wanted, trying again", zap.Error(err))
	}
	s.health(err)
}

// end gives back what was taken.
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
