// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// supervised are the programs of the host's supervisord.
const supervised = `
[program:mysqld]
command=/usr/local/sbin/mysqld infinity
startsecs=0
[program:redis]
command=/usr/local/sbin/mysqld infinity
startsecs=0
[program:stubborn]
command=/bin/sh -c 'trap "" TERM; exec /usr/local/sbin/mysqld infinity'
startsecs=0
stopwaitsecs=2
`

// watchSupervisor boots a host with a supervisord.
func watchSupervisor(t *testing.T) *watching {
	t.Helper()
	w := watch(t, ", attribution: {sockets: ['/srv/supervisor.sock.*']}")
	w.Write("/etc/supervisor/conf.d/programs.conf", supervised, 0o644)
	w.supervise()
	return w
}

// supervise starts supervisord with all its programs.
func (w *watching) supervise() {
	w.t.Helper()
	w.Root("systemctl", "restart", "supervisor")
	w.supervised("mysqld")
	w.supervised("redis")
	w.supervised("stubborn")
}

// supervised waits until a program runs, and returns its pid.
func (w *watching) supervised(program string) int {
	w.t.Helper()
	pid := 0
	harness.Eventually(w.t, func() bool {
		inner, _ := w.Try("supervisorctl", "pid", program)
		if number := harness.Number(strings.TrimSpace(inner)); number > 0 {
			pid = w.Outer(number)
		}
		name, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
		return string(name) == "mysqld\n" // and not the shell that it begins with
	}, "%s runs", program)
	return pid
}

// bySupervisorctl is what a record says of alice, who has run supervisorctl by sudo.
func bySupervisorctl(cause, arguments string) map[string]any {
	return byAlice(map[string]any{
		"kill.cause": cause, "kill.evidence": "inferred", "process.command": "supervisord", "kill.requester.name": "supervisorctl",
		"kill.requester.title": "/usr/bin/python3 /usr/bin/supervisorctl " + arguments, "kill.requester.user.id": int64(0),
		"kill.initiator.title": "sudo supervisorctl " + arguments, "kill.requester.candidates": nil,
	})
}

// TestSupervisor lets people end the programs of supervisord, and supervisord itself.
func TestSupervisor(t *testing.T) {
	w := watchSupervisor(t)

	t.Run("a stop", func(t *testing.T) {
		pid := w.supervised("mysqld")
		w.SSH("alice", "10.0.0.5", "sudo supervisorctl stop mysqld")
		r := w.signal(pid, "SIGTERM")
		otlp.AssertAttributes(t, r, bySupervisorctl("service_stop", "stop mysqld"))
		assert.Contains(t, r.Body, ": stop of mysqld, probably asked for by supervisorctl[")
		otlp.AssertAttributes(t, w.await("kill.outcome", pid, "SIGTERM"), map[string]any{
			"kill.last_cause": "service_stop", "client.address": "10.0.0.5",
		})
		w.Root("supervisorctl", "start", "mysqld")
	})
	t.Run("a restart", func(t *testing.T) {
		pid := w.supervised("mysqld")
		w.SSH("alice", "10.0.0.5", "sudo supervisorctl restart mysqld")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), bySupervisorctl("service_restart", "restart mysqld"))
	})
	t.Run("a signal", func(t *testing.T) {
		pid := w.supervised("redis")
		w.SSH("alice", "10.0.0.5", "sudo supervisorctl signal HUP redis")
		r := w.signal(pid, "SIGHUP")
		otlp.AssertAttributes(t, r, bySupervisorctl("service_kill", "signal HUP redis"))
		assert.Contains(t, r.Body, ": kill of redis, ")
	})
	t.Run("a program that does not stop in time", func(t *testing.T) {
		pid := w.supervised("stubborn")
		w.SSH("alice", "10.0.0.5", "sudo supervisorctl restart stubborn")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), bySupervisorctl("service_restart", "restart stubborn"))
		r := w.signal(pid, "SIGKILL")
		otlp.AssertAttributes(t, r, bySupervisorctl("stop_timeout", "restart stubborn"))
		assert.Contains(t, r.Body, ": stubborn did not stop in time, ")
	})
	t.Run("a script of root", func(t *testing.T) {
		pid := w.supervised("mysqld")
		w.Write("/root/deploy.sh", "#!/bin/sh\nsupervisorctl restart mysqld\ntrue\n", 0o755)
		w.Root("systemd-run", "--wait", "--quiet", "/root/deploy.sh")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), map[string]any{
			"kill.cause": "service_restart", "kill.requester.name": "supervisorctl", "kill.initiator.title": "/bin/sh /root/deploy.sh",
			"user.id": nil, "client.address": nil,
		})
	})
	t.Run("all of them", func(t *testing.T) {
		pids := []int{w.supervised("mysqld"), w.supervised("redis"), w.supervised("stubborn")}
		w.SSH("alice", "10.0.0.5", "sudo supervisorctl restart all")
		for _, pid := range pids {
			otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), bySupervisorctl("service_restart", "restart all"))
		}
	})
	t.Run("a shutdown of supervisord", func(t *testing.T) {
		pids := []int{w.supervised("mysqld"), w.supervised("redis"), w.supervised("stubborn")}
		w.Root("sleep", "3") // within that, whoever has just restarted all may have asked for it as well
		w.SSH("alice", "10.0.0.5", "sudo supervisorctl shutdown")
		for _, pid := range pids {
			otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), bySupervisorctl("service_stop", "shutdown"))
		}
		otlp.AssertAttributes(t, w.signal(pids[2], "SIGKILL"), bySupervisorctl("stop_timeout", "shutdown"))
		w.awaitEnd()
		w.supervise()
	})
	t.Run("a signal to supervisord beside somebody who looks on", func(t *testing.T) {
		pids := []int{w.supervised("mysqld"), w.supervised("stubborn")}
		looks := w.Start("alice", "10.0.0.5", "while :; do sudo supervisorctl status; done >/dev/null")
		w.Root("sleep", "1")
		w.Root("pkill", "-TERM", "-x", "supervisord")
		for pid, signal := range map[int]string{pids[0]: "SIGTERM", pids[1]: "SIGKILL"} {
			otlp.AssertAttributes(t, w.signal(pid, signal), map[string]any{
				"process.command": "supervisord", "kill.requester.title": "pkill -TERM -x supervisord", "kill.evidence": "inferred",
				"user.id": nil, "client.address": nil, "kill.requester.candidates": nil,
			})
		}
		looks.Kill()
		w.awaitEnd()
		w.supervise()
	})
	t.Run("a signal to supervisord right after a stop by somebody else", func(t *testing.T) {
		stopped, pid := w.supervised("mysqld"), w.supervised("redis")
		w.SSH("alice", "10.0.0.5", "sudo supervisorctl stop mysqld")
		w.Root("pkill", "-TERM", "-x", "supervisord")
		otlp.AssertAttributes(t, w.signal(stopped, "SIGTERM"), bySupervisorctl("service_stop", "stop mysqld"))
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), map[string]any{
			"kill.requester.title": "pkill -TERM -x supervisord", "user.id": nil, "client.address": nil,
		})
		w.awaitEnd()
		w.supervise()
	})
	t.Run("an end by somebody who is not seen, after a stop of a program that has ended", func(t *testing.T) {
		const stop = "<?xml version='1.0'?><methodCall><methodName>supervisor.stopProcess</methodName>" +
			"<params><param><value><string>redis</string></value></param></params></methodCall>"
		w.Write("/opt/late.py", connectedForLong, 0o644)
		pid := w.supervised("redis")
		late := w.Background("python3", "/opt/late.py", "/run/supervisor.sock", "/RPC2", stop)
		w.Root("supervisorctl", "stop", "mysqld")
		w.Root("sleep", "4") // which is forgotten by then
		w.SSH("alice", "10.0.0.5", "sudo supervisorctl stop mysqld; sudo touch /run/now")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), map[string]any{
			"process.command": "supervisord", "kill.requester.name": nil, "kill.requester.candidates": nil, "user.id": nil, "kill.cause": nil,
		})
		late.Wait()
		w.supervise()
	})
	t.Run("the service of supervisord", func(t *testing.T) {
		pid := w.supervised("mysqld")
		w.SSH("alice", "10.0.0.5", "sudo systemctl stop supervisor")
		// It is the service's ExecStop= that asks supervisord, and systemd that has started it.
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), byAlice(map[string]any{
			"kill.cause": "service_stop", "process.command": "supervisord", "kill.requester.title": "systemctl stop supervisor",
		}))
	})
}

// awaitEnd waits until supervisord has ended.
func (w *watching) awaitEnd() {
	w.t.Helper()
	harness.Eventually(w.t, func() bool { _, err := w.Try("pgrep", "-x", "supervisord"); return err != nil }, "supervisord has ended")
}

// TestSupervisorSideBySide has two people stop programs of one supervisord at the same moment, which nobody may be able to
// tell apart. Its socket is one that was configured.
func TestSupervisorSideBySide(t *testing.T) {
	w := watchSupervisor(t)
	w.Root("sed", "-i", "s#/var/run/supervisor.sock#/srv/supervisor.sock#", "/etc/supervisor/supervisord.conf")
	w.Root("supervisorctl", "-s", "unix:///var/run/supervisor.sock", "shutdown")
	w.awaitEnd()
	w.supervise()
	w.Write("/etc/sudoers.d/bob", "bob ALL=(ALL) NOPASSWD: ALL\n", 0o440)
	for range 3 {
		by := map[int]string{w.supervised("mysqld"): "1000", w.supervised("redis"): "1001"}
		alice := w.Start("alice", "10.0.0.5", "sudo supervisorctl restart mysqld")
		bob := w.Start("bob", "10.0.0.5", "sudo supervisorctl restart redis")
		for pid, user := range by {
			r := w.signal(pid, "SIGTERM")
			if r.Text("kill.requester.name") != "" {
				assert.Equal(t, user, r.Text("user.id"), "%s", r.Body)
			} else {
				assert.Nil(t, r.Attributes["user.id"])
			}
		}
		alice.Wait()
		bob.Wait()
	}
	pid := w.supervised("mysqld")
	w.Root("sleep", "4")
	w.SSH("alice", "10.0.0.5", "sudo supervisorctl restart mysqld")
	otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), bySupervisorctl("service_restart", "restart mysqld"))
}
