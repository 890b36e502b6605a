// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRestore(t *testing.T) {
	t.Parallel()
	installed := func(t *testing.T, before ...string) (*Manager, *fakeKernel, *clock) {
		t.Helper()
		k := newKernel(t, before...)
		m, c := newManager(t, k)
		require.Empty(t, whats(m.Install()))
		return m, k, c
	}
	lines := func(rules []Rule) []string {
		var all []string
		for _, r := range rules {
			all = append(all, r.String())
		}
		return all
	}
	t.Run("one rule", func(t *testing.T) {
		t.Parallel()
		m, k, _ := installed(t, foreign[0])
		k.unload("b32 -S tgkill")
		found, err := m.Restore()
		require.NoError(t, err)
		assert.Equal(t, ours(self)[3:], lines(found.Removed))
		assert.Equal(t, found.Removed, found.Restored)
		assert.True(t, found.Any())
		assertLoaded(t, k, append(foreign[:1:1], ours(self)...)...)
		require.NoError(t, m.Remove())
		assertLoaded(t, k, foreign[0])
	})
	t.Run("all, and audit", func(t *testing.T) {
		t.Parallel()
		m, k, _ := installed(t)
		k.unload("")
		k.status.Enabled = 0
		found, err := m.Restore()
		require.NoError(t, err)
		assert.Equal(t, ours(self), lines(found.Removed))
		assert.True(t, found.Disabled)
		assertLoaded(t, k, ours(self)...)
		assert.Equal(t, uint32(1), k.status.Enabled)
	})
	t.Run("the rules of others that took the place of ours", func(t *testing.T) {
		t.Parallel()
		m, k, _ := installed(t, ours(0)...)
		k.unload("b64")
		found, err := m.Restore()
		require.NoError(t, err)
		assert.Equal(t, ours(self)[:2], lines(found.Removed))
		assertLoaded(t, k, append(ours(0)[2:], ours(self)[:2]...)...)
		require.NoError(t, m.Remove())
		assertLoaded(t, k, ours(0)[2:]...)
	})
	t.Run("not what others have put in their place", func(t *testing.T) {
		t.Parallel()
		m, k, _ := installed(t)
		k.unload("")
		k.load(ours(0)...)
		found, err := m.Restore()
		require.NoError(t, err)
		assert.False(t, found.Any())
		assertLoaded(t, k, ours(0)...)
	})
	t.Run("a few times a minute", func(t *testing.T) {
		t.Parallel()
		m, k, c := installed(t)
		for range maxRestorations {
			k.unload("")
			_, err := m.Restore()
			require.NoError(t, err)
			c.now = c.now.Add(restorationWindow / 10)
		}
		k.unload("")
		k.status.Enabled = 0
		for range 2 {
			found, err := m.Restore()
			require.ErrorIs(t, err, ErrTooOften)
			assert.Len(t, found.Removed, 4, "it is reported each time")
			assert.Empty(t, found.Restored)
			assert.False(t, found.Enabled)
			assert.True(t, found.Disabled)
			assert.Empty(t, k.rules)
			assert.Equal(t, uint32(0), k.status.Enabled)
		}
		c.now = c.now.Add(restorationWindow - maxRestorations*restorationWindow/10)
		_, err := m.Restore()
		require.NoError(t, err)
		assertLoaded(t, k, ours(self)...)
		assert.Equal(t, uint32(1), k.status.Enabled)
		k.unload("")
		_, err = m.Restore()
		require.ErrorIs(t, err, ErrTooOften, "only the first of the three is over")
	})
	t.Run("not what is locked", func(t *testing.T) {
		t.Parallel()
		m, k, _ := installed(t)
		k.unload("b32")
		k.status.Enabled = 2
		found, err := m.Restore()
		require.ErrorContains(t, err, "locked")
		assert.Len(t, found.Removed, 2)
		assert.True(t, found.Locked)
		found, err = m.Restore()
		require.ErrorContains(t, err, "locked")
		assert.False(t, found.Locked, "that is reported once")
	})
	t.Run("locking alone is told", func(t *testing.T) {
		t.Parallel()
		m, k, _ := installed(t)
		k.status.Enabled = 2
		found, err := m.Restore()
		require.NoError(t, err)
		assert.Equal(t, Tampering{Locked: true}, found)
	})
	t.Run("only between Install and Remove", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t)
		m, _ := newManager(t, k)
		_, err := m.Restore()
		require.NoError(t, err)
		assert.Empty(t, k.asked)
		m.Install()
		require.NoError(t, m.Remove())
		k.asked = nil
		_, err = m.Restore()
		require.NoError(t, err)
		assert.Empty(t, k.asked)
	})
	t.Run("the kernel refuses", func(t *testing.T) {
		t.Parallel()
		for _, request := range []string{"status", "list", "add", "enable"} {
			m, k, _ := installed(t)
			k.unload("")
			k.status.Enabled = 0
			k.refuse[request] = syscall.EPERM
			_, err := m.Restore()
			require.ErrorIs(t, err, syscall.EPERM, request)
		}
	})
	t.Run("what was never there is no tampering", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t)
		k.refuse["add"] = syscall.ENOMEM
		m, _ := newManager(t, k)
		assert.Len(t, m.Install(), 1)
		found, err := m.Restore()
		require.ErrorIs(t, err, syscall.ENOMEM)
		assert.False(t, found.Any())
		delete(k.refuse, "add")
		found, err = m.Restore()
		require.NoError(t, err)
		assert.False(t, found.Any())
		assertLoaded(t, k, ours(self)...)
	})
	t.Run("audit that could not be turned on is no tampering", func(t *testing.T) {
		t.Parallel()
		for _, request := range []string{"add", "enable"} {
			k := newKernel(t)
			k.status.Enabled = 0
			k.refuse[request] = syscall.ENOMEM
			m, _ := newManager(t, k)
			assert.Len(t, m.Install(), 1)
			found, err := m.Restore()
			require.ErrorIs(t, err, syscall.ENOMEM)
			assert.False(t, found.Any(), "%+v", found)
			delete(k.refuse, request)
			for range 2 {
				found, err = m.Restore()
				require.NoError(t, err)
				assert.False(t, found.Any(), "%+v", found)
				assertLoaded(t, k, ours(self)...)
				assert.Equal(t, uint32(1), k.status.Enabled)
			}
			require.NoError(t, m.Remove())
			assert.Equal(t, uint32(0), k.status.Enabled)
		}
	})
	t.Run("after the kernel could not be asked", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t)
		k.status.Enabled = 0
		k.refuse["list"] = syscall.ENOBUFS
		m, _ := newManager(t, k)
		assert.Len(t, m.Install(), 1)
		found, err := m.Restore()
		require.NoError(t, err)
		assert.False(t, found.Any(), "it is reported once: %+v", found)
		delete(k.refuse, "list")
		found, err = m.Restore()
		require.NoError(t, err)
		assert.False(t, found.Any())
		assertLoaded(t, k, ours(self)...)
		require.NoError(t, m.Remove())
		assert.Equal(t, uint32(0), k.status.Enabled)
	})
	t.Run("tells what is new in the way", func(t *testing.T) {
		t.Parallel()
		m, k, _ := installed(t)
		for range 2 {
			k.load("-a never,task")
			found, err := m.Restore()
			require.NoError(t, err)
			require.Len(t, found.Obstacles, 1)
			assert.Contains(t, found.Obstacles[0].What, "-a task,never")
			assert.True(t, found.Any())
			found, err = m.Restore()
			require.NoError(t, err)
			assert.Empty(t, found.Obstacles)
			k.unload("task")
			found, err = m.Restore()
			require.NoError(t, err)
			assert.Empty(t, found.Obstacles)
		}
	})
}
