// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// authority signs certificates for both sides.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	der         []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t), certificate: &x509.Certificate{
		Subject: pkix.Name{CommonName: "auditkill e2e authority"}, IsCA: true, BasicConstraintsValid: true,
		SerialNumber: big.NewInt(1), KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour),
	}}
	var err error
	a.der, err = x509.CreateCertificate(rand.Reader, a.certificate, a.certificate, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	return a
}

// issue returns a certificate for a name that is valid for so long from now on.
func (a *authority) issue(name string, valid time.Duration) *certificates {
	a.t.Helper()
	key, directory := newKey(a.t), a.t.TempDir()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, SerialNumber: big.NewInt(2),
		KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(valid),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, &key.PublicKey, a.key)
	require.NoError(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	return &certificates{
		ca:   writePEM(a.t, directory, "ca.pem", "CERTIFICATE", a.der),
		cert: writePEM(a.t, directory, "cert.pem", "CERTIFICATE", der),
		key:  writePEM(a.t, directory, "key.pem", "PRIVATE KEY", private),
	}
}

// trusting makes certificates trust another authority than that which has issued it.
func trusting(c *certificates, other *authority) *certificates {
	c.ca = other.issue("any", time.Hour).ca
	return c
}

// The agent says what is wrong with a certificate, and sends again until it is mended.
func TestWrongCertificate(t *testing.T) {
	t.Parallel()
	const host = "localhost"
	ours, foreign := newAuthority(t), newAuthority(t)
	tests := map[string]struct {
		// gateway and agent are nil if they are right.
		gateway, agent               *certificates
		gatewayOverlay, agentOverlay string
		says                         string
	}{
		"gateway of a foreign authority": {
			gateway: foreign.issue(host, time.Hour), says: "x509: certificate signed by unknown authority",
		},
		"gateway's has expired": {
			gateway: ours.issue(host, -time.Hour), says: "x509: certificate has expired or is not yet valid",
		},
		"gateway's is for another host": {
			gateway: ours.issue("elsewhere.example.com", time.Hour),
			says:    "x509: certificate is valid for elsewhere.example.com, not localhost",
		},
		"agent of a foreign authority": {
			agent: trusting(foreign.issue(host, time.Hour), ours), says: "remote error: tls: unknown certificate authority",
		},
		"agent's has expired": {agent: ours.issue(host, -time.Hour), says: "remote error: tls: expired certificate"},
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
			backend, port := newBadBackend(t), freePort(t)
			environment := map[string]string{
				"LISTEN_ENDPOINT": fmt.Sprintf("127.0.0.1:%d", port), "LOGS_ENDPOINT": backend.server.URL, "TRACES_ENDPOINT": noTraces(t),
			}
			gateway := withMistake(test.gateway, ours.issue(host, time.Hour), test.gatewayOverlay)
			maps.Copy(environment, gateway.made.environment())
			receiving := startConfigured(t, "configs/gateway.yaml", environment, gateway.overlay(t))
			agent := withMistake(test.agent, ours.issue(host, time.Hour), test.agentOverlay)
			environment = agent.made.environment()
			environment["GATEWAY_ENDPOINT"] = fmt.Sprintf("%s:%d", host, port)
			sending := startReading(t, "configs/agent.yaml", environment, overlay(t, quickAgent), agent.overlay(t))
			promised := sending.add(t, 5)
			sending.saysSince(t, 0, "Exporting failed. Will retry the request after interval.", test.says)
			assert.Zero(t, backend.count(promised...))
			assert.Positive(t, sending.exporterMetric("exporter_queue_size"), "it waits in the queue")
			assert.Zero(t, sending.exporterMetric("exporter_send_failed_log_records"), "nothing is given up")

			sending.stop()
			receiving.stop()
			gateway.mend(t)
			agent.mend(t)
			receiving.restart()
			sending.restart()
			backend.arrive(t, promised)
		})
	}
}

// mistake is what is wrong with one side, and how it is mended.
type mistake struct {
	made, right   *certificates
	configuration string
	path          string // of the file with the configuration
}

func withMistake(made, right *certificates, configuration string) *mistake {
	m := &mistake{made: made, right: right, configuration: configuration}
	if made == nil {
		m.made = right
	}
	return m
}

// overlay adds the wrong configuration, if it is that.
func (m *mistake) overlay(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	m.path = filepath.Join(t.TempDir(), "mistake.yaml")
	require.NoError(t, os.WriteFile(m.path, []byte(m.configuration+"\n"), 0o600))
	return arguments("--config", m.path)
}

// mend makes the files what they ought to have been.
func (m *mistake) mend(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile(m.path, []byte("\n"), 0o600))
	for to, from := range map[string]string{m.made.ca: m.right.ca, m.made.cert: m.right.cert, m.made.key: m.right.key} {
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, data, 0o600))
	}
}
