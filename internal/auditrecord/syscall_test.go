// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func fieldsOf(t *testing.T, line string) []byte {
	t.Helper()
	record, err := Parse([]byte(line))
	require.NoError(t, err)
	return record.Fields
}

func TestParseSyscall(t *testing.T) {
	t.Parallel()
	s, whole := ParseSyscall(fieldsOf(t, seedSyscall))
	assert.True(t, whole)
	assert.Equal(t, uint32(0xc000003e), s.Arch)
	assert.Equal(t, 62, s.Number)
	assert.True(t, s.Succeeded)
	assert.Zero(t, s.Exit)
	assert.Equal(t, [4]uint64{0xf60, 9, 0x7f736e706980, 0}, s.Args)
	assert.Equal(t, 3649, s.PPID)
	assert.Equal(t, 3997, s.PID)
	assert.Equal(t, uint32(500), s.AUID)
	assert.Equal(t, uint32(1), s.Session)
	assert.Equal(t, "pts3", string(s.TTY))
	assert.Equal(t, `"mykill"`, string(s.Comm))
	assert.Equal(t, `"/opt/bin/mykill"`, string(s.Exe))
	assert.Equal(t, "user_u:system_r:unconfined_t:s0", string(s.Subject))
	assert.Equal(t, `"audit_kill"`, string(s.Key))
}

func TestParseSyscallInterpretation(t *testing.T) {
	t.Parallel()
	s, whole := ParseSyscall(fieldsOf(t, seedSyscall+"\x1d"+`ARCH=x86_64 SYSCALL=kill AUID="ann" UID="root" GID="root" EUID="bob" SUID="eve"`))
	assert.True(t, whole)
	assert.Equal(t, `"ann"`, string(s.AUIDName))
	assert.Equal(t, `"root"`, string(s.UIDName))
	assert.Equal(t, `"bob"`, string(s.EUIDName))
	assert.Equal(t, `"eve"`, string(s.SUIDName))
	assert.Equal(t, 62, s.Number, "SYSCALL is not syscall")
}

func TestParseSyscallDamaged(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string][2]string{
		"no pid":          {" pid=3997", ""},
		"pid no number":   {" pid=3997", " pid=x"},
		"no argument":     {" a1=9", ""},
		"argument no hex": {" a1=9", " a1=zz"},
		"no comm":         {` comm="mykill"`, ""},
		"unclosed exe":    {`exe="/opt/bin/mykill" subj=user_u:system_r:unconfined_t:s0 key="audit_kill"`, `exe="/opt/bin/my`},
		"cut":             {` euid=0 suid=0`, ""},
		"strange success": {"success=yes", "success=maybe"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := strings.Replace(seedSyscall, edit[0], edit[1], 1)
			require.NotEqual(t, seedSyscall, line)
			s, whole := ParseSyscall(fieldsOf(t, line))
			assert.False(t, whole)
			assert.Equal(t, uint32(500), s.AUID, "what is there is still read")
		})
	}
}

// A process that does not return from the call has neither success nor exit.
func TestParseSyscallWithoutResult(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"absent": strings.Replace(seedSyscall, " success=yes exit=0", "", 1),
		"none":   strings.Replace(seedSyscall, "success=yes exit=0", "success=(none)", 1),
	} {
		s, whole := ParseSyscall(fieldsOf(t, line))
		assert.True(t, whole, name)
		assert.False(t, s.Has(FieldSuccess), name)
		assert.False(t, s.Has(FieldExit), name)
	}
}

func TestCallOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fields string
		arch   uint32
		number int
		ok     bool
	}{
		"usual":         {" arch=c000003e syscall=62 success=yes", 0xc000003e, 62, true},
		"other order":   {"success=yes syscall=37 a0=1 arch=40000003", 0x40000003, 37, true},
		"no arch":       {" syscall=62", 0, 0, false},
		"no number":     {" arch=c000003e", 0, 0, false},
		"bad arch":      {" arch=zz syscall=62", 0, 0, false},
		"huge arch":     {" arch=1c000003e syscall=62", 0, 0, false},
		"nothing":       {"", 0, 0, false},
		"x32":           {" arch=c000003e syscall=1073741886", 0xc000003e, 1073741886, true},
		"beyond an int": {" arch=c000003e syscall=4294967358", 0, 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arch, number, ok := CallOf([]byte(tt.fields))
			assert.Equal(t, tt.ok, ok)
			if ok {
				assert.Equal(t, tt.arch, arch)
				assert.Equal(t, tt.number, number)
			}
		})
	}
}
