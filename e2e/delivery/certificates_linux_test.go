// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/faulty"
	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// trusting makes a side trust another authority than the one that issued its own certificate.
func trusting(c *certificates.Files, other *certificates.Authority) *certificates.Files {
	c.CA = other.Issue("any", time.Hour).CA
	return c
}

// The agent logs what is wrong with a certificate, and retries until it is fixed.
func TestWrongCertificate(t *testing.T) {
	t.Parallel()
	const host = "localhost"
	ours, foreign := certificates.NewAuthority(t), certificates.NewAuthority(t)
	tests := map[string]struct {
		// gateway and agent are nil if the certificate of that side is right.
		gateway, agent               *certificates.Files
		gatewayOverlay, agentOverlay string
		says                         string
	}{
		"gateway of a foreign authority": {
			gateway: foreign.Issue(host, time.Hour), says: "x509: certificate signed by unknown authority",
		},
		"gateway's has expired": {
			gateway: ours.Issue(host, -time.Hour), says: "x509: certificate has expired or is not yet valid",
		},
		"gateway's is for another host": {
			gateway: ours.Issue("elsewhere.example.com", time.Hour),
			says:    "x509: certificate is valid for elsewhere.example.com, not localhost",
		},
		"agent of a foreign authority": {
			agent: trusting(foreign.Issue(host, time.Hour), ours), says: "remote error: tls: unknown certificate authority",
		},
		"agent's has expired": {agent: ours.Issue(host, -time.Hour), says: "remote error: tls: expired certificate"},
		"agent has none": {
			agentOverlay: `exporters: {otlp_grpc: {tls: {cert_file: "", key_file: ""}}}`, says: "remote error: tls: certificate required",
		},
		"gateway speaks plainly": {
			gatewayOverlay: `receivers: {otlp: {protocols: {grpc: {tls: null}}}}`,
			says:           "tls: first record does not look like a TLS handshake",
		},
		"agent speaks plainly": {agentOverlay: noTLS, says: "error reading server preface"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend, port := faulty.New(t), harness.FreePort(t)
			environment := map[string]string{
				"LISTEN_ENDPOINT": fmt.Sprintf("127.0.0.1:%d", port), "LOGS_ENDPOINT": backend.Server.URL, "TRACES_ENDPOINT": shipped.NoTraces(t),
			}
			gateway := withMistake(test.gateway, ours.Issue(host, time.Hour), test.gatewayOverlay)
			maps.Copy(environment, gateway.made.Environment())
			receiving := shipped.Start(t, "configs/gateway.yaml", environment, gateway.overlay(t))
			agent := withMistake(test.agent, ours.Issue(host, time.Hour), test.agentOverlay)
			environment = agent.made.Environment()
			environment["GATEWAY_ENDPOINT"] = fmt.Sprintf("%s:%d", host, port)
			sending := shipped.StartReading(t, "configs/agent.yaml", environment, shipped.Overlay(t, quickAgent), agent.overlay(t))
			promised := sending.Add(t, 5)
			sending.SaysSince(t, 0, "Exporting failed. Will retry the request after interval.", test.says)
			assert.Zero(t, backend.Count(promised...))
			assert.Positive(t, sending.ExporterMetric("exporter_queue_size"), "the records wait in the queue")
			assert.Zero(t, sending.ExporterMetric("exporter_send_failed_log_records"), "the agent drops nothing")

			sending.Stop()
			receiving.Stop()
			gateway.fix(t)
			agent.fix(t)
			receiving.Restart()
			sending.Restart()
			backend.Arrive(t, promised)
		})
	}
}

// mistake is what is wrong with one side, and how to fix it.
type mistake struct {
	made, right   *certificates.Files
	configuration string
	path          string // of the file with the configuration
}

func withMistake(made, right *certificates.Files, configuration string) *mistake {
	m := &mistake{made: made, right: right, configuration: configuration}
	if made == nil {
		m.made = right
	}
	return m
}

// overlay returns an option that adds the wrong configuration, which may be empty.
func (m *mistake) overlay(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	m.path = filepath.Join(t.TempDir(), "mistake.yaml")
	require.NoError(t, os.WriteFile(m.path, []byte(m.configuration+"\n"), 0o600))
	return collector.Arguments("--config", m.path)
}

// fix replaces the wrong files with right ones.
func (m *mistake) fix(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile(m.path, []byte("\n"), 0o600))
	for to, from := range map[string]string{m.made.CA: m.right.CA, m.made.Cert: m.right.Cert, m.made.Key: m.right.Key} {
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, data, 0o600))
	}
}
