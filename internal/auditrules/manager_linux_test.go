// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// foreign are rules of others, most of which look much like the Manager's.
var foreign = []string{
	"-a always,exit -F arch=b64 -S mkdirat -k other",
	"-a always,exit -F arch=b64 -S kill -F a1=9 -k other",
	"-a always,exit -F arch=b64 -S kill,tkill,rt_sigqueueinfo,pidfd_send_signal -F pid!=3000 -F a1=9 -k other",
	"-a always,exit -F arch=b64 -S kill,tkill,rt_sigqueueinfo,pidfd_send_signal -F a1=9 -k audit_kill",
	"-a always,exit -F arch=b64 -S kill,tkill,rt_sigqueueinfo,pidfd_send_signal -F pid!=3000 -F a1=9 -F uid=0 -k audit_kill",
	"-a always,exit -F arch=b64 -S kill,tkill,rt_sigqueueinfo,pidfd_send_signal -F pid=3000 -F a1=9 -k audit_kill",
	"-a always,exit -F arch=b64 -S kill -F pid!=3000 -F a1=9 -k audit_kill",
	"-a never,exit -F arch=b64 -S mkdirat -F pid=3000 -k audit_kill",
	"-w /etc/passwd -p wa -k audit_kill",
}

// whats returns the problems.
func whats(problems []*Problem) []string {
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.What)
	}
	return texts
}

func TestInstallAndRemove(t *testing.T) {
	t.Parallel()
	shuffled := []string{
		"-a always,exit -F arch=b32 -S rt_tgsigqueueinfo,tgkill -F a2!=10 -F a2!=11 -F a2!=12 -F a2!=13 -F a2!=14 " +
			"-F a2<=15 -F a2>=9 -k audit_kill",
	}
	tests := map[string]struct {
		before []string
		// during is what is loaded then, after what remains of before.
		stays, during []string
	}{
		"nothing is loaded":                    {during: ours(self)},
		"rules of others":                      {before: foreign, stays: foreign, during: ours(self)},
		"all of ours, by somebody else":        {before: ours(0), stays: ours(0)},
		"one of ours, by somebody else":        {before: shuffled, stays: shuffled, during: ours(self)[:3]},
		"all of ours, by the same process":     {before: ours(self), stays: ours(self)},
		"leftovers":                            {before: ours(nobody), during: ours(self)},
		"leftovers with other signals":         {before: ours(nobody, 1, 64), during: ours(self)},
		"leftovers of one not yet waited for":  {before: ours(theirs + 1), during: ours(self)},
		"leftovers, and another has their pid": {before: ours(theirs + 2), during: ours(self)},
		"a leftover shield": {
			before: []string{shieldFor(testKey, nobody).String()}, during: ours(self),
		},
		"leftovers among others": {
			before: slices.Concat(foreign[:3], ours(nobody)[:2], foreign[3:], ours(nobody)[2:]),
			stays:  foreign, during: ours(self),
		},
		"another collector":       {before: ours(theirs), stays: ours(theirs), during: ours(self)},
		"another program of ours": {before: ours(companion), stays: ours(companion), during: ours(self)},
		"nobody knows whose":      {before: ours(secret), stays: ours(secret), during: ours(self)},
		"another collector's shield": {
			before: []string{shieldFor(testKey, theirs).String()},
			stays:  []string{shieldFor(testKey, theirs).String()}, during: ours(self),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKernel(t, test.before...)
			m, _ := newManager(t, k)
			assert.Empty(t, whats(m.Install()))
			assertLoaded(t, k, slices.Concat(test.stays, test.during)...)
			found, err := m.Restore()
			require.NoError(t, err)
			assert.False(t, found.Any(), "%+v", found)
			require.NoError(t, m.Remove())
			assertLoaded(t, k, test.stays...)
			assert.Equal(t, uint32(1), k.status.Enabled)
			assert.NotContains(t, k.asked, "enable")
		})
	}
}

func TestTurnsAuditOn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		daemon uint32
		// meanwhile is what somebody else does in between.
		meanwhile func(*Manager, *fakeKernel)
		want      uint32
	}{
		"and off again": {},
		"and off again, with the same daemon": {
			daemon: 77,
		},
		"and off again, being the daemon": {
			meanwhile: func(_ *Manager, k *fakeKernel) { k.status.PID = self },
		},
		"and off again, after somebody else has turned it off": {
			meanwhile: func(m *Manager, k *fakeKernel) {
				k.status.Enabled = 0
				_, _ = m.Restore()
			},
		},
		"but a daemon was started": {
			meanwhile: func(_ *Manager, k *fakeKernel) { k.status.PID = 77 },
			want:      1,
		},
		"but it was locked": {
			meanwhile: func(_ *Manager, k *fakeKernel) { k.rules, k.status.Enabled = nil, 2 },
			want:      2,
		},
		"but somebody else has turned it off and on": {
			meanwhile: func(m *Manager, k *fakeKernel) {
				k.status.Enabled, k.refuse["enable"] = 0, syscall.EPERM
				_, _ = m.Restore()
				k.status.Enabled, k.refuse["enable"] = 1, nil
				_, _ = m.Restore()
			},
			want: 1,
		},
		"but somebody else has turned it off": {
			meanwhile: func(_ *Manager, k *fakeKernel) { k.status.Enabled = 0 },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKernel(t)
			k.status.Enabled, k.status.PID = 0, test.daemon
			m, _ := newManager(t, k)
			assert.Empty(t, whats(m.Install()))
			assert.Equal(t, uint32(1), k.status.Enabled)
			if test.meanwhile != nil {
				test.meanwhile(m, k)
			}
			require.NoError(t, m.Remove())
			assert.Empty(t, k.rules)
			assert.Equal(t, test.want, k.status.Enabled)
		})
	}
}

// Programs that have come while audit was on would be blind without it.
func TestLeavesAuditOnForOthers(t *testing.T) {
	t.Parallel()
	others := func(pid int) []string {
		var lines []string
		for _, r := range For([]kill.Signal{1, 9}, "audit_kill_watch", pid) {
			lines = append(lines, r.String())
		}
		return lines
	}
	tests := map[string]struct {
		before, meanwhile []string
		daemon            uint32
		// told is what is logged as relying on it; nil if nothing does.
		told map[string]any
	}{
		"another collector":              {meanwhile: ours(theirs), told: map[string]any{"process": int64(theirs)}},
		"the companion with its key":     {meanwhile: others(companion), told: map[string]any{"process": int64(companion)}},
		"nobody knows who":               {meanwhile: others(secret), told: map[string]any{"process": int64(secret)}},
		"one that has ended":             {meanwhile: others(nobody)},
		"one whose pid another has":      {meanwhile: others(theirs + 2)},
		"another receiver of ours":       {meanwhile: others(self)},
		"rules of others":                {meanwhile: foreign[:1], told: map[string]any{"rule": listed(t, foreign[0])[0]}},
		"rules of others from before":    {before: foreign},
		"a collector from before":        {before: others(theirs), told: map[string]any{"process": int64(theirs)}},
		"a rule that only suppresses":    {meanwhile: []string{"-a never,exit -S all -F uid=12345"}},
		"a rule for records of programs": {meanwhile: []string{"-a always,exclude -F msgtype=CWD"}},
		"an audit daemon":                {daemon: 77, told: map[string]any{"daemon": uint32(77)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKernel(t, test.before...)
			k.status.Enabled = 0
			m, _ := newManager(t, k)
			logger, logs := observer.New(zap.WarnLevel)
			m.logger = zap.New(logger)
			m.Install()
			k.load(test.meanwhile...)
			k.status.PID = test.daemon
			require.NoError(t, m.Remove())
			assertLoaded(t, k, append(test.before, test.meanwhile...)...)
			if test.told == nil {
				assert.Equal(t, uint32(0), k.status.Enabled)
				assert.Empty(t, logs.All())
				return
			}
			assert.Equal(t, uint32(1), k.status.Enabled)
			require.Equal(t, 1, logs.Len())
			assert.Contains(t, logs.All()[0].Message, "auditctl -e 0")
			assert.Equal(t, test.told, logs.All()[0].ContextMap())
			k.asked = nil
			require.NoError(t, m.Remove())
			assert.Empty(t, k.asked, "that is settled")
		})
	}
}

// The rules of others do nothing either while audit is off.
func TestTurnsAuditOnForTheRulesOfOthers(t *testing.T) {
	t.Parallel()
	k := newKernel(t, ours(0)...)
	k.status.Enabled = 0
	m, _ := newManager(t, k)
	assert.Empty(t, whats(m.Install()))
	assert.Equal(t, uint32(1), k.status.Enabled)
	require.NoError(t, m.Remove())
	assert.Equal(t, uint32(0), k.status.Enabled)
	assertLoaded(t, k, ours(0)...)
}

// The state of audit when the collector started counts, whatever changes it meanwhile.
func TestLeavesAuditOnIfItWasOn(t *testing.T) {
	t.Parallel()
	k := newKernel(t)
	m, _ := newManager(t, k)
	m.Install()
	k.status.Enabled = 0
	found, err := m.Restore()
	require.NoError(t, err)
	assert.Equal(t, Tampering{Disabled: true, Enabled: true}, found)
	require.NoError(t, m.Remove())
	assert.Equal(t, uint32(1), k.status.Enabled)
}

func TestRemove(t *testing.T) {
	t.Parallel()
	t.Run("what somebody else has removed already", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t, foreign...)
		m, _ := newManager(t, k)
		m.Install()
		k.unload("b32")
		k.load(ours(0)...)
		require.NoError(t, m.Remove())
		assertLoaded(t, k, slices.Concat(foreign, ours(0))...)
	})
	t.Run("everything was removed", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t)
		m, _ := newManager(t, k)
		m.Install()
		k.unload("")
		require.NoError(t, m.Remove())
	})
	t.Run("before anything was installed", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t, ours(self)...)
		m, _ := newManager(t, k)
		require.NoError(t, m.Remove())
		assert.Empty(t, k.asked)
	})
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t)
		m, _ := newManager(t, k)
		m.Install()
		require.NoError(t, m.Remove())
		k.asked = nil
		require.NoError(t, m.Remove())
		assert.Empty(t, k.asked)
	})
	t.Run("they stay although the kernel did not complain", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t)
		m, _ := newManager(t, k)
		m.Install()
		k.status.Enabled = 2
		err := m.Remove()
		for _, line := range k.lines() {
			require.ErrorContains(t, err, fmt.Sprintf("%q is still loaded", line))
		}
		k.status.Enabled = 1
		require.NoError(t, m.Remove(), "a later attempt")
		assert.Empty(t, k.rules)
	})
	t.Run("the kernel does not answer", func(t *testing.T) {
		t.Parallel()
		for _, request := range []string{"list", "delete", "status", "enable"} {
			k := newKernel(t)
			k.status.Enabled = 0
			m, _ := newManager(t, k)
			m.Install()
			k.refuse[request] = errors.New("no reply received")
			require.ErrorContains(t, m.Remove(), "no reply received", request)
			delete(k.refuse, request)
			require.NoError(t, m.Remove(), request)
			assert.Empty(t, k.rules)
			assert.Equal(t, uint32(0), k.status.Enabled)
		}
	})
}

// Two receivers in one collector may want the same.
func TestTwoManagersOfOneProcess(t *testing.T) {
	t.Parallel()
	k := newKernel(t)
	first, _ := newManager(t, k)
	second, _ := newManager(t, k)
	assert.Empty(t, first.Install())
	assert.Empty(t, second.Install())
	assertLoaded(t, k, ours(self)...)
	require.NoError(t, second.Remove())
	assertLoaded(t, k, ours(self)...)
	require.NoError(t, first.Remove())
	assert.Empty(t, k.rules)
}

// Another program may load a rule between listing and adding.
func TestRuleThatExistsIsNotOurs(t *testing.T) {
	t.Parallel()
	k := newKernel(t)
	k.refuse["add"] = errors.New("rule exists")
	m, _ := newManager(t, k)
	assert.Empty(t, m.Install())
	k.load(ours(self)...)
	require.NoError(t, m.Remove())
	assertLoaded(t, k, ours(self)...)
	assert.NotContains(t, strings.Join(k.asked, " "), "delete")
}
