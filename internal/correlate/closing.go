// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"cmp"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// makeRoom closes events until another one fits.
func (c *Correlator) makeRoom() {
	for len(c.table.byKey) >= c.config.MaxPending {
		c.evict()
	}
}

// evict closes the oldest settled event or, if there is none, the oldest, which is then
// incomplete.
func (c *Correlator) evict() {
	for p := c.table.oldest; p != nil && c.table.settled > 0; p = p.newer {
		if p.counted {
			c.close(p, false)
			return
		}
	}
	if c.table.oldest != nil {
		c.counts.Evicted++
		c.close(c.table.oldest, true)
	}
}

// expireWhileReading closes events that are far behind the current record, by the log's own
// time as well as by the number of records.
func (c *Correlator) expireWhileReading() {
	for p := c.table.oldest; p != nil && c.records-p.record > quietRecords; p = c.table.oldest {
		if !p.settled() && c.latest-p.key.stamp.Milliseconds <= c.config.Timeout.Milliseconds() {
			return
		}
		c.close(p, false)
	}
}

// Expire closes events that have waited long enough for records, and hands on those that have
// waited long enough for facts. It may be called only once every record written so far has
// been added. It returns how long the caller may wait before the next call; 0 if nothing is
// pending.
func (c *Correlator) Expire(now time.Time) time.Duration {
	var next time.Duration
	for p := c.table.oldest; p != nil; {
		newer := p.newer
		limit := c.config.Timeout
		if p.settled() {
			limit = min(limit, cmp.Or(c.config.Quiet, quietTime))
		}
		if left := limit - now.Sub(p.touched); left <= 0 {
			c.close(p, false)
		} else if next == 0 || left < next {
			next = left
		}
		p = newer
	}
	if left := c.releaseAtRest(now); left > 0 && (next == 0 || left < next) {
		next = left
	}
	return next
}

// Lost notes that records may have been lost: any pending event may lack one.
func (c *Correlator) Lost() {
	for p := c.table.oldest; p != nil; p = p.newer {
		p.cut = true
	}
}

// Flush closes every event, for instance at the end of a log that is no longer written to, and lets none wait.
func (c *Correlator) Flush() {
	for c.table.oldest != nil {
		c.close(c.table.oldest, false)
	}
	for !c.held.empty() {
		c.release()
	}
}

func (c *Correlator) close(p *pending, evicted bool) {
	c.table.remove(p)
	at := span{p.first, p.last}
	if p.starts() {
		c.started(p)
		c.closed(at)
		return
	}
	if p.call == nil && len(p.event.Targets) == 0 && len(p.denials) == 0 && !p.tamper() {
		c.closed(at)
		return // only a command line, of an event of no interest
	}
	if p.tamper() || p.whole() && len(p.event.Targets) > 0 {
		c.done.put(p.key.stamp, p.event.Audit.Node)
	}
	e := p.finish(evicted)
	c.table.free = p
	for _, more := range p.also {
		other := *e
		more.apply(&other)
		c.hand(&other, at, p.bytes, p.touched)
	}
	if !c.hand(e, at, p.bytes, p.touched) { // last, because emit may keep it
		c.closed(at)
	}
}

// closed notes that what lies in a span is done.
func (c *Correlator) closed(at span) {
	switch {
	case c.table.oldest == nil && c.held.empty():
		c.spans.clear()
	case c.spans.add(at):
		oldest, _ := c.oldest() // looks at each that is held
		c.spans.shrink(c.spans.safe(oldest))
	}
}

// oldest returns the first position of what was not emitted; false if there is none.
func (c *Correlator) oldest() (Position, bool) {
	at, waiting := c.held.first()
	if p := c.table.oldest; p != nil && (!waiting || p.first < at) {
		at, waiting = p.first, true
	}
	return at, waiting
}

// hand hands on an event, unless it has to wait for facts: then it holds it and returns true. at is where
// the event lies, bytes roughly how much memory it takes, and touched when its last record came.
func (c *Correlator) hand(e *kill.Event, at span, bytes int, touched time.Time) (held bool) {
	if e.Kind == kill.KindTamper && !c.reportable(e) {
		return false
	}
	if !e.Complete {
		c.counts.Incomplete++
	}
	if c.config.Wait != nil && c.hold(waiting{event: e, at: at, bytes: bytes, since: touched}) {
		return true
	}
	c.emit(e)
	return false
}
