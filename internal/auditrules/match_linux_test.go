// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func mustDecode(t *testing.T, line string) loaded {
	t.Helper()
	l, err := decode(parse(t, line))
	require.NoError(t, err)
	return l
}

// A rule on the wire is what auditctl makes of its text.
func TestWire(t *testing.T) {
	t.Parallel()
	for name, signals := range map[string][]kill.Signal{
		"one": {9}, "default": kill.DefaultSignals(), "all": signalsFrom(0), "sparse": {1, 64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := append(For(signals, testKey, 4711), For(signals, testKey, 0)...)
			for _, r := range append(rules, shieldFor(testKey, 4711)) {
				m, err := manage(r)
				require.NoError(t, err)
				assert.True(t, m.loaded.equal(mustDecode(t, r.String())), r)
				assert.Equal(t, parse(t, r.String())[:4], []byte(m.loaded.wire[:4]), "the list, and where in it")
			}
		})
	}
}

// A key may contain characters with a meaning for a shell or in a rule.
func TestWireKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{testKey, "#$&;(*)=,<k>!=~|-", "-F", "a1>=2", strings.Repeat("k", 31)} {
		m, err := manage(For([]kill.Signal{9}, key, 0)[0])
		require.NoError(t, err)
		assert.Len(t, m.loaded.fields, 3)
		assert.Contains(t, m.loaded.fields, field{
			kind: unix.AUDIT_FILTERKEY, operator: unix.AUDIT_EQUAL, value: uint32(len(key)), text: key,
		})
	}
}

func TestUnknownMachine(t *testing.T) {
	t.Parallel()
	for _, r := range rulesFor(arches("riscv64"), []kill.Signal{9}, testKey, 0) {
		_, err := r.wire()
		require.ErrorContains(t, err, r.String())
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	const line = "-a always,exit -F arch=b64 -S kill,tkill -F a1>=1 -F a1<=9 -F exe=/bin/a -k k"
	for other, equal := range map[string]bool{
		line: true,
		"-a always,exit -F arch=b64 -S tkill -S kill -F exe=/bin/a -F a1<=9 -F a1>=1 -k k": true,
		"-A always,exit -F arch=b64 -S kill,tkill -F a1>=1 -F a1<=9 -F exe=/bin/a -k k":    true,
		"-a never,exit -F arch=b64 -S kill,tkill -F a1>=1 -F a1<=9 -F exe=/bin/a -k k":     false,
		"-a always,exit -F arch=b32 -S kill,tkill -F a1>=1 -F a1<=9 -F exe=/bin/a -k k":    false,
		"-a always,exit -F arch=b64 -S kill -F a1>=1 -F a1<=9 -F exe=/bin/a -k k":          false,
		"-a always,exit -F arch=b64 -S kill,tkill -F a1>=1 -F a1<=8 -F exe=/bin/a -k k":    false,
		"-a always,exit -F arch=b64 -S kill,tkill -F a1>=1 -F a1<=9 -F exe=/bin/b -k k":    false,
		"-a always,exit -F arch=b64 -S kill,tkill -F a1>=1 -F a1<=9 -F exe=/bin/a -k K":    false,
		"-a always,exit -F arch=b64 -S kill,tkill -F a1>=1 -F a1<=9 -F exe=/bin/a":         false,
	} {
		assert.Equal(t, equal, mustDecode(t, line).equal(mustDecode(t, other)), other)
	}
}

func TestDecodeRefusesDamage(t *testing.T) {
	t.Parallel()
	good := parse(t, "-a always,exit -F arch=b64 -S kill -F exe=/bin/a -k key")
	put := func(offset int, value uint32) []byte {
		wire := bytes.Clone(good)
		binary.NativeEndian.PutUint32(wire[offset:], value)
		return wire
	}
	values := 12 + 4*unix.AUDIT_BITMASK_SIZE + 4*unix.AUDIT_MAX_FIELDS
	length := values + 8*unix.AUDIT_MAX_FIELDS
	for name, wire := range map[string][]byte{
		"empty": nil, "short": good[:length], "too many fields": put(8, unix.AUDIT_MAX_FIELDS+1),
		"too much text": put(length, 4096), "a text that is too long": put(values+4, 4096),
		"a text that is far too long": put(values+4, 1<<32-1),
	} {
		_, err := decode(wire)
		assert.Error(t, err, name)
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range For(kill.DefaultSignals(), testKey, 1) {
		wire, err := r.wire()
		require.NoError(f, err)
		f.Add([]byte(wire))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		l, err := decode(wire)
		if err != nil {
			return
		}
		assert.True(t, l.equal(l))
		assert.LessOrEqual(t, len(l.fields), unix.AUDIT_MAX_FIELDS)
		assert.NotPanics(t, func() { l.frame() })
	})
}

// mayCover and mustCover are right about a call of which everything is known.
func TestCovers(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("SKIPPED: the rules are for x86-64")
	}
	by := caller{executable: "/bin/me", values: map[uint32]uint32{
		unix.AUDIT_PID: 5, unix.AUDIT_UID: 1000, unix.AUDIT_LOGINUID: 4294967295, unix.AUDIT_ARG1: 9,
	}}
	c := newCall("x86_64", "kill", by)[0]
	tests := map[string]struct{ may, must bool }{
		"-a always,exit -S all":                           {true, true},
		"-a always,exit -F arch=b64 -S kill":              {true, true},
		"-a always,exit -F arch=b64 -S kill -k any":       {true, true},
		"-a always,exit -F arch=b64 -S tkill":             {false, false},
		"-a always,exit -F arch=b32 -S all":               {false, false},
		"-a always,exit -F arch=b64 -S kill -F a1=9":      {true, true},
		"-a always,exit -F arch=b64 -S kill -F a1!=9":     {false, false},
		"-a always,exit -F arch=b64 -S kill -F a1<9":      {false, false},
		"-a always,exit -F arch=b64 -S kill -F a1<=9":     {true, true},
		"-a always,exit -F arch=b64 -S kill -F a1>9":      {false, false},
		"-a always,exit -F arch=b64 -S kill -F a1>=9":     {true, true},
		"-a always,exit -F arch=b64 -S kill -F a1&2":      {false, false},
		"-a always,exit -F arch=b64 -S kill -F a1&3":      {true, true},
		"-a always,exit -F arch=b64 -S kill -F a1&=9":     {true, true},
		"-a always,exit -F arch=b64 -S kill -F a1&=3":     {false, false},
		"-a always,exit -S all -F pid=5":                  {true, true},
		"-a always,exit -S all -F pid!=5":                 {false, false},
		"-a always,exit -S all -F uid=0":                  {false, false},
		"-a always,exit -S all -F auid>=1000 -F auid!=-1": {false, false},
		"-a always,exit -S all -F exe=/bin/me":            {true, true},
		"-a always,exit -S all -F exe=/bin/you":           {false, false},
		"-a always,exit -S all -F exe!=/bin/you":          {true, true},
		"-a always,exit -S all -F exe!=/bin/me":           {false, false},
		"-a always,exit -S all -F path=/etc/passwd":       {false, false},
		"-a always,exit -S all -F dir=/home -F uid=1000":  {false, false},
		"-w /etc/passwd -p wa":                            {false, false},
		"-a always,exit -S all -F success=0":              {true, false},
		"-a always,exit -S all -F exit=-EACCES":           {true, false},
		"-a always,exit -S all -C uid!=euid":              {true, false},
		"-a always,exit -S all -F subj_type=unconfined_t": {true, false},
		"-a always,exit -S all -F success=0 -F pid=6":     {false, false},
	}
	for line, want := range tests {
		l := mustDecode(t, line)
		assert.Equal(t, want.may, l.mayCover(c), line)
		assert.Equal(t, want.must, l.mustCover(c), line)
	}
	assert.Empty(t, newCall("x86_64", "no_such_call", by))
	assert.Empty(t, newCall("no_such_arch", "kill", by))
}

// The rules make the kernel record what they should, and not the collector's own signals.
func TestCoversTheSignals(t *testing.T) {
	t.Parallel()
	for _, signals := range [][]kill.Signal{{9}, {0}, kill.DefaultSignals(), signalsFrom(1), {4, 34, 64}} {
		for _, r := range For(signals, testKey, self) {
			m, err := manage(r)
			require.NoError(t, err)
			wanted := make(map[kill.Signal]bool)
			for _, signal := range signals {
				wanted[signal] = true
			}
			for signal := range kill.Signal(66) {
				calls := r.calls([]kill.Signal{signal})
				require.Len(t, calls, len(r.syscalls))
				for _, c := range calls {
					c.values[unix.AUDIT_PID] = self + 1
					assert.Equal(t, wanted[signal], m.loaded.mustCover(c), "%v %d", r, signal)
					c.values[unix.AUDIT_PID] = self
					assert.False(t, m.loaded.mayCover(c))
				}
			}
		}
	}
}

func TestOwnCalls(t *testing.T) {
	t.Parallel()
	calls := ownCalls(procfs("/proc").caller(os.Getpid()))
	assert.Greater(t, len(calls), 10, "this machine's system calls are known")
	for _, c := range calls {
		assert.Equal(t, uint32(os.Getpid()), c.values[unix.AUDIT_PID])
	}
}

func TestUnknownRuleHasAText(t *testing.T) {
	t.Parallel()
	l := mustDecode(t, "-a always,exit -F arch=b64 -S 999 -k k")
	assert.Contains(t, l.String(), "auditctl -l")
	l = loaded{wire: rule.WireFormat("short")}
	assert.Contains(t, l.String(), "auditctl -l")
}
