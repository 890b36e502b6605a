// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

func init() { roles["source"] = beSource }

// loaded are the kernel's numbers of what a source has loaded.
type loaded struct {
	programs []ebpf.ProgramID
	maps     []ebpf.MapID
	links    []link.ID
}

// inKernel returns what a source has loaded into the kernel.
func inKernel(p *programs) (loaded, error) {
	var l loaded
	var errs []error
	for _, program := range p.collection.Programs {
		info, err := program.Info()
		errs = append(errs, err)
		id, _ := info.ID()
		l.programs = append(l.programs, id)
	}
	for _, m := range p.collection.Maps {
		info, err := m.Info()
		errs = append(errs, err)
		id, _ := info.ID()
		l.maps = append(l.maps, id)
	}
	for _, attached := range p.links {
		info, err := attached.Info()
		if errors.Is(err, ebpf.ErrNotSupported) {
			continue // a tracepoint of perf
		}
		errs = append(errs, err)
		l.links = append(l.links, info.ID)
	}
	return l, errors.Join(errs...)
}

// there returns how many of them are in the kernel.
func (l loaded) there() int {
	n := 0
	for _, id := range l.programs {
		if program, err := ebpf.NewProgramFromID(id); err == nil {
			_ = program.Close()
			n++
		}
	}
	for _, id := range l.maps {
		if m, err := ebpf.NewMapFromID(id); err == nil {
			_ = m.Close()
			n++
		}
	}
	for _, id := range l.links {
		if attached, err := link.NewFromID(id); err == nil {
			_ = attached.Close()
			n++
		}
	}
	return n
}

func (l loaded) all() int { return len(l.programs) + len(l.maps) + len(l.links) }

func TestNothingIsLeft(t *testing.T) {
	needRoot(t)
	s := New(newSettings(t))
	require.NoError(t, s.Start(t.Context()))
	l, err := inKernel(s.programs)
	require.NoError(t, err)
	assert.Greater(t, len(l.programs), 7)
	assert.Greater(t, len(l.maps), 4)
	assert.Greater(t, len(l.links), 6)
	require.Equal(t, l.all(), l.there())
	require.NoError(t, s.Close())
	// The kernel removes programs only once nothing can be running them.
	assert.Eventually(t, func() bool { return l.there() == 0 }, limit, time.Millisecond)
}

func TestNothingIsLeftOfWhoWasKilled(t *testing.T) {
	needRoot(t)
	h := help(t, "source", nil)
	var programs, maps, links int
	h.read(&programs, &maps, &links)
	l := loaded{make([]ebpf.ProgramID, programs), make([]ebpf.MapID, maps), make([]link.ID, links)}
	for i := range l.programs {
		h.read(&l.programs[i])
	}
	for i := range l.maps {
		h.read(&l.maps[i])
	}
	for i := range l.links {
		h.read(&l.links[i])
	}
	require.Equal(t, l.all(), l.there())
	require.NoError(t, unix.Kill(h.pid, unix.SIGKILL))
	assert.Eventually(t, func() bool { return l.there() == 0 }, limit, time.Millisecond)
}

// Without the rights, the error says which ones are missing; with only those, the source works.
func TestRights(t *testing.T) {
	needRoot(t)
	t.Run("none", func(t *testing.T) {
		h := help(t, "source", unprivileged())
		require.True(t, h.out.Scan())
		assert.Contains(t, h.out.Text(), "cannot start: ")
		assert.Contains(t, h.out.Text(), "CAP_BPF")
		assert.Contains(t, h.out.Text(), "CAP_PERFMON")
	})
	for name, tt := range map[string]struct {
		capability uintptr
		has, lacks string
	}{
		"CAP_BPF only":     {unix.CAP_BPF, "CAP_BPF", "CAP_PERFMON"},
		"CAP_PERFMON only": {unix.CAP_PERFMON, "CAP_PERFMON", "CAP_BPF"},
	} {
		t.Run(name, func(t *testing.T) {
			attributes := unprivileged()
			attributes.AmbientCaps = []uintptr{tt.capability}
			h := help(t, "source", attributes)
			require.True(t, h.out.Scan())
			assert.Contains(t, h.out.Text(), tt.lacks)
			assert.NotContains(t, h.out.Text(), tt.has)
		})
	}
	t.Run("both", func(t *testing.T) {
		attributes := unprivileged()
		attributes.AmbientCaps = []uintptr{unix.CAP_BPF, unix.CAP_PERFMON}
		h := help(t, "source", attributes)
		var programs, maps, links int
		h.read(&programs, &maps, &links)
		assert.Greater(t, programs, 7)
	})
}

// beSource is a collector that only traces. It prints what it has loaded into the kernel, and waits for its end.
func beSource([]string) {
	s := New(Settings{
		RingBuffer: 1 << 20, Signals: kill.DefaultSignals(), IncludeFailed: true,
		Processes: process.NewTable(process.Config{}), CorrelationTimeout: time.Second, MaxPending: 100,
		Counts: new(source.Counts), Logger: zap.NewNop(), Health: check,
	})
	if err := s.Start(context.Background()); err != nil {
		fmt.Println("cannot start:", strings.ReplaceAll(err.Error(), "\n", " ")) //nolint:forbidigo // this is how it answers
		return
	}
	l, err := inKernel(s.programs)
	check(err)
	fmt.Println(len(l.programs), len(l.maps), len(l.links)) //nolint:forbidigo // this is how it answers
	for _, id := range l.programs {
		fmt.Println(id) //nolint:forbidigo // this is how it answers
	}
	for _, id := range l.maps {
		fmt.Println(id) //nolint:forbidigo // this is how it answers
	}
	for _, id := range l.links {
		fmt.Println(id) //nolint:forbidigo // this is how it answers
	}
	var running sync.WaitGroup
	running.Go(func() { s.Run(context.Background(), func([]source.Observation) error { return nil }) })
	_, _ = os.Stdin.Read(make([]byte, 1))
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}
