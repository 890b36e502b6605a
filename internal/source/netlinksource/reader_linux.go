// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

const (
	// tick is how often the reader looks at what has waited for long enough, even
	// if nothing comes.
	tick = time.Second
	// pace is how long the reader lets messages gather once it has emptied the
	// socket, as many at once cost a fraction of what as many alone do; busyPace is
	// the same while at least busyFrom have come together. At 38,000 signals a
	// second 1,500 come meanwhile, and the default receive buffer holds 7,000.
	pace     = 2 * time.Millisecond
	busyPace = 10 * time.Millisecond
	busyFrom = 16
)

// Messages that are not records of events (include/uapi/linux/audit.h).
const (
	typeReplace = 1329 // AUDIT_REPLACE: somebody wants to be the audit daemon
	firstRecord = 1100 // AUDIT_FIRST_USER_MSG
)

// reader empties the socket. It has a goroutine of its own, which waits for
// nothing but the socket.
type reader struct {
	transport transport
	queue     *queue.Queue
	// tampered is called as soon as somebody is seen to blind the monitor, however
	// long it takes to deliver that.
	tampered func()
	panics   *panics.Guard
	// answers are those to requests, replace the wishes of others to be the audit
	// daemon. Both are read by the supervisor.
	answers chan reply
	replace chan struct{}
	// doubt holds a token while there are events in doubtful.
	doubt chan struct{}

	// mutex guards what follows; it is held for as long as a few hundred messages
	// take.
	mutex      sync.Mutex
	handover   handover
	correlator *correlate.Correlator
	gaps       gaps
	// gathered are the events of one batch of messages.
	gathered []*kill.Event
	// doubtful are events with any number of targets: only if the kernel has lost
	// nothing meanwhile are they whole. They wait until the supervisor has asked, if
	// it can; together they are no more than the queue holds.
	doubtful       []*kill.Event
	doubtfulWeight int
	asks           bool
	// multicast is how the last record came.
	multicast bool
	// self is this process as the records name it; 0 if that is not known.
	self int
	at   correlate.Position
	// overrun is true from the moment that the kernel found no room in the socket
	// until all that was in it has been read.
	overrun bool
	// stopped is true once events are not wanted anymore.
	stopped  bool
	lastTick time.Time
	now      time.Time
	counts   counts
}

// counts is what has happened since it was last reported.
type counts struct {
	records, malformed, overruns int64
	// incomplete are events that the correlator took for whole.
	incomplete int64
}

// reply is the kernel's answer to a request.
type reply struct {
	sequence uint32
	err      error
}

func newReader(transport transport, config correlate.Config, tampered func(), contain *panics.Guard) *reader {
	r := &reader{
		transport: transport,
		tampered:  tampered,
		panics:    contain,
		queue:     queue.New(),
		answers:   make(chan reply, 1),
		replace:   make(chan struct{}, 1),
		doubt:     make(chan struct{}, 1),
		now:       time.Now(),
	}
	if privilege.InitialPIDNamespace() {
		r.self = os.Getpid()
		config.PID = r.self
	}
	r.lastTick = r.now
	config.Source = sourceName(r.multicast)
	r.correlator = correlate.New(config, r.emit)
	return r
}

// run reads until the socket is closed or fails. It calls good once it has read
// something, or found that there is nothing.
func (r *reader) run(good func()) error {
	good = sync.OnceFunc(good)
	deadline := time.Now().Add(tick)
	for {
		messages, emptied, err := r.transport.receive(deadline)
		next, err := r.process(messages, emptied, err)
		if err != nil {
			return err
		}
		good()
		if emptied {
			gather(len(messages))
		}
		deadline = next
	}
}

// gather waits for more messages to come.
func gather(came int) {
	switch {
	case came >= busyFrom:
		time.Sleep(busyPace)
	case came > 0:
		time.Sleep(pace)
	}
}

// process takes what receive has returned, and returns how long to wait for
// more.
func (r *reader) process(messages []message, emptied bool, err error) (time.Time, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.now = time.Now()
	switch {
	case err == nil, errors.Is(err, errTimeout):
	case errors.Is(err, unix.ENOBUFS):
		// What is for the daemon the kernel sends again, and counts if it cannot
		// (kernel/audit.c, kauditd_retry_skb).
		if r.handover.state != serving {
			r.overrun = true
			r.counts.overruns++
		}
	case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOMEM):
	default:
		return time.Time{}, err
	}
	for i := range messages {
		r.add(&messages[i])
	}
	if emptied && r.overrun {
		// What was lost would have stood behind all that was in the socket, as the
		// kernel adds nothing before it is empty (net/netlink/af_netlink.c,
		// netlink_overrun).
		r.overrun = false
		r.correlator.Lost()
	}
	wait := tick
	if emptied {
		if r.now.Sub(r.lastTick) >= tick {
			r.handover.release(r.record)
			r.gaps.settle()
			r.lastTick = r.now
		}
		if next := r.expire(); next > 0 {
			wait = min(wait, next)
		}
	}
	r.hand()
	return r.now.Add(wait), nil
}

func (r *reader) expire() time.Duration {
	defer r.panics.Contain("completing an event of audit records")
	return r.correlator.Expire(r.now)
}

// emit takes an event from the correlator.
func (r *reader) emit(e *kill.Event) {
	if e.Kind == kill.KindTamper {
		r.tampered()
	}
	switch {
	case r.stopped:
	case e.Kind == kill.KindSignal && e.Sender.PID == r.self && r.self != 0:
		// What we do must not feed what we read, whatever others have made a rule of.
	case !r.asks || e.Kind != kill.KindSignal || e.Scope.Single():
		r.gathered = append(r.gathered, e)
	case r.doubtfulWeight+weight(e) > queue.Max:
		r.gathered = append(r.gathered, e)
		r.suspect(e)
	default:
		r.doubtful = append(r.doubtful, e)
		r.doubtfulWeight += weight(e)
		offer(r.doubt, struct{}{})
	}
}

// weight is how much of the queue an event takes.
func weight(e *kill.Event) int { return queue.Weight(source.Observation{Event: e}) }

// suspect says of an event that records of it may have been lost.
func (r *reader) suspect(e *kill.Event) {
	if e.Complete {
		e.Complete = false
		r.counts.incomplete++
	}
}

// takeDoubtful returns the events of which it is to be asked whether they are
// whole; settle hands them on afterwards.
func (r *reader) takeDoubtful() []*kill.Event {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	events := r.doubtful
	r.doubtful, r.doubtfulWeight = nil, 0
	return events
}

// settle hands on what was doubtful.
func (r *reader) settle(events []*kill.Event, struck func(*kill.Event) bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, e := range events {
		if struck(e) {
			r.suspect(e)
		}
	}
	r.gathered = append(r.gathered, events...)
	r.hand()
}

// hand moves the events on.
func (r *reader) hand() {
	r.queue.Add(source.Events(r.gathered))
	clear(r.gathered)
	r.gathered = r.gathered[:0]
}

// add takes one message.
func (r *reader) add(m *message) {
	defer r.panics.Contain("reading an audit record")
	switch {
	case m.kind == unix.NLMSG_ERROR:
		offer(r.answers, reply{sequence: m.sequence, err: answer(m.data)})
	case m.kind == typeReplace:
		offer(r.replace, struct{}{})
	case m.kind >= firstRecord:
		r.handover.take(m, r.record)
	}
}

// offer puts the newest value into a channel of one place.
func offer[T any](c chan T, value T) {
	for {
		select {
		case c <- value:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// record takes one record.
func (r *reader) record(m *message) {
	r.counts.records++
	r.at++
	if m.multicast != r.multicast {
		r.multicast = m.multicast
		r.correlator.SetSource(sourceName(m.multicast))
	}
	serial, verdict := r.correlator.AddMessage(auditrecord.Type(m.kind), trim(m.data), m.cut, r.at, r.now)
	if verdict == correlate.NoRecord || verdict == correlate.Broken {
		r.counts.malformed++
	}
	if verdict != correlate.NoRecord {
		r.gaps.add(serial)
	}
}

// The values of kill.source for events from the kernel.
func sourceName(multicast bool) string {
	if multicast {
		return "audit_multicast"
	}
	return "audit_unicast"
}

// trim takes away the NULs and line feeds that end a record.
func trim(text []byte) []byte {
	for len(text) > 0 && (text[len(text)-1] == 0 || text[len(text)-1] == '\n') {
		text = text[:len(text)-1]
	}
	return text
}

// ask says whether the supervisor can tell what the kernel has lost.
func (r *reader) ask(can bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.asks = can
}

// change makes the reader take other messages from now on.
func (r *reader) change(to state) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.handover.change(to)
}

// serving reports whether the records that count are those for the daemon.
func (r *reader) serving() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.handover.state == serving
}

// lost says that the kernel has lost records just now.
func (r *reader) lost() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.correlator.Lost()
}

// flush closes what still waits for records, and takes no more events.
func (r *reader) flush() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.handover.release(r.record)
	r.correlator.Flush()
	r.hand()
	r.stopped = true
}

// snapshot is what the metrics need.
type snapshot struct {
	counts
	gaps, dropped int64
	pending       int
	correlated    correlate.Counts
}

func (r *reader) snapshot() snapshot {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	s := snapshot{
		counts: r.counts, gaps: r.gaps.take(), dropped: r.queue.TakeDropped(),
		pending: r.correlator.Pending(), correlated: r.correlator.Counts(),
	}
	r.counts = counts{}
	return s
}
