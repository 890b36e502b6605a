// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"unsafe"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// maxTexts and maxParents bound what is remembered to save memory. A few hundred names and
// senders are usual; when there are more, remembering starts over.
const (
	maxTexts   = 4096
	maxParents = 1024
)

// texts makes equal texts share one string: names and command lines recur with every signal.
type texts map[string]string

func (t texts) get(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	if known, ok := t[string(text)]; ok {
		return known
	}
	if len(t) >= maxTexts {
		clear(t)
	}
	kept := string(text)
	t[kept] = kept
	return kept
}

// parents makes equal ancestries share one list.
type parents map[process.Key]lineage

// lineage is an ancestry as the kernel reports it, and as events have it.
type lineage struct {
	raw      string
	ancestry []kill.Ancestor
}

func (p parents) get(of *kernelIdentity, ancestors []kernelAncestor, texts *texts) []kill.Ancestor {
	if len(ancestors) == 0 {
		return nil
	}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&ancestors[0])), uintptr(len(ancestors))*unsafe.Sizeof(ancestors[0])) //nolint:gosec // within the slice
	child := key(of)
	if known, ok := p[child]; ok && known.raw == string(raw) {
		return known.ancestry
	}
	if len(p) >= maxParents {
		clear(p)
	}
	ancestry := make([]kill.Ancestor, len(ancestors))
	for i := range ancestry {
		ancestry[i] = kill.Ancestor{PID: int(ancestors[i].Pid), Command: texts.get(trimCommand(ancestors[i].Command[:]))}
	}
	p[child] = lineage{raw: string(raw), ancestry: ancestry}
	return ancestry
}
