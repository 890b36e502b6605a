// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"crypto/tls"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// If a gateway has two backends for logs and one of them refuses, the gateway queues its data,
// and the other backend is not affected.
func TestGatewayServesSeveralBackends(t *testing.T) {
	t.Parallel()
	const events = 3000
	log, kill := auditlog.New(t), auditlog.SingleKill(t)
	for range events {
		log.Add(kill)
	}
	one, other := otlp.NewSink(t, "http"), otlp.NewSink(t, "http")
	other.Answers(otlp.Always(otlp.Answer{Err: status.Error(codes.Unavailable, "away")}))
	g := shipped.StartGateway(t, "configs/gateway.yaml", map[string]string{"LOGS_ENDPOINT": one.URL, "TRACES_ENDPOINT": one.URL},
		shipped.Overlay(t, `
exporters:
  otlp_http/other:
    endpoint: %q
    timeout: 60s
    sending_queue: {storage: file_storage}
    retry_on_failure: {initial_interval: 100ms, max_interval: 1s, max_elapsed_time: 0s}
service: {pipelines: {logs: {exporters: [otlp_http/logs, otlp_http/other]}}}
`, other.URL), shipped.Overlay(t, shipped.PatientGateway))
	shipped.Start(t, "configs/agent.yaml", g.Agent, shipped.FromLog(t, log, "reading"), shipped.Overlay(t, shipped.PatientAgent))
	harness.Eventually(t, func() bool { return one.Count() >= events && other.Requests() > 1 }, "one backend has all records, the other refuses")
	other.Answers(otlp.Always(otlp.Answer{}))
	harness.Eventually(t, func() bool { return other.Count() >= events }, "the other backend has all records as well")
	for _, sink := range []*otlp.Sink{one, other} {
		assert.Equal(t, events, otlp.CountDistinct(sink.Records()))
		assert.Equal(t, events, sink.Count(), "no record arrives twice")
	}
}

// A gateway loads renewed certificates while it runs.
func TestTakesRenewedCertificates(t *testing.T) {
	t.Parallel()
	before, after, backend := certificates.New(t), certificates.New(t), otlp.NewSink(t, "http")
	address := harness.FreeAddress(t)
	environment := before.With(map[string]string{
		"LISTEN_ENDPOINT": address, "LOGS_ENDPOINT": backend.URL, "TRACES_ENDPOINT": backend.URL,
	})
	shipped.Start(t, "configs/gateway.yaml", environment,
		shipped.Overlay(t, "receivers: {otlp: {protocols: {grpc: {tls: {reload_interval: 100ms}}}}}"))
	// served returns the serial number of the certificate that the gateway shows.
	served := func(as certificates.Files) (string, error) {
		pair, err := tls.LoadX509KeyPair(as.Cert, as.Key)
		if err != nil {
			return "", err
		}
		connection, err := (&tls.Dialer{Config: &tls.Config{
			Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, //nolint:gosec // any certificate will do
		}}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return "", err
		}
		defer connection.Close()
		return connection.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
	}
	old, err := served(before)
	require.NoError(t, err)
	for from, to := range map[string]string{after.CA: before.CA, after.Cert: before.Cert, after.Key: before.Key} {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, text, 0o600))
	}
	harness.Eventually(t, func() bool {
		now, err := served(after)
		return err == nil && now != old
	}, "the gateway shows the new certificate")

	// The gateway also trusts the new authority.
	log := auditlog.New(t)
	log.Add(auditlog.SingleKill(t))
	shipped.Start(t, "configs/agent.yaml", after.With(map[string]string{"GATEWAY_ENDPOINT": address}), shipped.FromLog(t, log, "reading"))
	harness.Eventually(t, func() bool { return backend.Count() > 0 }, "a record arrives")
}
