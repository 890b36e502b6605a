// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// shortMemory is what the daemons are shown as /proc/meminfo, and nobody else.
const shortMemory = `MemTotal:        1000000 kB
MemFree:            1000 kB
MemAvailable:       1000 kB
Buffers:               0 kB
Cached:                0 kB
Active(anon):          0 kB
Inactive(anon):        0 kB
Active(file):          0 kB
Inactive(file):        0 kB
Unevictable:           0 kB
SwapTotal:             0 kB
SwapFree:              0 kB
Mapped:                0 kB
Shmem:                 0 kB
Slab:                  0 kB
SReclaimable:          0 kB
SUnreclaim:            0 kB
KernelStack:           0 kB
PageTables:            0 kB
`

// crowded is a service whose processes a daemon chooses before any other, one after the other: more than it ends before
// it is stopped.
const crowded = "[Service]\nType=oneshot\nRemainAfterExit=yes\nOOMScoreAdjust=1000\n" +
	"ExecStart=/bin/sh -c 'for i in $(seq 200); do /usr/local/sbin/mysqld infinity & done'\n"

// TestPressure has the daemons of Debian kill because memory is short. They see only the processes of their host.
func TestPressure(t *testing.T) {
	w := watchOn(t, []string{"earlyoom", "nohang"}, "")
	w.Root("systemctl", "stop", "earlyoom", "nohang", "nohang-desktop")
	w.Write("/etc/meminfo", shortMemory, 0o644)
	w.Service("crowd", crowded)
	for _, name := range []string{"earlyoom", "nohang"} {
		w.Write("/etc/systemd/system/"+name+".service.d/short.conf", "[Service]\nBindReadOnlyPaths=/etc/meminfo:/proc/meminfo\n", 0o644)
	}
	w.Root("systemctl", "daemon-reload")
	for _, name := range []string{"earlyoom", "nohang"} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.Root("systemctl", "restart", "crowd")
			before := len(w.sink.Records())
			w.Root("systemctl", "start", name)
			r := w.within(before, "/crowd.service", "SIGKILL", "mysqld")
			w.Root("systemctl", "stop", name)
			otlp.AssertAttributes(t, r, map[string]any{
				"process.command": name, "kill.cause": "memory_pressure", "kill.evidence": "inferred",
				"kill.requester.name": nil, "user.id": nil, "client.address": nil,
			})
			assert.Contains(t, r.Body, ": probably memory pressure")
		})
	}
	t.Run("a user's program of that name", func(t *testing.T) {
		w.t = t
		w.Root("cp", "/bin/bash", "/home/bob/earlyoom")
		w.Root("loginctl", "enable-linger", "bob")
		before := len(w.sink.Records())
		w.SSH("bob", "10.0.0.5", "/usr/local/sbin/mysqld 600 & sleep 0.5; exec -a /usr/bin/earlyoom /home/bob/earlyoom -c 'kill $0; true' $!")
		otlp.AssertAttributes(t, w.within(before, "/session-", "SIGTERM", "mysqld"), map[string]any{
			"kill.cause": nil, "user.id": "1001", "client.address": "10.0.0.5",
		})
		before = len(w.sink.Records())
		// A process is not called mysqld until it runs that.
		w.Write("/home/bob/end.sh", "/usr/local/sbin/mysqld 600 & sleep 0.5; kill $!; sleep 1", 0o644)
		w.Write("/home/bob/.config/systemd/user/earlyoom.service", "[Service]\nExecStart=/home/bob/earlyoom /home/bob/end.sh\n", 0o644)
		w.SSH("bob", "10.0.0.5", "export XDG_RUNTIME_DIR=/run/user/1001; systemctl --user start earlyoom; sleep 2")
		otlp.AssertAttributes(t, w.within(before, "/earlyoom.service", "SIGTERM", "mysqld"), map[string]any{
			"process.command": "earlyoom", "kill.cause": nil, "kill.evidence": nil,
		})
	})
}
