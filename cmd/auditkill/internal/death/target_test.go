// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ problem, unit string }{
		"mysqld": {"", "mysqld.service"}, "mysql.service": {"", "mysql.service"}, "3936": {}, "mysqld[3936]": {},
		"postgres*": {}, "/usr/sbin/mysqld": {}, "session-1.scope": {"", "session-1.scope"},
		"0": {problem: "is no pid"}, "-1": {problem: "is no pid"}, "[": {problem: "is not a valid glob"}, "[3936]": {problem: "empty name"},
		"{a,b}": {problem: "has braces, which match only themselves: ask for one name at a time"},
	} {
		target, err := ParseTarget(text)
		if want.problem != "" {
			require.ErrorContains(t, err, want.problem, text)
			continue
		}
		require.NoError(t, err, text)
		assert.Equal(t, want.unit, target.Unit(), text)
	}
}

// An audit log does not have the unit of a target, but the host's systemd may be seen to act upon one.
func TestUnitOfTheManager(t *testing.T) {
	t.Parallel()
	target, err := ParseTarget("mysql.service")
	require.NoError(t, err)
	unplaced := kill.Process{PID: 3936, Command: "mysqld"}
	for name, tt := range map[string]struct {
		sender, target kill.Process
		unit           string
		want           bool
	}{
		"of the unit":           {systemd, unplaced, "mysql.service", true},
		"of another unit":       {systemd, unplaced, "nginx.service", false},
		"of no unit":            {systemd, unplaced, "", false},
		"of a known other unit": {systemd, kill.Process{PID: 7, Command: "sh", Instance: &kill.Instance{Unit: "cron.service"}}, "mysql.service", false},
		"by a user's systemd":   {kill.Process{PID: 900, Command: "systemd"}, unplaced, "mysql.service", false},
	} {
		told := signaled(0, tt.sender, kill.SIGKILL, tt.target)
		told.Behind = &kill.Behind{Managed: true, Unit: tt.unit}
		f := NewFinder(target, time.Time{})
		f.Add(told)
		assert.Equal(t, tt.want, f.Death() != nil, name)
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string][]string{
		"mysql": {"mysql.service", "mysqld"}, "mysqlt": {"mysqld"}, "ngnix": {"nginx"}, "NGINX": {"nginx"}, "java": nil, "x": nil, "mysql[7]": {"mysql.service", "mysqld"},
	} {
		target, err := ParseTarget(asked)
		require.NoError(t, err)
		f := NewFinder(target, time.Time{})
		f.Add(signaled(0, shell, kill.SIGKILL, mysqld))
		assert.Equal(t, want, f.Suggest([]string{"nginx", "sshd", "nginx"}), asked)
	}
}
