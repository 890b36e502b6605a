// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// hindering describes hindrances.
func hindering(found []hindrance) []string {
	var texts []string
	for _, h := range found {
		text := fmt.Sprintf("%s %s", h.Action, h.Rule)
		if h.list != "" {
			text += " (" + h.list + ")"
		}
		if h.blinds {
			text += " blinds"
		}
		texts = append(texts, text)
	}
	return texts
}

func TestHinderingRules(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	require.NoError(t, err)
	before := func(lines ...string) []string { return append(lines, ours(self)...) }
	tests := map[string]struct{ loaded, want []string }{
		"none":   {loaded: ours(self)},
		"before": {before("-a never,exit -S kill"), []string{"rule_shadowed -a never,exit -S kill (exit)"}},
		"behind": {loaded: append(ours(self), "-a never,exit -S kill")},
		"in between": {
			slices.Insert(ours(self), 1, "-a never,exit -F arch=b64 -S tgkill"),
			[]string{"rule_shadowed -a never,exit -F arch=b64 -S tgkill (exit)"},
		},
		"of one signal":      {before("-a never,exit -F arch=b64 -S kill -F a1=9"), []string{"rule_shadowed -a never,exit -F arch=b64 -S kill -F a1=9 (exit)"}},
		"of another signal":  {loaded: before("-a never,exit -F arch=b64 -S kill -F a1=10")},
		"of another call":    {loaded: before("-a never,exit -F arch=b64 -S adjtimex")},
		"of one user":        {before("-a never,exit -F uid=33"), []string{"rule_shadowed -a never,exit -S all -F uid=33 (exit)"}},
		"of one process":     {before("-a never,exit -F pid=77"), []string{"rule_shadowed -a never,exit -S all -F pid=77 (exit)"}},
		"of us":              {loaded: before(fmt.Sprintf("-a never,exit -F pid=%d", self))},
		"of our program":     {loaded: before("-a never,exit -F exe=" + executable)},
		"of others' program": {before("-a never,exit -F exe!=" + executable), []string{"rule_shadowed -a never,exit -S all -F exe!=" + executable + " (exit)"}},
		"our shield":         {loaded: before(shieldFor(testKey, self).String())},
		"a companion's":      {loaded: before(shieldFor("other", companion).String())},
		"by a namesake":      {before(shieldFor(testKey, theirs).String()), []string{fmt.Sprintf("rule_shadowed -a never,exit -S all -F pid=%d -F key=%s (exit)", theirs, testKey)}},
		"without our rules":  {loaded: []string{"-a never,exit -S kill"}},
		"the rules of others": {
			[]string{"-a never,exit -F auid=1000", "-a always,exit -F arch=b64 -S kill -F a1=9 -k other"},
			[]string{"rule_shadowed -a never,exit -S all -F auid=1000 (exit)"},
		},
		"task":             {before("-a never,task"), []string{"rule_shadowed -a task,never (task)"}},
		"always task":      {loaded: before("-a always,task")},
		"excluded":         {before("-a always,exclude -F msgtype=OBJ_PID"), []string{"record_type_excluded -a always,exclude -F msgtype=OBJ_PID (exclude)"}},
		"excluded titles":  {before("-a always,exclude -F msgtype=PROCTITLE"), []string{"record_type_excluded -a always,exclude -F msgtype=PROCTITLE (exclude)"}},
		"excluded changes": {before("-a always,exclude -F msgtype=CONFIG_CHANGE"), []string{"record_type_excluded -a always,exclude -F msgtype=CONFIG_CHANGE (exclude) blinds"}},
		"excluded user":    {before("-a always,exclude -F auid=1000"), []string{"record_type_excluded -a always,exclude -F auid=1000 (exclude) blinds"}},
		"excluded others":  {loaded: before("-a always,exclude -F msgtype=CWD")},
		"excluded us":      {loaded: before("-a always,exclude -F exe=" + executable)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKernel(t, test.loaded...)
			k.status.PID = 7
			m, _ := newManager(t, k)
			found, daemon, err := m.hindrances()
			require.NoError(t, err)
			assert.Equal(t, test.want, hindering(found))
			assert.Equal(t, 7, daemon)
			assert.Equal(t, []string{"status", "list"}, k.asked, "nothing is changed")
		})
	}
}

func TestHinderingSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status libaudit.AuditStatus
		want   []string
	}{
		"as by default":  {libaudit.AuditStatus{Enabled: 1, BacklogLimit: 64}, nil},
		"locked":         {libaudit.AuditStatus{Enabled: 2, BacklogLimit: 8192}, nil},
		"no limits":      {libaudit.AuditStatus{Enabled: 1}, nil},
		"off":            {libaudit.AuditStatus{}, []string{"audit_disabled  blinds"}},
		"rate limit":     {libaudit.AuditStatus{Enabled: 1, RateLimit: 5}, []string{"rate_limited -r 5 blinds"}},
		"small backlog":  {libaudit.AuditStatus{Enabled: 1, BacklogLimit: 63}, []string{"backlog_limited -b 63 blinds"}},
		"all of these":   {libaudit.AuditStatus{RateLimit: 1, BacklogLimit: 1}, []string{"audit_disabled  blinds", "rate_limited -r 1 blinds", "backlog_limited -b 1 blinds"}},
		"the top of all": {libaudit.AuditStatus{Enabled: 1, RateLimit: 1<<32 - 1}, []string{"rate_limited -r 4294967295 blinds"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, hindering(hinderingSettings(&test.status)))
		})
	}
}

func TestHindrancesRefused(t *testing.T) {
	t.Parallel()
	k := newKernel(t)
	k.refuse["status"] = unix.EPERM
	m, _ := newManager(t, k)
	_, _, err := m.hindrances()
	require.ErrorIs(t, err, unix.EPERM)
}
