// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

const (
	// tick is how often the reader checks what has waited long enough, even if nothing arrives.
	tick = time.Second
	// pace is how long the reader lets messages gather after it has emptied the socket,
	// because many together cost a fraction of what the same number costs one by one.
	pace = 2 * time.Millisecond
)

// busyPaces are the same if at least so many have arrived together: some 400, 3,000 and 12,000 signals a second. At
// 38,000 a second 1,500 messages arrive in the last of them, and the default receive buffer holds 7,000.
var busyPaces = []struct {
	from int
	pace time.Duration
}{
	{1024, 10 * time.Millisecond},
	{128, 20 * time.Millisecond},
	{16, 10 * time.Millisecond},
}

// Messages that are not records of events (include/uapi/linux/audit.h).
const (
	typeReplace = 1329 // AUDIT_REPLACE: another process wants to be the audit daemon
	firstRecord = 1100 // AUDIT_FIRST_USER_MSG
)

// reader empties the socket. Its goroutine waits for nothing but the socket.
type reader struct {
	transport transport
	queue     *queue.Queue
	// tampered is called as soon as an act that blinds the monitor is seen, however long
	// its delivery takes.
	tampered func()
	panics   *panics.Guard
	// answers carries the answers to requests, replace the requests of other processes to
	// become the audit daemon. The supervisor receives both.
	answers chan reply
	replace chan struct{}
	// doubt holds a token while there are events in doubtful.
	doubt chan struct{}

	// mutex guards the fields below; it is held for as long as a few hundred messages take.
	mutex      sync.Mutex
	handover   handover
	correlator *correlate.Correlator
	gaps       gaps
	// gathered holds what one batch of messages has brought.
	gathered []source.Observation
	// doubtful holds events with any number of targets: they are complete only if the
	// kernel has lost nothing meanwhile. They wait until the supervisor has asked the
	// kernel, if it can. Together they never exceed the size of the queue.
	doubtful       []*kill.Event
	doubtfulWeight int
	asks           bool // whether the supervisor can ask
	// multicast is true if the last record came by multicast.
	multicast bool
	// self is the pid of this process in the records; 0 if that is not known.
	self int
	at   correlate.Position
	// overrun is true from the moment when the kernel found no room in the socket until
	// everything in it has been read.
	overrun bool
	// stopped is true once events are no longer wanted.
	stopped  bool
	lastTick time.Time
	now      time.Time
	counts   counts
}

// counts is what has happened since the last report.
type counts struct {
	records, malformed, overruns int64
	// incomplete counts events that the correlator considered complete.
	incomplete int64
}

// reply is the kernel's answer to a request.
type reply struct {
	sequence uint32
	err      error
}

func newReader(transport transport, settings *Settings) *reader {
	config := settings.Correlation
	r := &reader{
		transport: transport,
		tampered:  settings.Tampered,
		panics:    settings.Panics,
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
	if settings.Facts {
		config.Fact = r.tell
	}
	r.correlator = correlate.New(config, r.emit)
	return r
}

// run reads until the socket is closed or fails. It calls good once it has read something,
// or has found that there is nothing to read.
func (r *reader) run(good func()) error {
	good = sync.OnceFunc(good)
	deadline := time.Now().Add(tick)
	came := 0 // since the last pause
	for {
		messages, emptied, err := r.transport.receive(deadline)
		next, err := r.process(messages, emptied, err)
		if err != nil {
			return err
		}
		good()
		if came += len(messages); emptied {
			pause(came)
			came = 0
		}
		deadline = next
	}
}

// pause lets more messages gather.
func pause(came int) {
	if came == 0 {
		return
	}
	for _, busy := range busyPaces {
		if came >= busy.from {
			time.Sleep(busy.pace)
			return
		}
	}
	time.Sleep(pace)
}

// process handles what receive has returned, and returns until when to wait for more.
func (r *reader) process(messages []message, emptied bool, err error) (time.Time, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.now = time.Now()
	switch {
	case err == nil, errors.Is(err, errTimeout):
	case errors.Is(err, unix.ENOBUFS):
		// The kernel sends again what is for the daemon, and counts it as lost if it cannot
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
		// Whatever was lost would have come after everything in the socket, because the
		// kernel adds nothing until that is empty (net/netlink/af_netlink.c,
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

// emit receives an event from the correlator.
func (r *reader) emit(e *kill.Event) {
	if e.Kind == kill.KindTamper {
		r.tampered()
	}
	switch {
	case r.stopped:
	case e.Kind == kill.KindSignal && e.Sender.PID == r.self && r.self != 0:
		// What this process does must not feed what it reads, whatever rules others have loaded.
	case !r.asks || e.Kind != kill.KindSignal || e.Scope.Single():
		r.gather(source.Observation{Event: e})
	case r.doubtfulWeight+weight(e) > queue.Max:
		r.gather(source.Observation{Event: e})
		r.suspect(e)
	default:
		r.doubtful = append(r.doubtful, e)
		r.doubtfulWeight += weight(e)
		offer(r.doubt, struct{}{})
	}
}

// weight is the room that an event takes in the queue.
func weight(e *kill.Event) int { return queue.Weight(source.Observation{Event: e}) }

// suspect marks an event as incomplete, because some of its records may have been lost.
func (r *reader) suspect(e *kill.Event) {
	if e.Complete {
		e.Complete = false
		r.counts.incomplete++
	}
}

// takeDoubtful returns the events that may be incomplete. Once the supervisor has asked the
// kernel, it passes them to settle.
func (r *reader) takeDoubtful() []*kill.Event {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	events := r.doubtful
	r.doubtful, r.doubtfulWeight = nil, 0
	return events
}

// settle hands on the doubtful events, after marking as incomplete those for which hit is true.
func (r *reader) settle(events []*kill.Event, hit func(*kill.Event) bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, e := range events {
		if hit(e) {
			r.suspect(e)
		}
	}
	r.gathered = append(r.gathered, source.Events(events)...)
	r.hand()
}

// tell receives a fact from the correlator.
func (r *reader) tell(f *attribution.Fact) {
	if !r.stopped {
		r.gather(source.Observation{Fact: f})
	}
}

// gather adds something for the queue.
func (r *reader) gather(o source.Observation) { r.gathered = append(r.gathered, o) }

// hand puts into the queue what was gathered.
func (r *reader) hand() {
	r.queue.Add(r.gathered)
	clear(r.gathered)
	r.gathered = r.gathered[:0]
}

// add handles one message.
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

// offer puts a value into a channel with room for one, replacing an older value.
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

// record handles one record.
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

// trim removes the NULs and line feeds at the end of a record.
func trim(text []byte) []byte {
	for len(text) > 0 && (text[len(text)-1] == 0 || text[len(text)-1] == '\n') {
		text = text[:len(text)-1]
	}
	return text
}

// ask sets whether the supervisor can ask the kernel what it has lost.
func (r *reader) ask(can bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.asks = can
}

// change makes the reader use other messages from now on.
func (r *reader) change(to state) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.handover.change(to)
}

// serving reports whether the reader uses the records for the daemon.
func (r *reader) serving() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.handover.state == serving
}

// lost notes that the kernel has just lost records.
func (r *reader) lost() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.correlator.Lost()
}

// flush completes the events that still wait for records, and accepts no more.
func (r *reader) flush() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.handover.release(r.record)
	r.correlator.Flush()
	r.hand()
	r.stopped = true
}

// snapshot is what the source reports.
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
