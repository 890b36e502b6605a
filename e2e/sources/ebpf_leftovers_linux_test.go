// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// oddRing is an unusual size of the ring buffer. It identifies what the collector has
// loaded.
const oddRing = 2 << 20

// loaded has what a collector has loaded into the kernel.
type loaded struct {
	rings    []ebpf.MapID
	programs []ebpf.ProgramID
	links    []link.ID
}

// findLoaded returns the ring buffers of a size, the programs that write into them, and the links
// that attach the programs. It fails with EAGAIN while a link is being removed.
func findLoaded(size uint32) (l loaded, err error) {
	for id, err := ebpf.MapGetNextID(0); err == nil; id, err = ebpf.MapGetNextID(id) {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue // gone
		}
		if m.Type() == ebpf.RingBuf && m.MaxEntries() == size {
			l.rings = append(l.rings, id)
		}
		_ = m.Close()
	}
	for id, err := ebpf.ProgramGetNextID(0); err == nil; id, err = ebpf.ProgramGetNextID(id) {
		program, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // gone
		}
		if info, err := program.Info(); err == nil {
			maps, _ := info.MapIDs()
			if slices.ContainsFunc(maps, func(id ebpf.MapID) bool { return slices.Contains(l.rings, id) }) {
				l.programs = append(l.programs, id)
			}
		}
		_ = program.Close()
	}
	links := new(link.Iterator)
	defer links.Close()
	for links.Next() {
		if info, err := links.Link.Info(); err == nil && slices.Contains(l.programs, info.Program) {
			l.links = append(l.links, links.ID)
		}
	}
	return l, links.Err()
}

// However the collector ends, it leaves nothing in the kernel, and the next collector
// works.
func TestLeavesNothingInTheKernel(t *testing.T) {
	harness.NeedRoot(t)
	for name, end := range map[string]func(*collector.Collector){
		"stopped": (*collector.Collector).Stop,
		"killed":  func(c *collector.Collector) { c.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			nothingLeft(t)
			receiver := fmt.Sprintf(`{ebpf: {ring_buffer: %d}}`, oddRing)
			sink := otlp.NewSink(t, "grpc")
			c := startLive(t, receiver, sink)
			works(t, sink)
			var during loaded
			harness.Eventually(t, func() bool {
				var err error
				during, err = findLoaded(oddRing)
				return err == nil
			}, "maps, programs and links can be listed")
			assert.Len(t, during.rings, 1)
			assert.NotEmpty(t, during.programs)
			assert.NotEmpty(t, during.links)
			end(c)
			nothingLeft(t)
			sink = otlp.NewSink(t, "grpc")
			goesOn(t, startLive(t, receiver, sink), sink)
		})
	}
}

// nothingLeft waits until nothing is left: the kernel frees programs only once none of them can be running.
func nothingLeft(t *testing.T) {
	t.Helper()
	harness.Eventually(t, func() bool {
		left, err := findLoaded(oddRing)
		return err == nil && len(left.rings)+len(left.programs)+len(left.links) == 0
	}, "nothing is left in the kernel")
}
