// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// TestProgramOfAStopScript has a script that systemd has started for a job run the program that sends the signal, as
// start-stop-daemon and apachectl are.
func TestProgramOfAStopScript(t *testing.T) {
	t.Parallel()
	const script, helper, main, worker = 7000, 7001, 5932, 5933
	for name, tt := range map[string]struct {
		// began is when systemd's child was started; born when the target was.
		child       int
		began, born time.Duration
		job         string
		want        int
		cause       kill.Cause
	}{
		"a script of the job":           {script, 2 * ms, -time.Hour, "stop", 10, kill.CauseServiceStop},
		"a script of a reload":          {script, 2 * ms, -time.Hour, "reload", 10, kill.CauseServiceReload},
		"a process of the service":      {main, -time.Hour, -time.Hour, "stop", 0, kill.CauseNone},
		"to what was started meanwhile": {script, 2 * ms, 3 * ms, "restart", 0, kill.CauseNone},
		"a script of the start":         {script, 2 * ms, -time.Hour, "start", 0, kill.CauseNone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alice := byRoot(10, "systemctl "+tt.job+" mariadb")
			child := ofUnit(tt.child, "stop.sh", "mariadb.service")
			child.Instance.Start = after(tt.began)
			table := tableOf(true, alice, &child)
			learn(table, []Fact{
				enters(-time.Minute, "mariadb.service", "active", "running", "success"), connects(0, alice), begins(ms, 7, tt.job, "mariadb.service"),
			})
			target := ofUnit(worker, "mariadbd", "mariadb.service")
			target.Instance.Start = after(tt.born)
			e := sends(50*ms, kill.SIGTERM, target)
			e.Sender = ofUnit(helper, "kill", "mariadb.service")
			e.Sender.ParentPID = tt.child
			e.Sender.Ancestry = []kill.Ancestor{parent(tt.child, "/bin/sh /opt/stop.sh"), parent(1, "/sbin/init")}
			explain(table, e)
			assert.Equal(t, tt.want, askedBy(e))
			assert.Equal(t, tt.cause, e.Cause)
		})
	}
}

// TestOrphanInAService has a program of a user, which was started in a service such as cron.service and has lost its parent,
// kill another one of his just when somebody else restarts the service: he is a child of systemd, but not one that it has
// started.
func TestOrphanInAService(t *testing.T) {
	t.Parallel()
	const orphan, target = 7000, 5933
	for name, tt := range map[string]struct {
		login, parent int
		want          int
	}{
		"started by systemd":            {-1, 1, 10},
		"started by a user":             {1001, 1, 0},
		"started by an orphan":          {1001, orphan, 0},
		"a script that systemd started": {-1, orphan, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := byRoot(10, "systemctl restart cron")
			child := ofUnit(orphan, "job.sh", "cron.service")
			child.Instance.Start = after(2 * ms)
			table := tableOf(true, root, &child)
			learn(table, []Fact{
				enters(-time.Minute, "cron.service", "active", "running", "success"), connects(0, root), begins(ms, 7, "restart", "cron.service"),
			})
			victim := ofUnit(target, "job", "cron.service")
			victim.Instance.Start = after(-time.Hour)
			e := sends(50*ms, kill.SIGTERM, victim)
			e.Sender = ofUnit(8000, "kill", "cron.service")
			e.Sender.ParentPID = tt.parent
			e.Sender.Ancestry = []kill.Ancestor{parent(tt.parent, "/bin/sh job.sh"), parent(1, "/sbin/init")}
			if tt.login >= 0 {
				e.Sender.Login = kill.User{ID: kill.NewID(uint32(tt.login))}
			}
			explain(table, e)
			assert.Equal(t, tt.want, askedBy(e))
		})
	}
}
