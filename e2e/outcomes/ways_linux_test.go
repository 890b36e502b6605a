// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcomes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// unseen are the ways in which nobody can be seen to send a signal, and how their outcome is told.
var unseen = map[string]string{
	"a tracer injects SIGTERM": "was killed by SIGTERM; nobody was seen to send it",
	"a tracer injects SIGKILL": "was killed by SIGKILL; nobody was seen to send it",
	"a tracer injects SIGUSR1": "was killed by SIGUSR1; nobody was seen to send it, but signals may have been missed",
	"it exits by itself":       "exited with code 1; nobody was seen to signal it",
}

// byKernel are the ways that make the kernel send the signal.
var byKernel = []string{"a tracer ends", "a processor limit", "a file's owner gets SIGKILL"}

// However a process ends, its end is told, with the process that sent the signal, the kernel or nobody as
// its sender.
func TestEveryWayToEnd(t *testing.T) {
	s := newStage(t, liveSources[0], "targets: [sleep, 'yes', 'false'], outcome: {timeout: 1m}")
	for _, way := range slices.Sorted(maps.Keys(process.Ways)) {
		t.Run(way, func(t *testing.T) {
			pid, ender := process.EndBy(t, way)
			s := *s
			s.t = t
			outcome := s.awaitOutcome(pid)
			body, nobody := unseen[way]
			switch {
			case nobody:
				assert.Contains(t, outcome.Body, fmt.Sprintf("[%d] %s", pid, body))
				assert.Nil(t, outcome.Attributes["process.pid"])
				assert.Nil(t, outcome.Attributes["kill.duration"])
				assert.Equal(t, int64(65534), outcome.Attributes["kill.target.user.id"])
				s.awaitSpan(outcome)
			case slices.Contains(byKernel, way):
				assert.Contains(t, outcome.Body, "the kernel sent SIG")
				assert.Equal(t, "kernel", outcome.Attributes["kill.origin"])
			default:
				assert.Equal(t, int64(ender), outcome.Attributes["process.pid"], "%s", outcome.Body)
				assert.Equal(t, "user", outcome.Attributes["kill.origin"])
				replaced := strings.HasSuffix(outcome.Body, "; nobody was seen to send SIGKILL")
				assert.Equal(t, way == process.TracerReplaces, replaced, "%s", outcome.Body)
			}
			// Such a signal may have been sent before, and blocked.
			assert.Equal(t, way != "a tracer injects SIGUSR1", outcome.Attributes["kill.complete"], "%s", outcome.Body)
		})
	}
	s.c.Stop()
	s.assertOnce()
}

// Of a server that is named as a target the end is told, of its workers that exit it is not: neither of one
// that the server waits for at once, nor of one that becomes a zombie.
func TestWorkersThatExit(t *testing.T) {
	s := newStage(t, liveSources[0], "targets: [server]")
	server := process.StartScript(t, "server", "(exit 61); echo ready; (exit 62) & sleep 0.5; wait; exit 60", true)
	server.AwaitReaped()
	outcome := s.awaitOutcome(server.PID)
	assert.Equal(t, int64(60), outcome.Attributes["process.exit.code"])
	s.c.Stop()
	for _, r := range s.sink.Records() {
		if r.Event == "kill.outcome" && r.Attributes["kill.target.pid"] != int64(s.c.PID()) {
			assert.Equal(t, int64(server.PID), r.Attributes["kill.target.pid"], "%s", r.Body)
		}
	}
}
