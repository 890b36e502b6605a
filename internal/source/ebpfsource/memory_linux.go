// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
)

const (
	// memoryFunction is the function that is called when memory is out. Where it can be traced, the kernel
	// itself says which limit was reached; otherwise that is inferred (kernel/memory.h). Tracing it costs
	// nothing else.
	memoryFunction = "out_of_memory"
	// mostNear bounds how much may be left of a limit that has been reached, in pages. The huge pages of
	// processors with 64 KiB pages are larger than the limits that people set.
	mostNear = 512
)

// CheckMemory returns nil if the kernel itself says which limit was reached. It traces the function for a moment.
func CheckMemory() error { return checkFunction(memoryFunction, ebpf.AttachTraceFExit) }

// specifyMemory removes what the kernel cannot attach.
func specifyMemory(spec *ebpf.CollectionSpec) {
	if CheckMemory() != nil {
		delete(spec.Programs, kernelProgMemoryOut)
		delete(spec.Programs, kernelProgMemoryHandled)
	}
}

// attachMemory attaches what tells which limit was reached.
func (p *programs) attachMemory() error {
	if !p.tracesMemory() {
		return nil
	}
	return p.attach(kernelProgMemoryHandled, kernelProgMemoryOut)
}

// tracesMemory reports whether the kernel itself says which limit was reached, and when it has killed all that
// it wants.
func (p *programs) tracesMemory() bool { return p.collection.Programs[kernelProgMemoryOut] != nil }

// hugePage returns how many pages a huge page has, as far as that matters; 1 if there are none.
func hugePage() uint64 {
	size, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
	if err != nil {
		return 1
	}
	bytes, err := strconv.ParseUint(strings.TrimSpace(string(size)), 10, 64)
	if err != nil {
		return 1
	}
	return min(bytes/uint64(os.Getpagesize()), mostNear)
}
