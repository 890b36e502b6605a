// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditnetlink

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func event(serial uint32, targets int) *kill.Event {
	e := &kill.Event{Targets: make([]kill.Process, targets)}
	e.Audit.Serial = serial
	return e
}

func (q *queue) len() int {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return len(q.events)
}

func serialsOf(events []*kill.Event) []uint32 {
	var serials []uint32
	for _, e := range events {
		serials = append(serials, e.Audit.Serial)
	}
	return serials
}

func TestQueueKeepsTheOrder(t *testing.T) {
	t.Parallel()
	q := newQueue()
	q.add([]*kill.Event{event(1, 1), event(2, 1)})
	q.add([]*kill.Event{event(3, 1)})
	assert.Len(t, q.ready, 1, "once, however many come")
	assert.Equal(t, []uint32{1, 2}, serialsOf(q.take(2)))
	q.add([]*kill.Event{event(4, 1)})
	assert.Equal(t, []uint32{3, 4}, serialsOf(q.take(10)))
	assert.Empty(t, q.take(10))
	assert.Zero(t, q.takeDropped())
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	q := newQueue()
	for i := range uint32(maxQueued) {
		q.add([]*kill.Event{event(i, 1)})
	}
	assert.EqualValues(t, maxQueued/2, q.takeDropped())
	assert.Zero(t, q.takeDropped(), "each is told once")
	assert.Len(t, q.take(maxQueued), maxQueued/2)
	q.add([]*kill.Event{event(1, 1)})
	assert.Equal(t, []uint32{1}, serialsOf(q.take(1)), "there is room again")
	assert.Zero(t, q.weight)
}

// A kill(-1) on a large host may strike more processes than fit.
func TestQueueTakesALargeEventAlone(t *testing.T) {
	t.Parallel()
	q := newQueue()
	q.add([]*kill.Event{event(1, 2*maxQueued), event(2, 1)})
	assert.EqualValues(t, 1, q.takeDropped())
	assert.Equal(t, []uint32{1}, serialsOf(q.take(10)))
}
