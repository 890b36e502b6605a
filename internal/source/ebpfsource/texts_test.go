// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"strconv"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestTexts(t *testing.T) {
	t.Parallel()
	all := texts{}
	raw := []byte("mysqld")
	first := all.get(raw)
	raw[0] = 'M' // the record's memory is used again
	assert.Equal(t, "mysqld", first)
	assert.Same(t, unsafe.StringData(first), unsafe.StringData(all.get([]byte("mysqld"))), "one for all") //nolint:gosec // nothing is read
	assert.Empty(t, all.get(nil))

	for i := range 3 * maxTexts {
		text := strconv.Itoa(i)
		assert.Equal(t, text, all.get([]byte(text)))
		assert.LessOrEqual(t, len(all), maxTexts)
	}
}

func TestParents(t *testing.T) {
	t.Parallel()
	all, names := parents{}, texts{}
	get := func(r *kernelSignalRecord) []kill.Ancestor {
		return all.get(&r.Sender.Identity, first(r.Ancestors[:], r.AncestorCount), &names)
	}
	want := []kill.Ancestor{{PID: 9, Command: "bash"}, {PID: 1, Command: "systemd"}}
	one := get(kills())
	assert.Equal(t, want, one)
	again := get(kills())
	assert.Same(t, &one[0], &again[0], "one for all")

	// The parent has died, and the child has another one now.
	orphan := get(sends(func(r *kernelSignalRecord) {
		r.AncestorCount = 1
		r.Ancestors[0] = ancestor(1, "systemd")
	}))
	assert.Equal(t, want[1:], orphan)
	assert.Equal(t, want, one, "the first event keeps its own")

	renamed := get(sends(func(r *kernelSignalRecord) { r.Ancestors[0] = ancestor(9, "zsh") }))
	assert.Equal(t, "zsh", renamed[0].Command)
	assert.Nil(t, get(sends(func(r *kernelSignalRecord) { r.AncestorCount = 0 })))
	many := get(sends(func(r *kernelSignalRecord) { r.AncestorCount = 1 << 31 }))
	assert.Len(t, many, len(kernelSignalRecord{}.Ancestors), "no more than there is room for")

	for pid := range 3 * maxParents {
		get(sends(func(r *kernelSignalRecord) { r.Sender.Identity.Pid = uint32(pid) }))
		assert.LessOrEqual(t, len(all), maxParents)
	}
}
