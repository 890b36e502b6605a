// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

func event(serial uint32, targets int) *kill.Event {
	e := &kill.Event{Targets: make([]kill.Process, targets)}
	e.Audit.Serial = serial
	return e
}

func serialsOf(seen []source.Observation) []uint32 {
	var serials []uint32
	for _, o := range seen {
		serials = append(serials, o.Event.Audit.Serial)
	}
	return serials
}

func TestQueueKeepsTheOrder(t *testing.T) {
	t.Parallel()
	q := New()
	q.Add(source.Events([]*kill.Event{event(1, 1), event(2, 1)}))
	q.Add(source.Events([]*kill.Event{event(3, 1)}))
	assert.Len(t, q.ready, 1, "once, however many come")
	assert.Equal(t, []uint32{1, 2}, serialsOf(q.Take(2)))
	q.Add(source.Events([]*kill.Event{event(4, 1)}))
	assert.Equal(t, []uint32{3, 4}, serialsOf(q.Take(10)))
	assert.Empty(t, q.Take(10))
	assert.Zero(t, q.TakeDropped())
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	q := New()
	for i := range uint32(Max) {
		q.Add(source.Events([]*kill.Event{event(i, 2)})) // what has several targets cannot be joined
	}
	assert.EqualValues(t, Max-Max/3, q.TakeDropped())
	assert.True(t, q.Pressed())
	assert.Zero(t, q.TakeDropped(), "each is reported once")
	assert.Len(t, q.Take(Max), Max/3)
	assert.False(t, q.Pressed())
	q.Add(source.Events([]*kill.Event{event(1, 1)}))
	assert.Equal(t, []uint32{1}, serialsOf(q.Take(1)), "there is room again")
	assert.Zero(t, q.weight)
	assert.Empty(t, q.shares)
}

// TestFactsLeaveRoom floods a queue with facts: signals still fit, and the facts that did not are no loss.
func TestFactsLeaveRoom(t *testing.T) {
	t.Parallel()
	q := New()
	facts := make([]source.Observation, 2*Max)
	for i := range facts {
		facts[i].Fact = &attribution.Fact{Logout: &attribution.Logout{}}
	}
	q.Add(facts)
	assert.Equal(t, maxWithFact, q.Len())
	for i := range uint32(Max/2 - maxWithFact/2) {
		q.Add(source.Events([]*kill.Event{event(i, 1)}))
	}
	assert.Zero(t, q.TakeDropped())
	assert.True(t, q.Pressed())
	q.Abandon()
	assert.EqualValues(t, Max/2-maxWithFact/2, q.TakeDropped())
}

// A kill(-1) on a large host may have more targets than fit.
func TestQueueTakesALargeEventAlone(t *testing.T) {
	t.Parallel()
	q := New()
	q.Add(source.Events([]*kill.Event{event(1, 2*Max), event(2, 1)}))
	assert.EqualValues(t, 1, q.TakeDropped())
	assert.Equal(t, []uint32{1}, serialsOf(q.Take(10)))
}
