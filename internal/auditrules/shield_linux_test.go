// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const everything = "-a always,exit -S all -k everything"

var shieldLine = shieldFor(testKey, self).String()

func TestShield(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	require.NoError(t, err)
	tests := map[string]struct {
		before []string
		needed bool
	}{
		"nothing":          {},
		"our rules":        {before: ours(0)},
		"everything":       {[]string{everything}, true},
		"this program":     {[]string{"-a always,exit -S all -F exe=" + executable}, true},
		"another program":  {before: []string{"-a always,exit -S all -F exe=/bin/other"}},
		"this process":     {[]string{fmt.Sprintf("-a always,exit -S all -F pid=%d", self)}, true},
		"another process":  {before: []string{fmt.Sprintf("-a always,exit -S all -F pid=%d", theirs)}},
		"all but this one": {before: []string{fmt.Sprintf("-a always,exit -S all -F pid!=%d", self)}},
		"children of one":  {[]string{"-a always,exit -S all -F ppid=1"}, true},
		"this user":        {[]string{fmt.Sprintf("-a always,exit -S all -F uid=%d", os.Getuid())}, true},
		"another user":     {before: []string{fmt.Sprintf("-a always,exit -S all -F uid=%d", os.Getuid()+1)}},
		"who logged in":    {before: []string{"-a always,exit -S all -F auid>=1000 -F auid!=-1"}},
		"failures":         {[]string{"-a always,exit -S all -F success=0"}, true},
		"reading":          {[]string{"-a always,exit -F arch=b64 -S openat,read"}, true},
		"what we use":      {[]string{"-a always,exit -F arch=b64 -S recvmmsg"}, true},
		"our preemption":   {[]string{"-a always,exit -F arch=b64 -S tgkill"}, true},
		"other signals":    {before: []string{"-a always,exit -F arch=b64 -S tgkill -F a2!=23", "-a always,exit -F arch=b64 -S kill"}},
		"what we do not":   {before: []string{"-a always,exit -F arch=b64 -S execve,openat,connect"}},
		"other machines":   {before: []string{"-a always,exit -F arch=b32 -S all"}},
		"files":            {before: []string{"-w /etc -p wa", "-a always,exit -S all -F dir=/home -F uid=0"}},
		"never":            {before: []string{"-a never,exit -S all -F uid=12345"}},
		"not this program": {before: []string{"-a never,exit -S all -F exe=" + executable, everything}},
		"too late":         {[]string{everything, "-a never,exit -S all -F exe=" + executable}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKernel(t, test.before...)
			m, _ := newManager(t, k)
			m.Install()
			want := test.before
			if name != "our rules" {
				want = slices.Concat(want, ours(self))
			}
			if test.needed {
				want = slices.Concat([]string{shieldLine}, want)
			}
			assertLoaded(t, k, want...)
			found, err := m.Restore()
			require.NoError(t, err)
			assert.False(t, found.Any())
			assertLoaded(t, k, want...)
			require.NoError(t, m.Remove())
			assertLoaded(t, k, test.before...)
		})
	}
}

func TestShieldLater(t *testing.T) {
	t.Parallel()
	k := newKernel(t)
	m, c := newManager(t, k)
	require.Empty(t, m.Install())

	k.load(everything)
	found, err := m.Restore()
	require.NoError(t, err)
	assert.False(t, found.Any(), "that it is needed now is no tampering")
	assertLoaded(t, k, slices.Concat([]string{shieldLine}, ours(self), []string{everything})...)

	k.load("-A always,exit -S all -k first")
	found, err = m.Restore()
	require.NoError(t, err)
	assert.False(t, found.Any())
	assertLoaded(t, k, slices.Concat(
		[]string{shieldLine, "-a always,exit -S all -k first"}, ours(self), []string{everything})...)

	k.unload("pid=1000")
	found, err = m.Restore()
	require.NoError(t, err)
	require.Len(t, found.Removed, 1)
	assert.Equal(t, shieldLine, found.Removed[0].String())
	assert.Equal(t, listed(t, shieldLine), k.lines()[:1])

	for range maxRestorations {
		k.unload("pid=1000")
		_, err = m.Restore()
	}
	require.ErrorIs(t, err, ErrTooOften, "the shield counts too")
	c.now = c.now.Add(restorationWindow)
	_, err = m.Restore()
	require.NoError(t, err)
	require.NoError(t, m.Remove())
	assertLoaded(t, k, "-a always,exit -S all -k first", everything)
}

// A shield that is no longer needed may be removed.
func TestShieldIsNotMissed(t *testing.T) {
	t.Parallel()
	k := newKernel(t, everything)
	m, _ := newManager(t, k)
	require.Empty(t, m.Install())
	k.unload("everything")
	k.unload("pid=1000")
	found, err := m.Restore()
	require.NoError(t, err)
	assert.False(t, found.Any())
	assertLoaded(t, k, ours(self)...)
}

func TestShieldCannotBeLoaded(t *testing.T) {
	t.Parallel()
	assertTold := func(t *testing.T, problems []*Problem) {
		t.Helper()
		require.NotEmpty(t, problems)
		last := problems[len(problems)-1]
		assert.Contains(t, last.What, "everything")
		require.Len(t, last.Lines, 1)
		assert.Regexp(t, `^-a never,exit -F exe=/.+ -k audit_kill$`, last.Lines[0])
	}
	t.Run("locked", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t, append(ours(0), everything)...)
		k.status.Enabled = 2
		m, _ := newManager(t, k)
		assertTold(t, m.Install())
		found, err := m.Restore()
		require.NoError(t, err)
		assert.False(t, found.Any(), "that is known")
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t, append(ours(0), everything)...)
		k.refuse["add"] = syscall.EPERM
		m, _ := newManager(t, k)
		assertTold(t, m.Install())
	})
	t.Run("cannot be moved", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t, append(ours(0), everything)...)
		m, _ := newManager(t, k)
		require.Empty(t, m.Install())
		k.load("-A always,exit -S all -k everything_else")
		k.refuse["delete"] = syscall.EPERM
		found, err := m.Restore()
		require.NoError(t, err)
		assertTold(t, found.Obstacles)
	})
}
