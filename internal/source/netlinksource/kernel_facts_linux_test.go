// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/audittest"
)

// TestKernelTellsFacts lets the kernel record the start of a script for which there is a rule, and what a program says
// that may write records, as sudo and systemd do.
func TestKernelTellsFacts(t *testing.T) { //nolint:paralleltest // it uses the kernel's audit system
	client := realKernel(t)
	script := filepath.Join(t.TempDir(), "service")
	audittest.WriteProgram(t, script, []byte("#!/bin/sh\n"))
	for _, arch := range []string{"b64", "b32"} {
		addRule(t, client, fmt.Sprintf("-a always,exit -F arch=%s -S execve,execveat -F path=%s -F perm=x -k %s", arch, script, testKey))
	}
	s := newSource(t, ModeMulticast)
	s.settings.Facts, s.settings.Correlation.Key = true, testKey
	r := runSource(t, s)

	require.NoError(t, exec.CommandContext(t.Context(), "sh", "-c", script+" mysql stop; true").Run()) //nolint:gosec // our own file
	write(t, 1123, fmt.Sprintf(`cwd="/" cmd=%x exe="/usr/bin/sudo" terminal=? res=success`, "systemctl stop it's"))
	write(t, 1131, `unit=mysql comm="systemd" exe="/usr/lib/systemd/systemd" hostname=? addr=? terminal=? res=failed`)

	var facts []*attribution.Fact
	require.Eventually(t, func() bool {
		facts = r.about(script)
		return len(facts) >= 3
	}, limit, time.Millisecond)
	started := facts[0].Command
	require.NotNil(t, started)
	assert.True(t, started.Self)
	assert.Equal(t, "service", started.Command)
	assert.Equal(t, "/bin/sh\x00"+script+"\x00mysql\x00stop", started.Title)
	assert.Equal(t, uint32(0), started.User.ID.Value)
	assert.True(t, started.User.ID.Known)
	assert.WithinDuration(t, time.Now(), started.Time, limit)

	said := facts[1].Command
	require.NotNil(t, said)
	assert.Equal(t, os.Getpid(), said.PID)
	assert.False(t, said.Self)
	assert.Equal(t, "systemctl stop it's", strings.ReplaceAll(said.Title, "\x00", " "))

	job := facts[2].Job
	require.NotNil(t, job)
	assert.Equal(t, attribution.Job{Time: job.Time, Manager: os.Getpid(), Unit: "mysql.service", Type: "stop", Done: true, Result: "failed"}, *job)
	assert.Empty(t, r.from(started.PID), "a start is no signal")
}

// about returns the facts about this process and a script; others may do something at the same time.
func (r *running) about(script string) []*attribution.Fact {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.DeleteFunc(slices.Clone(r.facts), func(f *attribution.Fact) bool {
		switch {
		case f.Command != nil:
			return f.Command.PID != os.Getpid() && !strings.Contains(f.Command.Title, script)
		case f.Job != nil:
			return f.Job.Manager != os.Getpid()
		}
		return true
	})
}

// write sends a record of our own to the kernel.
func write(t *testing.T, kind uint16, text string) {
	t.Helper()
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	require.NoError(t, err)
	defer unix.Close(socket)
	var message bytes.Buffer
	header := unix.NlMsghdr{Len: uint32(unix.NLMSG_HDRLEN + len(text) + 1), Type: kind, Flags: unix.NLM_F_REQUEST}
	require.NoError(t, binary.Write(&message, binary.NativeEndian, header))
	message.WriteString(text + "\x00")
	require.NoError(t, unix.Sendto(socket, message.Bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
}
