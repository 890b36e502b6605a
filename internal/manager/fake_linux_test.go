// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

const (
	wait     = 20 * time.Second
	interval = 5 * time.Millisecond
	// container is the pid of the init of a container on the fake host, alice of a user's systemd.
	container, alice = 77, 88
	// The unique names on the fake bus.
	systemdOwner, logindOwner, oomdOwner = ":1.1", ":1.2", ":1.3"
)

// fakeHost is a tree of files that looks like a host with systemds, and a Watcher that listens to them.
type fakeHost struct {
	t    *testing.T
	root string
	// Watcher is nil before start.
	*Watcher

	mu       sync.Mutex
	facts    []attribution.Fact
	problems []*problem.Problem
	stop     func()
}

// newFakeHost returns a host whose init is systemd.
func newFakeHost(t *testing.T) *fakeHost {
	t.Helper()
	root, err := os.MkdirTemp("", "host") //nolint:usetesting // the path of a socket must be short (unix(7))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(root)) })
	h := &fakeHost{t: t, root: root}
	h.process(hostPID, "1", "/usr/lib/systemd/systemd", "../..")
	return h
}

// process makes a process that sees a folder as its root.
func (h *fakeHost) process(pid int, namespaces, executable, root string) {
	h.t.Helper()
	dir := filepath.Join("proc", strconv.Itoa(pid))
	h.write(dir+"/stat", fmt.Sprintf("%d (systemd) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0\n", pid))
	h.write(dir+"/status", fmt.Sprintf("Name:\tsystemd\nUid:\t0\t%d\t0\t0\nNSpid:\t%s\n", os.Getuid(), namespaces))
	h.write(dir+"/uid_map", fmt.Sprintf("         0 %d 1\n      1000 %d 1\n", os.Getuid()+1, os.Getuid()))
	require.NoError(h.t, os.Symlink(executable, filepath.Join(h.root, dir, "exe")))
	require.NoError(h.t, os.Symlink(root, filepath.Join(h.root, dir, "root")))
}

// container makes a container whose init is systemd, and returns the path of its root below the host's.
func (h *fakeHost) container(pid int) string {
	h.t.Helper()
	root := fmt.Sprintf("containers/%d", pid)
	h.process(pid, fmt.Sprintf("%d\t1", pid), "/lib/systemd/systemd", "../../"+root)
	return root
}

func (h *fakeHost) write(name, content string) {
	h.t.Helper()
	path := filepath.Join(h.root, name)
	require.NoError(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(h.t, os.WriteFile(path, []byte(content), 0o600))
}

// start runs the Watcher.
func (h *fakeHost) start() {
	h.t.Helper()
	h.Watcher = New(Config{
		Root: h.root,
		Tell: func(f attribution.Fact) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.facts = append(h.facts, f)
		},
		Warn: func(p *problem.Problem) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.problems = append(h.problems, p)
		},
	})
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan struct{})
	h.stop = func() { cancel(); <-ended }
	h.t.Cleanup(h.stop)
	go func() {
		defer close(ended)
		h.Run(ctx)
	}()
}

// told returns the facts that a selection keeps.
func told[T any](h *fakeHost, selected func(attribution.Fact) *T) []T {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []T
	for _, f := range h.facts {
		if one := selected(f); one != nil {
			all = append(all, *one)
		}
	}
	return all
}

func jobFacts(f attribution.Fact) *attribution.Job     { return f.Job }
func unitFacts(f attribution.Fact) *attribution.Unit   { return f.Unit }
func loginFacts(f attribution.Fact) *attribution.Login { return f.Login }

// await waits for a fact.
func await[T any](h *fakeHost, selected func(attribution.Fact) *T, is func(T) bool) T {
	h.t.Helper()
	var found T
	eventually(h.t, func() bool {
		for _, one := range told(h, selected) {
			if is(one) {
				found = one
				return true
			}
		}
		return false
	})
	return found
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, wait, interval)
}
