// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/moby/sys/capability"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// commands are those that a person needs to load the rules.
func commands() []string {
	var lines []string
	for _, r := range For([]kill.Signal{9, 15}, testKey, 0) {
		lines = append(lines, r.Command())
	}
	return append(lines, "auditctl -e 1")
}

func TestInstallIsRefused(t *testing.T) {
	t.Parallel()
	refused := []string{"CAP_AUDIT_CONTROL"}
	if len(privilege.Lacking(capability.CAP_AUDIT_CONTROL)) == 0 { // then it is refused in other pid namespaces only
		refused = append(refused, "initial pid namespace", "AmbientCapabilities=", "securityContext.capabilities", "hostPID: true")
	}
	tests := map[string]struct {
		request    string
		err        error
		parameters string
		says       []string
		silent     bool // no lines help
		advised    bool
	}{
		"no capability":         {request: "status", err: syscall.EPERM, advised: true, says: refused},
		"no capability to list": {request: "list", err: syscall.EPERM, says: []string{"CAP_AUDIT_CONTROL"}},
		"not to add":            {request: "add", err: syscall.EPERM, says: []string{"CAP_AUDIT_CONTROL"}},
		"user namespace": {
			request: "status", err: syscall.ECONNREFUSED, advised: true,
			says: []string{"initial user namespace", "PrivateUsers=no", "hostUsers: true", "rootless"},
		},
		"turned off at boot": {
			request: "status", err: syscall.ECONNREFUSED, parameters: "audit=0", says: []string{"remove audit=0"}, silent: true,
		},
		"no audit in the kernel": {
			request: "status", err: errors.New("audit not supported by kernel"), says: []string{"not supported by kernel"},
		},
		"not enough memory": {request: "add", err: syscall.ENOMEM, says: []string{syscall.ENOMEM.Error()}},
		"not to turn on":    {request: "enable", err: syscall.EPERM, says: []string{"turning audit on", "CAP_AUDIT_CONTROL"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKernel(t)
			k.status.Enabled = 0
			k.refuse[test.request] = test.err
			m, _ := newManager(t, k)
			m.proc = procfs(proc(t, "audit=1 "+test.parameters))
			problems := m.Install()
			require.Len(t, problems, 1)
			p := problems[0]
			require.ErrorIs(t, p, test.err)
			if test.advised {
				assert.Equal(t, []problem.Advice{problem.LoadRulesByHand}, p.Advice)
			}
			for _, text := range test.says {
				require.ErrorContains(t, p, text)
			}
			if test.silent {
				assert.Empty(t, p.Lines)
			} else {
				assert.Equal(t, commands(), p.Lines)
			}
			if test.request != "enable" {
				assert.Equal(t, uint32(0), k.status.Enabled, "without rules audit is of no use")
			}
		})
	}
}

func TestInstallIsLocked(t *testing.T) {
	t.Parallel()
	t.Run("without rules", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t, append(ours(nobody), ours(0)[0])...)
		k.status.Enabled = 2
		m, _ := newManager(t, k)
		problems := m.Install()
		require.Len(t, problems, 1)
		assert.Contains(t, problems[0].What, "locked until the next boot")
		assert.Contains(t, problems[0].What, "3 of the 4")
		assert.Contains(t, problems[0].Fix, "/etc/audit/rules.d/audit_kill.rules")
		assert.Equal(t, ours(0), problems[0].Lines)
		assert.NotContains(t, k.asked, "add")
		assert.NotContains(t, k.asked, "delete")
		_, err := m.Restore()
		require.NoError(t, err, "that they cannot be loaded is known")
		require.NoError(t, m.Remove())
	})
	t.Run("with the rules", func(t *testing.T) {
		t.Parallel()
		k := newKernel(t, ours(0)...)
		k.status.Enabled = 2
		m, _ := newManager(t, k)
		assert.Empty(t, m.Install())
		require.NoError(t, m.Remove())
	})
}

func TestNeverOn(t *testing.T) {
	t.Parallel()
	for parameters, want := range map[string]int{"": 1, "audit=1": 0, "myaudit=1": 1} {
		k := newKernel(t)
		k.status.Enabled = 0
		m, _ := newManager(t, k)
		m.proc = procfs(proc(t, parameters))
		problems := m.Install()
		require.Len(t, problems, want, parameters)
		if want > 0 {
			require.ErrorContains(t, problems[0], "restart them, or add audit=1")
			assert.Empty(t, problems[0].Lines)
		}
	}
}

func TestLeftoversThatStay(t *testing.T) {
	t.Parallel()
	k := newKernel(t, ours(nobody)...)
	k.refuse["delete"] = syscall.EPERM
	m, _ := newManager(t, k)
	problems := m.Install()
	require.Len(t, problems, 1)
	require.ErrorIs(t, problems[0], syscall.EPERM)
	require.ErrorContains(t, problems[0], "pid!=3000")
	assertLoaded(t, k, append(ours(nobody), ours(self)...)...)
}

func TestNoRulesForTheMachine(t *testing.T) {
	t.Parallel()
	k := newKernel(t)
	m, _ := newManager(t, k)
	m.signals = nil // stands for a machine without rules
	for range 2 {
		problems := m.install()
		require.Len(t, problems, 1)
		require.ErrorContains(t, problems[0], machine())
		assert.Empty(t, problems[0].Lines)
	}
	assert.Empty(t, k.asked)
}

func TestObstacles(t *testing.T) {
	t.Parallel()
	const (
		task    = "keeps the kernel from following"
		exclude = "suppresses records"
		hidden  = "comes before those that record signals"
	)
	tests := map[string]struct {
		rule string
		// says is empty if there is no problem.
		says, removal string
	}{
		"task never":               {"-a never,task", task, "auditctl -d task,never"},
		"task never for some":      {"-a never,task -F uid=1000", task, "auditctl -d task,never -F uid=1000"},
		"task always":              {"-a always,task -F uid=1000", "", ""},
		"excluded":                 {"-a always,exclude -F msgtype=SYSCALL", exclude, "auditctl -d always,exclude -F msgtype=SYSCALL"},
		"targets excluded":         {"-a never,exclude -F msgtype=OBJ_PID", exclude, "auditctl -d never,exclude -F msgtype=OBJ_PID"},
		"a range excluded":         {"-a always,exclude -F msgtype>=1300 -F msgtype<=1310", exclude, "auditctl -d always,exclude -F 'msgtype>=SYSCALL' -F 'msgtype<=UNKNOWN[1310]'"},
		"all but one excluded":     {"-a always,exclude -F msgtype!=SYSCALL", exclude, "auditctl -d always,exclude -F msgtype!=SYSCALL"},
		"a user excluded":          {"-a always,exclude -F uid=1000", exclude, "auditctl -d always,exclude -F uid=1000"},
		"others excluded":          {"-a always,exclude -F msgtype=CWD", "", ""},
		"all calls of a user":      {"-a never,exit -S all -F uid=1000", hidden, "auditctl -d never,exit -S all -F uid=1000"},
		"a program":                {"-a never,exit -S all -F exe=/bin/a", hidden, "auditctl -d never,exit -S all -F exe=/bin/a"},
		"kill":                     {"-a never,exit -F arch=b64 -S kill", hidden, "auditctl -d never,exit -F arch=b64 -S kill"},
		"a signal":                 {"-a never,exit -F arch=b64 -S kill -F a1=15", hidden, "auditctl -d never,exit -F arch=b64 -S kill -F a1=15"},
		"most signals":             {"-a never,exit -F arch=b64 -S kill -F a1>9", hidden, "auditctl -d never,exit -F arch=b64 -S kill -F 'a1>9'"},
		"a signal nobody asks for": {"-a never,exit -F arch=b64 -S kill -F a1=0", "", ""},
		"the other argument":       {"-a never,exit -F arch=b64 -S tgkill -F a2=0", "", ""},
		"other calls":              {"-a never,exit -F arch=b64 -S openat,mkdirat -F uid=1000", "", ""},
		"files":                    {"-a never,exit -S all -F dir=/var", "", ""},
		"somebody's shield": {
			fmt.Sprintf("-a never,exit -S all -F pid=%d -k audit_kill_too", theirs), hidden,
			fmt.Sprintf("auditctl -d never,exit -S all -F pid=%d -F key=audit_kill_too", theirs),
		},
		"the shield of another collector": {shieldFor(testKey, theirs).String(), "", ""},
		"our own shield":                  {shieldFor(testKey, self).String(), "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := newManager(t, newKernel(t, test.rule))
			problems := m.Install()
			if test.says == "" {
				assert.Empty(t, whats(problems))
				return
			}
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0].What, test.says)
			assert.Equal(t, []string{test.removal}, problems[0].Lines)
		})
	}
}

// After the Manager's rules a suppressing rule has no effect.
func TestRuleBehindOursHidesNothing(t *testing.T) {
	t.Parallel()
	hides := "-a never,exit -S all -F uid=1000"
	m, _ := newManager(t, newKernel(t, append(ours(0), hides)...))
	assert.Empty(t, whats(m.Install()))
	m, _ = newManager(t, newKernel(t, append(ours(0)[:3], hides, ours(0)[3])...))
	assert.Len(t, m.Install(), 1, "one of ours is behind it")
}
