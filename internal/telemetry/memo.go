// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import "github.com/auditkill/auditkillreceiver/internal/kill"

const (
	// maxMemo bounds how many texts of a kind are remembered. A few hundred processes send most of
	// the signals of a host. If there are more, it starts again.
	maxMemo = 1024
	// maxLineages bounds how many lists of parents are remembered. Each keeps up to eight command lines of 4 KB
	// alive, which the table of processes mostly has as well.
	maxLineages = 256
)

// memo remembers what is slow to format and repeats from event to event: mostly texts.
// hashicorp/golang-lru would move an element at each hit, which takes half as long again, only
// to save formatting a few hundred texts again now and then.
type memo[K comparable, V any] struct {
	limit  int
	write  func(K) V
	values map[K]V
}

func newMemo[K comparable, V any](write func(K) V) memo[K, V] {
	return memo[K, V]{limit: maxMemo, write: write, values: map[K]V{}}
}

func (m memo[K, V]) get(key K) V {
	if value, ok := m.values[key]; ok {
		return value
	}
	if len(m.values) >= m.limit {
		clear(m.values)
	}
	value := m.write(key)
	m.values[key] = value
	return value
}

// newAncestorMemo remembers what is said of parents, by where each is: events share a list of parents, which is never
// changed. That spares looking up a command line, however long that is.
func newAncestorMemo(write func(*kill.Ancestor) string) memo[*kill.Ancestor, string] {
	m := newMemo(write)
	m.limit = maxLineages
	return m
}
