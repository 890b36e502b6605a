// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// mute is a server that accepts connections and says nothing.
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

// Whatever hangs, a collector ends soon after it was told to, with the timeouts as
// they are shipped, and what it had taken is delivered after the next start.
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
			backend := newBadBackend(t)
			backend.behaves(backend.hangs)
			c := startReading(t, test.path, map[string]string{test.endpoint: backend.server.URL})
			promised := fill(t, c, func() bool { return backend.asked() > 0 })
			c.stopTakes(t)
			backend.behaves(nil)
			c.restart()
			backend.arrive(t, promised)
		})
	}
	for _, path := range []string{"configs/gateway.yaml", "configs/gateway-elastic.yaml"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			backend := newBadBackend(t)
			backend.behaves(backend.hangs)
			gateway := startGateway(t, path, map[string]string{
				"LOGS_ENDPOINT": backend.server.URL, "TRACES_ENDPOINT": noTraces(t), "ELASTICSEARCH_ENDPOINT": backend.server.URL,
			})
			agent := startReading(t, "configs/agent.yaml", gateway.agent)
			promised := fill(t, agent, func() bool { return backend.asked() > 0 })
			gateway.stopTakes(t)
			backend.behaves(nil)
			gateway.restart()
			backend.arrive(t, promised)
		})
	}
	t.Run("agent", func(t *testing.T) {
		t.Parallel()
		gateway := mute(t)
		environment := newCertificates(t).environment()
		environment["GATEWAY_ENDPOINT"] = gateway.Addr().String()
		agent := startReading(t, "configs/agent.yaml", environment)
		fill(t, agent, func() bool { return agent.output.contains("Will retry") })
		agent.saysSince(t, 0, gateway.Addr().String())
		agent.stopTakes(t)
	})
}

// fill lets some batches gather while nobody takes the first.
func fill(t *testing.T, c *configured, first func() bool) []int {
	t.Helper()
	serials := c.add(t, 3000)
	eventually(t, first, "a first batch is on its way")
	serials = append(serials, c.add(t, 1000)...)
	read := -1
	eventually(t, func() bool {
		before := read
		read = c.metric("audit_kill_records_read")
		return read > 0 && read == before
	}, "reading waits, or is done")
	return serials
}
