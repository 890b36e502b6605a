// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func life(pid int, start time.Duration) *entry {
	return &entry{Key: Key{PID: pid, Start: start * time.Second}}
}

// check compares the memory's own numbers with its content.
func (m *memory) check(t *testing.T) {
	t.Helper()
	size := 0
	for pid, e := range m.newest {
		lives := 0
		for ; e != nil; e = e.older {
			require.Equal(t, pid, e.PID)
			require.False(t, e.forgotten)
			if e.older != nil {
				require.Greater(t, e.Start, e.older.Start)
				require.True(t, e.older.gone)
			}
			lives++
		}
		require.LessOrEqual(t, lives, maxLives)
		size += lives
	}
	require.Equal(t, size, m.size)
	require.LessOrEqual(t, m.size, m.max)
	require.LessOrEqual(t, len(m.gone), maxGone)
}

func TestMemoryKeepsLivesInOrder(t *testing.T) {
	t.Parallel()
	m := newMemory(10)
	for _, start := range []time.Duration{3, 1, 2} {
		m.add(life(7, start))
		m.check(t)
	}
	for _, start := range []time.Duration{1, 2, 3} {
		e := m.find(Key{7, start * time.Second})
		require.NotNil(t, e)
		assert.Equal(t, start != 3, e.gone)
	}
	assert.Nil(t, m.find(Key{7, 4 * time.Second}))
	assert.Nil(t, m.find(Key{8, time.Second}))
}

func TestMemoryLimitsLives(t *testing.T) {
	t.Parallel()
	m := newMemory(100)
	for start := range time.Duration(2 * maxLives) {
		m.add(life(7, start))
	}
	m.check(t)
	assert.Equal(t, maxLives, m.size)
	assert.Nil(t, m.find(Key{7, 0}))
	assert.Zero(t, m.evicted, "there was room")
}

func TestMemoryForgetsTheDeadFirst(t *testing.T) {
	t.Parallel()
	m := newMemory(3)
	dead, living := life(1, 0), life(2, 0)
	m.add(living)
	m.add(dead)
	m.add(life(3, 0))
	m.leave(dead)
	m.leave(dead)
	m.add(life(4, 0))
	m.check(t)
	assert.Nil(t, m.find(dead.Key))
	assert.Same(t, living, m.find(living.Key))
	assert.EqualValues(t, 1, m.evicted)

	m.add(life(5, 0)) // nobody is dead
	m.check(t)
	assert.Equal(t, 3, m.size)
	assert.NotNil(t, m.find(Key{PID: 5}))
	assert.EqualValues(t, 2, m.evicted)
}

func TestMemoryBoundsTheDead(t *testing.T) {
	t.Parallel()
	m := newMemory(2 * maxGone)
	for pid := range maxGone + 5 {
		e := life(pid+1, 0)
		m.add(e)
		m.leave(e)
	}
	m.check(t)
	assert.Equal(t, maxGone, m.size)
	assert.Nil(t, m.find(Key{PID: 5}))
	assert.NotNil(t, m.find(Key{PID: 6}))
	assert.Zero(t, m.evicted, "this is not for want of room")
}

// FuzzMemory does anything in any order: three bits choose the action, the others the process.
func FuzzMemory(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 8, 9, 17, 33, 0, 255})
	f.Fuzz(func(t *testing.T, steps []byte) {
		m := newMemory(6)
		for i, step := range steps {
			key := Key{PID: int(step>>3) % 4, Start: time.Duration((int(step)+i)%9) * time.Second}
			e := m.find(key)
			switch {
			case e == nil:
				m.add(&entry{Key: key})
			case step&1 == 0:
				m.leave(e)
			case step&2 == 0:
				e.gone = false // an exec that came late
				if m.newest[key.PID] != e {
					e.gone = true
				}
			default:
				m.forget(e)
			}
			m.check(t)
		}
	})
}
