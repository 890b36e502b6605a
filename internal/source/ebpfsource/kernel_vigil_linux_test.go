// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// startVigil is start with a check every moment: not before the reader has looked.
func startVigil(t *testing.T, change func(*Settings)) *watch {
	t.Helper()
	needRoot(t)
	settings := newSettings(t)
	if change != nil {
		change(&settings)
	}
	s := New(settings)
	s.vigilInterval = 2 * pollInterval
	require.NoError(t, s.Start(t.Context()))
	return watchWith(t, s)
}

func tampered(action kill.TamperAction, rule string) func(*kill.Event) bool {
	return func(e *kill.Event) bool {
		return e.Kind == kill.KindTamper && e.Tamper.Action == action && e.Tamper.Rule == rule
	}
}

// Links are ours alone: nobody can detach them, or give them another program.
func TestNobodyDetaches(t *testing.T) {
	w := start(t, nil)
	l, err := inKernel(w.programs)
	require.NoError(t, err)
	require.NotEmpty(t, l.links)
	for _, id := range l.links {
		theirs, err := link.NewFromID(id)
		require.NoError(t, err)
		require.Error(t, theirs.Detach())
		require.Error(t, theirs.Update(w.programs.collection.Programs[kernelProgExited]))
		require.NoError(t, theirs.Close())
	}
	assert.Empty(t, w.programs.detached())
}

// What the programs filter by cannot be changed.
func TestNobodyChangesTheFilters(t *testing.T) {
	many := strings.Fields("a b c d e f g h i j")
	w := start(t, func(s *Settings) { s.Targets, s.Senders = many, many })
	var open []string
	for name, m := range w.programs.collection.Maps {
		info, err := m.Info()
		require.NoError(t, err)
		id, known := info.ID()
		require.True(t, known)
		theirs, err := ebpf.NewMapFromID(id)
		require.NoError(t, err)
		if m.Type() == ebpf.RingBuf || strings.HasPrefix(name, ".bss") || strings.HasPrefix(name, "sums_") {
			open = append(open, name)
		} else {
			key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
			if m.Type() == ebpf.PerCPUArray {
				var values [][]byte
				for range ebpf.MustPossibleCPU() {
					values = append(values, value)
				}
				require.ErrorIs(t, theirs.Put(key, values), unix.EPERM, name)
			} else {
				require.ErrorIs(t, theirs.Put(key, value), unix.EPERM, name)
			}
			require.True(t, frozen(t, id), name)
		}
		require.NoError(t, theirs.Close())
	}
	slices.Sort(open)
	assert.Equal(t, []string{".bss", kernelMapRing, kernelMapSums0, kernelMapSums1}, open)
}

func frozen(t *testing.T, id ebpf.MapID) bool {
	t.Helper()
	m, err := ebpf.NewMapFromID(id)
	require.NoError(t, err)
	defer m.Close()
	info, err := m.Info()
	require.NoError(t, err)
	return info.Frozen()
}

func TestVigilHearsItself(t *testing.T) {
	w := startVigil(t, nil)
	require.Eventually(t, func() bool { return w.reader.heard() >= 4 }, limit, time.Millisecond)
	w.none(t, func(e *kill.Event) bool { return e.Kind == kill.KindTamper || by(os.Getpid())(e) })
}

// A debugger that closes our file descriptors is the only way to detach a program.
func TestVigilReportsDetached(t *testing.T) {
	w := startVigil(t, nil)
	for _, name := range []string{kernelProgExited, kernelProgGenerate} {
		at := slices.IndexFunc(w.programs.attachments, func(a attachment) bool { return a.name == name })
		require.GreaterOrEqual(t, at, 0, name)
		closed := w.programs.attachments[at].Link
		require.NoError(t, closed.Close())
		w.programs.links = slices.DeleteFunc(w.programs.links, func(l link.Link) bool { return l == closed })
		e := w.find(t, tampered(kill.TamperProgramDetached, name))
		assert.Equal(t, "ebpf", e.Source)
		assert.Zero(t, e.Sender.PID)
	}
}

// Whoever empties the ring in our place makes the programs silent, although all of them are attached.
func TestVigilReportsSilence(t *testing.T) {
	w := startVigil(t, nil)
	require.Eventually(t, func() bool { return w.reader.heard() > 0 }, limit, time.Millisecond)
	stop := steal(t, w.programs.collection.Maps[kernelMapRing])
	w.find(t, tampered(kill.TamperProgramDetached, kernelProgGenerate))
	assert.Empty(t, w.programs.detached())
	stop()
	heard := w.reader.heard()
	require.Eventually(t, func() bool { return w.reader.heard() > heard }, limit, time.Millisecond)
}

// steal moves the reader's position to the end of the ring all the time, as any process may that
// can open the map by its id.
func steal(t *testing.T, ring *ebpf.Map) (stop func()) {
	t.Helper()
	page := os.Getpagesize()
	consumer, err := unix.Mmap(ring.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	producer, err := unix.Mmap(ring.FD(), int64(page), page, unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	position := func(memory []byte) *uint64 {
		return (*uint64)(unsafe.Pointer(unsafe.SliceData(memory))) //nolint:gosec // the kernel's layout of a page of the ring
	}
	var stopping atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stopping.Load() {
			atomic.StoreUint64(position(consumer), atomic.LoadUint64(position(producer)))
		}
	}()
	return func() {
		stopping.Store(true)
		<-done
		require.NoError(t, unix.Munmap(consumer))
		require.NoError(t, unix.Munmap(producer))
	}
}
