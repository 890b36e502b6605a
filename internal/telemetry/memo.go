// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

// maxMemo bounds how many texts of a kind are remembered. A few hundred processes send most of
// the signals of a host. If there are more, it starts again.
const maxMemo = 1024

// memo remembers texts that are slow to format and repeat from event to event.
// hashicorp/golang-lru would move an element at each hit, which takes half as long again, only
// to save formatting a few hundred texts again now and then.
type memo[K comparable] struct {
	write func(K) string
	texts map[K]string
}

func newMemo[K comparable](write func(K) string) memo[K] {
	return memo[K]{write: write, texts: map[K]string{}}
}

func (m memo[K]) get(key K) string {
	if text, ok := m.texts[key]; ok {
		return text
	}
	if len(m.texts) >= maxMemo {
		clear(m.texts)
	}
	text := m.write(key)
	m.texts[key] = text
	return text
}
