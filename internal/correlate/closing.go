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

// Expire closes events that have waited long enough. It may be called only once every
// record written so far has been added. It returns how long the caller may wait before the
// next call; 0 if nothing is pending.
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
	return next
}

// Lost notes that records may have been lost: any pending event may lack one.
func (c *Correlator) Lost() {
	for p := c.table.oldest; p != nil; p = p.newer {
		p.cut = true
	}
}

// Flush closes every event, for instance at the end of a log that is no longer written to.
func (c *Correlator) Flush() {
	for c.table.oldest != nil {
		c.close(c.table.oldest, false)
	}
}

func (c *Correlator) close(p *pending, evicted bool) {
	c.table.remove(p)
	c.spans.add(p, c.table.oldest)
	if p.call == nil && len(p.event.Targets) == 0 && len(p.denials) == 0 && !p.tamper() {
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
		c.hand(&other)
	}
	c.hand(e) // last, because emit may keep it
}

func (c *Correlator) hand(e *kill.Event) {
	if e.Kind == kill.KindTamper && !c.reportable(e) {
		return
	}
	if !e.Complete {
		c.counts.Incomplete++
	}
	c.emit(e)
}
