// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package backend runs real backends. The packages below it are for one backend each.
package backend

import (
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Server is a backend in a process of its own.
type Server struct {
	T *testing.T
	// Address is where it listens, and Data the folder of its data.
	Address, Data string
	// Path is the path of the program.
	Path      string
	Arguments []string
	// Health is a URL path that answers once the server is ready.
	Health string

	process *harness.Process
	output  *harness.Output
}

// Serve runs the server until the test ends.
func (s *Server) Serve() {
	s.T.Helper()
	s.output = new(harness.Output)
	s.T.Cleanup(func() {
		s.Kill()
		if s.T.Failed() {
			s.T.Logf("output of %s:\n%s", filepath.Base(s.Path), s.output.Tail())
		}
	})
	s.Restart()
}

// Restart starts the server, for the first time or again, at the same address and with the
// same data.
func (s *Server) Restart() {
	s.T.Helper()
	command := exec.Command(s.Path, s.Arguments...)         //nolint:gosec // a backend that was built for the test
	harness.Attributes(command).Pdeathsig = syscall.SIGKILL // if the test is interrupted
	s.process = harness.StartProcess(s.T, command, s.output)
	name := filepath.Base(s.Path)
	harness.Eventually(s.T, func() bool {
		_, err := s.Get(s.Health, nil)
		return err == nil || s.process.Gone()
	}, "%s is ready", name)
	require.False(s.T, s.process.Gone(), "%s has ended", name)
}

// Stop ends the server as systemd would.
func (s *Server) Stop() {
	s.T.Helper()
	require.True(s.T, s.process.Terminate(), "the server ends when asked to")
	assert.Equal(s.T, 0, s.process.Command.ProcessState.ExitCode(), "exit status")
}

// Kill kills the server, if it ever ran.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.Kill()
	}
}

// Get returns the body of a successful response.
func (s *Server) Get(path string, question url.Values) ([]byte, error) {
	request, err := http.NewRequestWithContext(s.T.Context(), http.MethodGet,
		"http://"+s.Address+path+"?"+question.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	return harness.Do(request)
}

// BuildTool returns the path of a program that is a tool of a module in e2e/programs. It builds
// the program if it is not in Go's cache, which may take minutes.
func BuildTool(t *testing.T, module, name string) string {
	t.Helper()
	build := exec.CommandContext(t.Context(), "go", "tool", "-n", name)
	build.Dir, build.Stderr = harness.Module(module), new(harness.Output)
	path, err := build.Output()
	require.NoError(t, err, "%s cannot be built: %s", name, build.Stderr)
	return strings.TrimSpace(string(path))
}
