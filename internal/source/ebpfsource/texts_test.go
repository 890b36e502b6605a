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
	want := []kill.Ancestor{{PID: 9, Command: "bash"}, {PID: 1, Command: "systemd"}}
	first := all.get(kills(), &names)
	assert.Equal(t, want, first)
	again := all.get(kills(), &names)
	assert.Same(t, &first[0], &again[0], "one for all")

	// The parent has died, and the child has another one now.
	orphan := all.get(sends(func(r *kernelSignalRecord) {
		r.AncestorCount = 1
		r.Ancestors[0] = ancestor(1, "systemd")
	}), &names)
	assert.Equal(t, want[1:], orphan)
	assert.Equal(t, want, first, "the first event keeps its own")

	renamed := all.get(sends(func(r *kernelSignalRecord) { r.Ancestors[0] = ancestor(9, "zsh") }), &names)
	assert.Equal(t, "zsh", renamed[0].Command)
	assert.Nil(t, all.get(sends(func(r *kernelSignalRecord) { r.AncestorCount = 0 }), &names))
	many := all.get(sends(func(r *kernelSignalRecord) { r.AncestorCount = 1 << 31 }), &names)
	assert.Len(t, many, len(kernelSignalRecord{}.Ancestors), "no more than there is room for")

	for pid := range 3 * maxParents {
		all.get(sends(func(r *kernelSignalRecord) { r.Sender.Identity.Pid = uint32(pid) }), &names)
		assert.LessOrEqual(t, len(all), maxParents)
	}
}
