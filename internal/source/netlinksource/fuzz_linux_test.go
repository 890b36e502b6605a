// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
)

// datagram returns what the kernel sends.
func datagram(kind uint16, text []byte) []byte {
	d := make([]byte, unix.NLMSG_HDRLEN)
	binary.NativeEndian.PutUint32(d, uint32(len(text)))
	binary.NativeEndian.PutUint16(d[4:], kind)
	return append(d, text...)
}

func TestParse(t *testing.T) {
	t.Parallel()
	m, ok := parse(datagram(1300, []byte("audit(1.000:1): a")), 0, 1)
	require.True(t, ok)
	assert.Equal(t, message{kind: 1300, multicast: true, data: []byte("audit(1.000:1): a")}, m)
	m, ok = parse(datagram(1300, nil), 0, 0)
	require.True(t, ok)
	assert.False(t, m.multicast)
	_, ok = parse(datagram(1300, []byte("forged")), 4711, 0)
	assert.False(t, ok, "not from the kernel")
	_, ok = parse(datagram(1300, nil)[:15], 0, 0)
	assert.False(t, ok, "too short")
	require.Error(t, answer([]byte{1}))
	require.NoError(t, answer(make([]byte, 4)))
	require.ErrorIs(t, answer([]byte{0xff, 0xff, 0xff, 0xff}), unix.EPERM)
}

// FuzzReader makes any bytes arrive in any way: nothing crashes the reader, and it emits no event
// without having received records of it.
func FuzzReader(f *testing.F) {
	for _, m := range recordsOf(1, 10, 20) {
		f.Add(uint8(serving), m.kind, m.data, false, false)
		f.Add(uint8(toListening), m.kind, m.data, true, true)
	}
	f.Add(uint8(toServing), uint16(unix.NLMSG_ERROR), []byte{0}, false, false)
	f.Add(uint8(listening), uint16(typeReplace), []byte{}, true, false)
	f.Fuzz(func(t *testing.T, from uint8, kind uint16, text []byte, multicast, overrun bool) {
		r := newTestReader(correlate.Config{Timeout: time.Second, MaxPending: 2, KeepOriginal: true})
		r.handover.state = state(from % 4)
		groups := uint32(0)
		if multicast {
			groups = 1
		}
		if overrun {
			_, err := r.process(nil, false, unix.ENOBUFS)
			require.NoError(t, err)
		}
		given := 0
		for _, m := range append(recordsOf(7, 10, 20), message{kind: kind, data: text}) {
			if parsed, ok := parse(datagram(m.kind, m.data), 0, groups); ok {
				given++
				_, err := r.process([]message{parsed}, true, nil)
				require.NoError(t, err)
			}
		}
		r.flush()
		assert.LessOrEqual(t, len(r.queue.Take(100)), given)
	})
}

// BenchmarkReader is the cost from the messages of an event to the queue.
func BenchmarkReader(b *testing.B) {
	r := newTestReader(correlate.Config{Timeout: time.Second, MaxPending: 8192})
	r.handover.state = serving
	messages := recordsOf(7, 10, 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.process(messages, true, nil); err != nil {
			b.Fatal(err)
		}
		if len(r.queue.Take(10)) != 1 {
			b.Fatal("no event")
		}
	}
}
