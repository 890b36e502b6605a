// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestServed(t *testing.T) {
	t.Parallel()
	s := newServed()
	by := func(pid int, instance *kill.Instance) *request {
		return &request{Request: &Request{Requester: kill.Process{PID: pid, Instance: instance}}, number: s.number()}
	}
	explains := func(r *request, unit string) bool {
		_, ok := s.job(r, unit)
		return ok
	}
	first, second, other, unknown := by(1, &kill.Instance{}), by(1, &kill.Instance{}), by(1, nil), by(0, nil)
	s.add(first, "a.service", 7)
	later := by(1, &kill.Instance{})

	job, ok := s.job(second, "a.service")
	assert.True(t, ok, "it is of the same process")
	assert.EqualValues(t, 7, job)
	assert.False(t, explains(second, "b.service"))
	assert.False(t, explains(other, "a.service"))
	assert.False(t, explains(later, "a.service"), "it has asked again")

	s.add(unknown, "a.service", 8)
	assert.True(t, explains(unknown, "a.service"))
	assert.False(t, explains(by(0, nil), "a.service"), "nobody knows whether it is the same process")

	for i := range maxServed {
		s.add(second, strconv.Itoa(i), 9)
	}
	assert.True(t, explains(first, "a.service"))
	assert.True(t, explains(first, "0"))
	for i := range 2 * maxServed {
		s.add(second, strconv.Itoa(i), 9)
	}
	assert.False(t, explains(first, "a.service"))
	assert.LessOrEqual(t, len(s.latest)+len(s.older), 2*maxServed)
}

// TestHabits has programs connect, of which some get something done.
func TestHabits(t *testing.T) {
	t.Parallel()
	h, s := newHabits(), newServed()
	by := func(pid int, title string) *request {
		return &request{number: s.number(), Request: &Request{Requester: kill.Process{
			PID: pid, Title: title, User: kill.User{ID: kill.NewID(0)}, Instance: &kill.Instance{},
		}}}
	}
	connects := func(pid int, title string) bool {
		r := by(pid, title)
		h.add(r)
		return h.has(r)
	}
	assert.False(t, connects(1, "poll"))
	assert.False(t, connects(1, "poll"), "it is the same process")
	assert.True(t, connects(2, "poll"))
	assert.True(t, connects(3, "poll"))
	h.explains(by(3, "poll"))
	assert.True(t, connects(4, "poll"), "most of the time nothing comes of it")

	for pid := range 5 {
		assert.False(t, connects(1+pid, "ops"))
		h.explains(by(1+pid, "ops"))
	}
	assert.True(t, h.has(&request{Request: &Request{}}), "nobody knows whose it is")
	for i := range 4 * maxHabits {
		connects(1, strconv.Itoa(i))
	}
	assert.LessOrEqual(t, len(h.latest)+len(h.older), 2*maxHabits)
}
