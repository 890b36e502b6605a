// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/faulty"
	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// What can go wrong when an agent is installed, and what it logs when it is stopped. The messages are
// those of docs/troubleshooting.md.

// startUp is the environment of an agent that is about to be started.
type startUp struct {
	environment map[string]string
	options     []func(*exec.Cmd)
}

// newStartUp returns an environment in which an agent starts.
func newStartUp(t *testing.T) *startUp {
	t.Helper()
	s := &startUp{environment: certificates.New(t).Environment()}
	s.environment["GATEWAY_ENDPOINT"] = harness.FreeAddress(t)
	s.environment["STORAGE_DIRECTORY"] = harness.PublicDir(t)
	s.environment["HEALTH_ENDPOINT"] = harness.FreeAddress(t)
	s.environment["METRICS_HOST"], s.environment["METRICS_PORT"] = "127.0.0.1", strconv.Itoa(harness.FreePort(t))
	return s
}

// byNobody has the agent run as the user nobody, which may read the certificates.
func (s *startUp) byNobody(t *testing.T) {
	t.Helper()
	harness.NeedRoot(t)
	for _, name := range []string{"TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE"} {
		require.NoError(t, os.Chmod(s.environment[name], 0o644))
	}
	require.NoError(t, os.Chown(s.environment["STORAGE_DIRECTORY"], harness.NobodyID, harness.NobodyID))
	s.options = append(s.options, collector.AsNobody(t))
}

// occupied returns an address that is in use.
func occupied(t *testing.T) *net.TCPAddr {
	t.Helper()
	address, ok := mute(t).Addr().(*net.TCPAddr)
	require.True(t, ok)
	return address
}

func TestReportsWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(t *testing.T, s *startUp)
		says    []string
	}{
		"a key as openssl writes it": {func(t *testing.T, s *startUp) {
			t.Helper()
			s.byNobody(t)
			require.NoError(t, os.Chmod(s.environment["TLS_KEY_FILE"], 0o600))
		}, []string{"failed to load TLS cert and key: open ", "key.pem: permission denied"}},
		"files of root, which ran the collector by hand": {func(t *testing.T, s *startUp) {
			t.Helper()
			s.byNobody(t)
			shipped.StartReading(t, "configs/agent.yaml", s.environment).Stop()
		}, []string{"/exporter_otlp_grpc__", ": permission denied"}},
		"another collector has the port of metrics": {func(t *testing.T, s *startUp) {
			t.Helper()
			s.environment["METRICS_PORT"] = strconv.Itoa(occupied(t).Port)
		}, []string{"bind: address already in use"}},
		"another collector has the port of health": {func(t *testing.T, s *startUp) {
			t.Helper()
			s.environment["HEALTH_ENDPOINT"] = occupied(t).String()
		}, []string{"bind: address already in use"}},
		"another collector has the storage": {func(t *testing.T, s *startUp) {
			t.Helper()
			shipped.StartReading(t, "configs/agent.yaml", map[string]string{
				"STORAGE_DIRECTORY": s.environment["STORAGE_DIRECTORY"], "TLS_CA_FILE": s.environment["TLS_CA_FILE"],
				"TLS_CERT_FILE": s.environment["TLS_CERT_FILE"], "TLS_KEY_FILE": s.environment["TLS_KEY_FILE"],
			})
		}, []string{`failed to start "otlp_grpc" exporter: timeout`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStartUp(t)
			test.prepare(t, s)
			options := []func(*exec.Cmd){collector.Arguments("--config", harness.Path("configs/agent.yaml")), func(command *exec.Cmd) {
				for name, value := range s.environment {
					command.Env = append(command.Env, name+"="+value)
				}
			}}
			said, code := collector.Run(t, append(options, s.options...)...)
			assert.Equal(t, 1, code)
			for _, text := range test.says {
				assert.Contains(t, said, text)
			}
		})
	}
}

// What a stop drops during an outage is dropped only from memory: it is still in the queue
// on disk, and arrives after the next start.
func TestWhatAStopDropsComesLater(t *testing.T) {
	t.Parallel()
	backend := faulty.New(t)
	gateway := shipped.StartGateway(t, "configs/gateway.yaml", map[string]string{
		"LOGS_ENDPOINT": backend.Server.URL, "TRACES_ENDPOINT": shipped.NoTraces(t),
	})
	agent := shipped.StartReading(t, "configs/agent.yaml", gateway.Agent, shipped.Overlay(t, quickAgent))
	gateway.Stop()
	promised := agent.Add(t, 10)
	agent.SaysSince(t, 0, "Exporting failed. Will retry the request after interval.")
	agent.Stop()
	for _, text := range []string{"Exporting failed. Dropping data.", "interrupted due to shutdown", `"dropped_items": `} {
		assert.Contains(t, agent.Output.String(), text)
	}
	assert.Zero(t, backend.Count(promised...))
	gateway.Restart()
	agent.Restart()
	backend.Arrive(t, promised)
}
