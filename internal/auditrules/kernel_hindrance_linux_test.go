// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What an administrator does with auditctl is found in the kernel's lists as he has written it.
func TestKernelHindrances(t *testing.T) {
	needAuditctl(t)
	for name, test := range map[string]struct {
		do, undo string
		want     []string
	}{
		"before ours": {
			"-A never,exit -F arch=b64 -S kill -F uid=12345", "-d never,exit -F arch=b64 -S kill -F uid=12345",
			[]string{"rule_shadowed -a never,exit -F arch=b64 -S kill -F uid=12345 (exit)"},
		},
		"behind ours":    {"-a never,exit -F arch=b64 -S kill -F uid=12345", "-d never,exit -F arch=b64 -S kill -F uid=12345", nil},
		"task":           {"-a task,never -F uid=12345", "-d task,never -F uid=12345", []string{"rule_shadowed -a task,never -F uid=12345 (task)"}},
		"excluded":       {"-a always,exclude -F msgtype=PROCTITLE", "-d always,exclude -F msgtype=PROCTITLE", []string{"record_type_excluded -a always,exclude -F msgtype=PROCTITLE (exclude)"}},
		"rate limit":     {"-r 5", "-r 0", []string{"rate_limited -r 5 blinds"}},
		"small backlog":  {"-b 10", "-b 64", []string{"backlog_limited -b 10 blinds"}},
		"off":            {"-e 0", "-e 1", []string{"audit_disabled  blinds"}},
		"the failure to": {"-f 0", "-f 1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			k := realKernel(t, true)
			before, err := k.GetStatus()
			require.NoError(t, err)
			shell(t, "auditctl -b 64")
			m := kernelManager(t, 9, 15)
			assert.Empty(t, m.Install())
			find := func() []string {
				found, daemon, err := m.hindrances()
				require.NoError(t, err)
				assert.Zero(t, daemon)
				return hindering(found)
			}
			assert.Empty(t, find())
			shell(t, "auditctl "+test.do)
			assert.Equal(t, test.want, find())
			shell(t, "auditctl "+test.undo)
			assert.Empty(t, find())
			require.NoError(t, m.Remove())
			shell(t, "auditctl -b "+limitRule("", before.BacklogLimit))
			shell(t, "auditctl -f "+limitRule("", before.Failure))
		})
	}
}
