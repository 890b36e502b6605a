// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// The control group is that at the moment of the signal.
func TestMovedToAnotherGroup(t *testing.T) {
	name := fmt.Sprintf("ebpfsource-test-%d-", os.Getpid())
	before := newCgroup(t, name+"before")
	w := start(t, nil)
	after := newCgroup(t, name+"after")
	target := sleeper(t)
	for i, group := range []cgroupFolder{before, after, before} {
		group.write(t, "cgroup.procs", target)
		signal := []kill.Signal{kill.SIGSTOP, kill.SIGXCPU, kill.SIGTERM}[i]
		_, errno := w.fencing.send(order{call: "kill", pid: target, signal: int(signal)})
		require.Zero(t, errno)
		e := w.find(t, to(target, signal))
		assert.Equal(t, group.path, e.Targets[0].Instance.Cgroup)
		assert.Equal(t, "sleep\x001000", e.Targets[0].Instance.CommandLine)
		assert.Equal(t, place(t), e.Sender.Instance.Cgroup)
	}
}

// A container is identified by the name of its control group, even if both are new.
func TestContainer(t *testing.T) {
	w := start(t, nil)
	id := fmt.Sprintf("%064x", os.Getpid())
	for name, want := range map[string]kill.Instance{
		"docker-" + id + ".scope":                              {Container: id, Unit: "docker-" + id + ".scope"},
		fmt.Sprintf("ebpfsource-test-%d.service", os.Getpid()): {Unit: fmt.Sprintf("ebpfsource-test-%d.service", os.Getpid())},
	} {
		t.Run(name, func(t *testing.T) {
			group := newCgroup(t, name)
			target := group.start(t, exec.Command("sleep", "1000"))
			_, errno := w.fencing.send(order{call: "kill", pid: target, signal: int(kill.SIGKILL)})
			require.Zero(t, errno)
			got := w.find(t, to(target, kill.SIGKILL)).Targets[0].Instance
			assert.Equal(t, group.path, got.Cgroup)
			assert.Equal(t, want.Container, got.Container)
			assert.Equal(t, want.Unit, got.Unit)
			assert.Empty(t, got.Pod)
		})
	}
	t.Run("the sender", func(t *testing.T) {
		group := newCgroup(t, "docker-"+strings.Repeat("ab", 32)+".scope")
		target := sleeper(t)
		group.start(t, command(program64(t, kill64(target, kill.SIGTERM))))
		assert.Equal(t, strings.Repeat("ab", 32), w.find(t, to(target, kill.SIGTERM)).Sender.Instance.Container)
	})
}
