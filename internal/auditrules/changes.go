// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxChanges bounds what Changes remembers. A program that loads the rules of a host makes a
	// change for each.
	maxChanges = 256
	// recordSlack is how much earlier than the change its record may be: the kernel uses the time
	// of the last tick (kernel/audit.c, audit_get_stamp), of which there are at least 100 a second.
	recordSlack = 20 * time.Millisecond
)

// Changes remembers what records say about changes of the audit system. The lists of the kernel
// show what has changed, but not who did it. It is safe for concurrent use.
type Changes struct {
	mutex sync.Mutex
	seen  []*kill.Event
}

// Add adds a change that succeeded. It does not keep the event.
func (c *Changes) Add(e *kill.Event) {
	if e.Result.Failed() {
		return
	}
	kept := *e
	kept.Targets = nil
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.seen) >= maxChanges {
		c.seen = slices.Delete(c.seen, 0, 1)
	}
	c.seen = append(c.seen, &kept)
}

// reported reports whether a record since then has told of a tampering.
func (c *Changes) reported(since time.Time, tamper kill.Tamper) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return slices.ContainsFunc(c.seen, func(e *kill.Event) bool { return after(e, since) && *e.Tamper == tamper })
}

// adder returns the event of the rule with these keys that was added to a list since then; nil
// unless all that it may be were added by the same process.
func (c *Changes) adder(since time.Time, list, key string) *kill.Event {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var found *kill.Event
	for _, e := range c.seen {
		if !after(e, since) || e.Tamper.Action != kill.TamperRuleAdded || e.Tamper.Rule != list || !hasKey(e, key) {
			continue
		}
		if found != nil && !sameSender(found, e) {
			return nil
		}
		found = e
	}
	return found
}

// after reports whether a change may have been made since then.
func after(e *kill.Event, since time.Time) bool { return !e.Time.Before(since.Add(-recordSlack)) }

// hasKey reports whether the rule of a change has a key, which may be several in one
// (auditctl(8), -k).
func hasKey(e *kill.Event, key string) bool {
	if key == "" {
		return len(e.Audit.Keys) == 0
	}
	return slices.Equal(e.Audit.Keys, strings.Split(key, keySeparator))
}

// keySeparator is between the keys of a rule (libaudit.h, AUDIT_KEY_SEPARATOR).
const keySeparator = "\x01"

func sameSender(a, b *kill.Event) bool {
	return a.Sender.PID == b.Sender.PID && a.Sender.Login.ID == b.Sender.Login.ID && a.Sender.Session == b.Sender.Session
}
