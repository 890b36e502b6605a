// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/host"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// ownManager is a manager of one's own. It ends the process whose pid it is told, and by itself what it has started.
const ownManager = `import os, signal, socket, subprocess, threading, time
def work():
    while True:
        child = subprocess.Popen(["/usr/local/sbin/mysqld", "60"])
        time.sleep(0.3)
        os.kill(child.pid, signal.SIGINT)
        child.wait()
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/ops.sock")
listener.listen()
threading.Thread(target=work, daemon=True).start()
while True:
    client, _ = listener.accept()
    text = client.recv(100).decode()
    if text.isdigit():
        os.kill(int(text), signal.SIGTERM)
    client.close()
`

// ownClient is its client: it asks for the end of a process, or for nothing.
const ownClient = `import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/run/ops.sock")
s.send(sys.argv[1].encode())
s.recv(1)
`

// TestOwnManager has people ask a manager of one's own.
func TestOwnManager(t *testing.T) {
	w := watch(t, ", attribution: {sockets: [/run/ops.sock]}")
	w.Write("/opt/manager.py", ownManager, 0o644)
	w.Write("/opt/client.py", ownClient, 0o644)
	w.Service("manager", "[Service]\nExecStart=/usr/bin/python3 /opt/manager.py\n")
	w.Root("systemctl", "start", "manager")
	harness.Eventually(t, func() bool { _, err := w.Try("test", "-S", "/run/ops.sock"); return err == nil }, "it listens")
	pid := w.start("mysql", host.Mysqld)
	inner := w.Root("systemctl", "show", "--property=MainPID", "--value", "mysql")
	w.SSH("alice", "10.0.0.5", "sudo python3 /opt/client.py "+inner)
	otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), byAlice(map[string]any{
		"kill.requester.title": "python3 /opt/client.py " + inner, "kill.evidence": "inferred", "kill.cause": nil,
	}))
	looks := w.Background("sh", "-c", "while :; do python3 /opt/client.py status; sleep 0.05; done")
	w.Root("sleep", "1") // until it is known as one that does so all the time
	before := len(w.sink.Records())
	manager := int64(w.MainPID("manager"))
	harness.Eventually(t, func() bool {
		seen := 0
		for _, r := range w.sink.Records()[before:] {
			if r.Number("process.pid") == manager && r.Event == "kill.signal" {
				seen++
			}
		}
		return seen >= 5
	}, "it ends what it has started")
	looks.Kill()
	for _, r := range w.sink.Records()[before:] {
		if r.Number("process.pid") == manager {
			otlp.AssertAttributes(t, r, map[string]any{
				"kill.requester.name": nil, "kill.evidence": nil, "kill.requester.candidates": nil, "user.id": nil,
			})
		}
	}
}
