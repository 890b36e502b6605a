// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Programs of a few instructions: they need no compiler, end at once, and have no runtime that
// handles their faults. They are for amd64.
var (
	exit64 = []byte{0xb8, 231, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05} // exit_group(0)
	exit32 = []byte{0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80}   // exit(0)
	pause  = []byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}  // pause() for good
	speak  = slices.Concat(                                     // write(1, ...) and pause()
		[]byte{0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0x89, 0xe6, 0xba, 1, 0, 0, 0, 0x0f, 0x05}, pause)
	segfault = []byte{0x31, 0xc0, 0x88, 0x00}             // *(char *)0 = 0
	division = []byte{0x31, 0xc9, 0x31, 0xd2, 0xf7, 0xf1} // 0 / 0
	noCode   = []byte{0x0f, 0x0b}                         // an instruction that there is not
	halts    = []byte{0xf4}                               // hlt, which is for the kernel only
	aborts   = slices.Concat(                             //
		[]byte{0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x89, 0xc7},        // getpid()
		[]byte{0xb8, 186, 0, 0, 0, 0x0f, 0x05, 0x89, 0xc6},       // gettid()
		[]byte{0xba, 6, 0, 0, 0, 0xb8, 234, 0, 0, 0, 0x0f, 0x05}) // tgkill(pid, tid, SIGABRT)
)

// kill64 sends a signal and ends.
func kill64(pid int, signal kill.Signal) []byte {
	return slices.Concat([]byte{0xbf}, word(pid), []byte{0xbe}, word(int(signal)), []byte{0xb8, 62, 0, 0, 0, 0x0f, 0x05}, exit64)
}

// kill32 does the same with the call of a 32-bit program.
func kill32(pid int, signal kill.Signal) []byte {
	return slices.Concat([]byte{0xbb}, word(pid), []byte{0xb9}, word(int(signal)), []byte{0xb8, 37, 0, 0, 0, 0xcd, 0x80}, exit32)
}

func word(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }

// program64 writes a program, and returns its path.
func program64(t *testing.T, code []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	writeProgram(t, path, code)
	return path
}

// writeProgram writes a program to a path.
func writeProgram(t *testing.T, path string, code []byte) {
	t.Helper()
	audittest.WriteProgram(t, path, image64(t, code))
}

// entry64 is where the code of a 64-bit program begins.
const entry64 = 0x400000 + 64 + 56

func image64(t *testing.T, code []byte) []byte {
	t.Helper()
	needAMD64(t)
	const base, header = 0x400000, entry64 - 0x400000
	return image(t, code, header,
		&elf.Header64{
			Ident: ident(elf.ELFCLASS64), Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1,
			Entry: base + header, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
		},
		&elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Align: 0x1000,
			Filesz: header + uint64(len(code)), Memsz: header + uint64(len(code)),
		})
}

// program32 writes a 32-bit program.
func program32(t *testing.T, code []byte) string {
	t.Helper()
	needAMD64(t)
	const base, header = 0x8048000, 52 + 32
	raw := image(t, code, header,
		&elf.Header32{
			Ident: ident(elf.ELFCLASS32), Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_386), Version: 1,
			Entry: base + header, Phoff: 52, Ehsize: 52, Phentsize: 32, Phnum: 1,
		},
		&elf.Prog32{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Align: 0x1000,
			Filesz: header + uint32(len(code)), Memsz: header + uint32(len(code)),
		})
	path := filepath.Join(t.TempDir(), "program")
	audittest.WriteProgram(t, path, raw)
	return path
}

func image(t *testing.T, code []byte, header int, parts ...any) []byte {
	t.Helper()
	var raw bytes.Buffer
	for _, part := range parts {
		require.NoError(t, binary.Write(&raw, binary.LittleEndian, part))
	}
	require.Equal(t, header, raw.Len())
	return append(raw.Bytes(), code...)
}

func ident(class elf.Class) [elf.EI_NIDENT]byte {
	return [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(class), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}
}

func needAMD64(t *testing.T) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		audittest.Skip(t, "the programs of this test are for amd64")
	}
}
