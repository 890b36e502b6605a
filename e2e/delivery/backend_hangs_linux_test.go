// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/faulty"
	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// mute starts a server that accepts connections, and never answers.
func mute(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			defer connection.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close() // a test may have closed it
		<-ended
	})
	return listener
}

// If a backend or gateway hangs, a collector with the shipped timeouts still stops soon, and what
// it had accepted is delivered after the next start.
func TestStopsWhileBackendHangs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ path, endpoint string }{
		"agent-loki":         {"configs/agent-loki.yaml", "LOKI_ENDPOINT"},
		"agent-victorialogs": {"configs/agent-victorialogs.yaml", "VICTORIALOGS_ENDPOINT"},
		"agent-elastic":      {"configs/agent-elastic.yaml", "ELASTICSEARCH_ENDPOINT"},
		"agent-elastic-otlp": {"configs/agent-elastic-otlp.yaml", "ELASTICSEARCH_OTLP_ENDPOINT"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := faulty.New(t)
			backend.Behaves(backend.Hangs)
			c := shipped.StartReading(t, test.path, map[string]string{test.endpoint: backend.Server.URL})
			promised := fill(t, c, func() bool { return backend.Requests() > 0 })
			c.StopTakes(t)
			backend.Behaves(nil)
			c.Restart()
			backend.Arrive(t, promised)
		})
	}
	for _, path := range []string{"configs/gateway.yaml", "configs/gateway-elastic.yaml"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			backend := faulty.New(t)
			backend.Behaves(backend.Hangs)
			gateway := shipped.StartGateway(t, path, map[string]string{
				"LOGS_ENDPOINT": backend.Server.URL, "TRACES_ENDPOINT": shipped.NoTraces(t), "ELASTICSEARCH_ENDPOINT": backend.Server.URL,
			})
			agent := shipped.StartReading(t, "configs/agent.yaml", gateway.Agent)
			promised := fill(t, agent, func() bool { return backend.Requests() > 0 })
			gateway.StopTakes(t)
			backend.Behaves(nil)
			gateway.Restart()
			backend.Arrive(t, promised)
		})
	}
	t.Run("agent", func(t *testing.T) {
		t.Parallel()
		gateway := mute(t)
		environment := certificates.New(t).Environment()
		environment["GATEWAY_ENDPOINT"] = gateway.Addr().String()
		agent := shipped.StartReading(t, "configs/agent.yaml", environment)
		fill(t, agent, func() bool { return agent.Output.Contains("Will retry") })
		agent.SaysSince(t, 0, gateway.Addr().String())
		agent.StopTakes(t)
	})
}

// fill makes several batches pile up behind the first one, which is not accepted.
func fill(t *testing.T, c *shipped.Reader, first func() bool) []int {
	t.Helper()
	serials := c.Add(t, 3000)
	harness.Eventually(t, first, "the first batch is being sent")
	serials = append(serials, c.Add(t, 1000)...)
	c.AwaitIdle()
	return serials
}
