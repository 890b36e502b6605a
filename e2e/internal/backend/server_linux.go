// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

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
	// Address is where it listens, and data the folder with what it keeps.
	Address, Data string

	Path      string
	Arguments []string
	// Health is the path that answers once it is ready.
	Health  string
	command *exec.Cmd
	output  *harness.Output
	// ended is closed once the process is gone.
	ended chan struct{}
}

// Serve runs the server until the test ends.
func (s *Server) Serve() {
	s.T.Helper()
	s.output = new(harness.Output)
	s.T.Cleanup(func() {
		s.Kill()
		if s.T.Failed() {
			s.T.Logf("%s said:\n%s", filepath.Base(s.Path), s.output.Tail())
		}
	})
	s.Restart()
}

// Restart runs the server, for the first time or again, where it was and with what it
// has kept.
func (s *Server) Restart() {
	s.T.Helper()
	s.command = exec.Command(s.Path, s.Arguments...) //nolint:gosec // a backend that was built for the test
	s.command.Stdout, s.command.Stderr = s.output, s.output
	harness.Attributes(s.command).Pdeathsig = syscall.SIGKILL // if the test is interrupted
	s.ended = make(chan struct{})
	require.NoError(s.T, s.command.Start())
	go func(command *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = command.Wait() // the state tells
	}(s.command, s.ended)
	name := filepath.Base(s.Path)
	harness.Eventually(s.T, func() bool {
		_, err := s.Get(s.Health, nil)
		return err == nil || s.gone()
	}, "%s is ready", name)
	require.False(s.T, s.gone(), "%s has ended", name)
}

func (s *Server) gone() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Stop ends the server as systemd would.
func (s *Server) Stop() {
	s.T.Helper()
	require.NoError(s.T, s.command.Process.Signal(syscall.SIGTERM))
	<-s.ended
	assert.Equal(s.T, 0, s.command.ProcessState.ExitCode(), "exit code")
}

// Kill ends it without giving it a chance, if it is there at all.
func (s *Server) Kill() {
	if s.ended == nil {
		return // never began
	}
	_ = s.command.Process.Kill() // it may have ended
	<-s.ended
}

// Get returns a successful answer.
func (s *Server) Get(path string, question url.Values) ([]byte, error) {
	request, err := http.NewRequestWithContext(s.T.Context(), http.MethodGet,
		"http://"+s.Address+path+"?"+question.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	return harness.Do(request)
}

// BuildTool returns the path of a program that a module beside this one names as its
// tool. Where it was never built, that comes first; from then on it is in Go's cache.
func BuildTool(t *testing.T, module, name string) string {
	t.Helper()
	build := exec.CommandContext(t.Context(), "go", "tool", "-n", name)
	build.Dir, build.Stderr = harness.Module(module), new(harness.Output)
	path, err := build.Output()
	require.NoError(t, err, "%s cannot be built: %s", name, build.Stderr)
	return strings.TrimSpace(string(path))
}
