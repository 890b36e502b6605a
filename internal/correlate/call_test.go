// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestCalls(t *testing.T) {
	t.Parallel()
	const x8664 = "c000003e"
	tests := map[string]struct {
		arch      string
		number    int
		args      [4]string
		syscall   string
		signal    kill.Signal
		scope     kill.Scope
		requested int
	}{
		"process":              {x8664, 62, [4]string{"f60", "9", "0", "0"}, "kill", 9, kill.ScopeProcess, 3936},
		"hexadecimal signal":   {x8664, 62, [4]string{"f60", "f", "0", "0"}, "kill", 15, kill.ScopeProcess, 3936},
		"process group":        {x8664, 62, [4]string{"ffffffffffffa839", "f", "0", "0"}, "kill", 15, kill.ScopeProcessGroup, 22471},
		"zero-extended group":  {x8664, 62, [4]string{"ffffa839", "f", "0", "0"}, "kill", 15, kill.ScopeProcessGroup, 22471},
		"32-bit group":         {"40000003", 37, [4]string{"ffffff85", "9", "0", "0"}, "kill", 9, kill.ScopeProcessGroup, 123},
		"own group":            {x8664, 62, [4]string{"0", "9", "0", "0"}, "kill", 9, kill.ScopeOwnProcessGroup, 0},
		"all":                  {x8664, 62, [4]string{"ffffffffffffffff", "9", "0", "0"}, "kill", 9, kill.ScopeAll, 0},
		"rubbish above bit 32": {x8664, 62, [4]string{"dead00000f60", "dead00000009", "0", "0"}, "kill", 9, kill.ScopeProcess, 3936},
		"thread":               {x8664, 200, [4]string{"f60", "6", "0", "0"}, "tkill", 6, kill.ScopeThread, 3936},
		"thread of process":    {x8664, 234, [4]string{"f60", "f61", "6", "8"}, "tgkill", 6, kill.ScopeThread, 3936},
		"queued":               {x8664, 129, [4]string{"f60", "25", "7f", "0"}, "rt_sigqueueinfo", 37, kill.ScopeProcess, 3936},
		"queued to thread":     {x8664, 297, [4]string{"f60", "f61", "c", "7f"}, "rt_tgsigqueueinfo", 12, kill.ScopeThread, 3936},
		"pidfd":                {x8664, 424, [4]string{"3", "9", "0", "0"}, "pidfd_send_signal", 9, kill.ScopeProcess, 0},
		"pidfd of thread":      {x8664, 424, [4]string{"3", "9", "0", "1"}, "pidfd_send_signal", 9, kill.ScopeThread, 0},
		"pidfd, thread group":  {x8664, 424, [4]string{"3", "9", "0", "2"}, "pidfd_send_signal", 9, kill.ScopeProcess, 0},
		"pidfd, process group": {x8664, 424, [4]string{"3", "9", "0", "4"}, "pidfd_send_signal", 9, kill.ScopeProcessGroup, 0},
		"aarch64":              {"c00000b7", 129, [4]string{"f60", "9", "0", "0"}, "kill", 9, kill.ScopeProcess, 3936},
		"arm":                  {"40000028", 268, [4]string{"f60", "f60", "9", "0"}, "tgkill", 9, kill.ScopeThread, 3936},
		"ppc64le":              {"c0000015", 37, [4]string{"f60", "9", "0", "0"}, "kill", 9, kill.ScopeProcess, 3936},
		"s390x":                {"80000016", 237, [4]string{"f60", "9", "0", "0"}, "tkill", 9, kill.ScopeThread, 3936},
		"riscv64":              {"c00000f3", 240, [4]string{"f60", "f60", "9", "0"}, "rt_tgsigqueueinfo", 9, kill.ScopeThread, 3936},
		"x32":                  {x8664, 0x40000000 | 62, [4]string{"f60", "9", "0", "0"}, "kill", 9, kill.ScopeProcess, 3936},
		"x32 queued":           {x8664, 0x40000000 | 524, [4]string{"f60", "9", "0", "0"}, "rt_sigqueueinfo", 9, kill.ScopeProcess, 3936},
		"x32 queued to thread": {x8664, 0x40000000 | 536, [4]string{"f60", "f60", "9", "0"}, "rt_tgsigqueueinfo", 9, kill.ScopeThread, 3936},
		"signal nobody has":    {x8664, 62, [4]string{"f60", "63", "0", "0"}, "kill", 99, kill.ScopeProcess, 3936},
		"signal below zero":    {x8664, 62, [4]string{"f60", "ffffffff", "0", "0"}, "kill", -1, kill.ScopeProcess, 3936},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(Config{})
			b.feed(fmt.Sprintf(`type=SYSCALL msg=%s: arch=%s syscall=%d success=yes exit=0 a0=%s a1=%s a2=%s a3=%s items=0 `+
				`ppid=1 pid=100 auid=-1 uid=0 gid=0 euid=0 suid=0 tty=(none) ses=4294967295 comm="k" exe="/k" key=(null)`,
				stamp(1), tt.arch, tt.number, tt.args[0], tt.args[1], tt.args[2], tt.args[3]), target(1, 7), title(1))
			b.Flush()
			e := b.only(t)
			assert.True(t, e.Complete)
			assert.Equal(t, tt.syscall, e.Syscall)
			assert.Equal(t, tt.signal, e.Signal)
			assert.Equal(t, tt.scope, e.Scope)
			assert.Equal(t, tt.requested, e.Requested)
		})
	}
}

// A log may name architectures that do not exist, as many as it likes.
func TestArchitecturesAreBounded(t *testing.T) {
	t.Parallel()
	tables := newCallTables()
	for arch := range uint32(1000) {
		assert.Nil(t, tables.lookup(arch, 62))
	}
	assert.Len(t, tables.tables, maxArchitectures)
	assert.Nil(t, tables.lookup(0xc000003e, -1))
	assert.Nil(t, tables.lookup(0xc000003e, 1<<30))
	assert.NotNil(t, tables.lookup(0xc000003e, 62), "the real one is still found")
}
