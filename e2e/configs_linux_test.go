// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What is said about the shipped configurations.

var environmentVariable = regexp.MustCompile(`\$\{env:(\w+)`)

// sample is a value that a variable may have.
func sample(variable string) string {
	switch {
	case strings.HasSuffix(variable, "_ENDPOINT") && !strings.HasPrefix(variable, "GATEWAY") &&
		!strings.HasPrefix(variable, "LISTEN") && !strings.HasPrefix(variable, "HEALTH") && variable != "OTLP_ENDPOINT":
		return "https://backend.example.com:1234/path"
	case strings.HasSuffix(variable, "_ENDPOINT"), strings.HasSuffix(variable, "_BROKERS"):
		return "host.example.com:1234"
	case strings.HasSuffix(variable, "_PORT"), strings.HasSuffix(variable, "_MIB"):
		return "512"
	}
	return "/some/value" // a path, a token
}

// Every variable that a configuration reads may be set, and a page of the documentation
// says what it is for.
func TestVariablesOfConfigs(t *testing.T) {
	t.Parallel()
	documented := make(map[string]bool) // what stands alone in the style of code
	pages, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	for _, page := range append(pages, "../README.md") {
		var text []byte
		text, err = os.ReadFile(page)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(string(text), -1) {
			documented[match[1]] = true
		}
	}
	files, err := filepath.Glob("../configs/*.yaml")
	require.NoError(t, err)
	fleets, err := filepath.Glob("../configs/fleet/*.yaml")
	require.NoError(t, err)
	for _, path := range append(files, fleets...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			environment := os.Environ()
			for _, match := range environmentVariable.FindAllStringSubmatch(string(text), -1) {
				assert.True(t, documented[match[1]], "%s is documented", match[1])
				environment = append(environment, match[1]+"="+sample(match[1]))
			}
			options := []func(*exec.Cmd){
				arguments("validate", "--config", path),
				func(command *exec.Cmd) { command.Env = environment },
			}
			if filepath.Base(filepath.Dir(path)) == "fleet" {
				options = append(options, stock(t))
			}
			said, code := run(t, options...)
			assert.Zero(t, code, said)
		})
	}
}

// What reads from Kafka does with it what a gateway does.
func TestKafkaIsReadAsByAGateway(t *testing.T) {
	t.Parallel()
	var gateway, reader map[string]any
	readYAML(t, "configs/gateway.yaml", &gateway)
	readYAML(t, "configs/fleet/from-kafka.yaml", &reader)
	for _, section := range []string{"extensions", "processors", "exporters"} {
		assert.Equal(t, gateway[section], reader[section], section)
	}
}

// A gateway with two backends of logs holds for one what it does not take, and the
// other does not notice.
func TestGatewayServesSeveralBackends(t *testing.T) {
	t.Parallel()
	const events = 3000
	log, kill := newAuditLog(t), singleKill(t)
	for range events {
		log.add(kill)
	}
	one, other := newSink(t, "http"), newSink(t, "http")
	other.answers(func(int, []record) answer { return answer{err: status.Error(codes.Unavailable, "away")} })
	g := startGateway(t, "configs/gateway.yaml", map[string]string{"LOGS_ENDPOINT": one.url, "TRACES_ENDPOINT": one.url},
		overlay(t, `
exporters:
  otlp_http/other:
    endpoint: %q
    timeout: 60s
    sending_queue: {storage: file_storage}
    retry_on_failure: {initial_interval: 100ms, max_interval: 1s, max_elapsed_time: 0s}
service: {pipelines: {logs: {exporters: [otlp_http/logs, otlp_http/other]}}}
`, other.url), overlay(t, patientGateway))
	startConfigured(t, "configs/agent.yaml", g.agent, fileSource(t, log, "reading"), overlay(t, patientAgent))
	eventually(t, func() bool { return one.count() >= events && other.asked() > 1 }, "one backend has all, the other refuses")
	other.answers(func(int, []record) answer { return answer{} })
	eventually(t, func() bool { return other.count() >= events }, "the other has all as well")
	for _, sink := range []*sink{one, other} {
		taken := make(map[any]bool)
		for _, r := range sink.records() {
			taken[r.Attributes["log.record.uid"]] = true
		}
		assert.Len(t, taken, events)
		assert.Equal(t, events, sink.count(), "none came twice")
	}
}

// Certificates are renewed while all runs.
func TestTakesRenewedCertificates(t *testing.T) {
	t.Parallel()
	before, after, backend := newCertificates(t), newCertificates(t), newSink(t, "http")
	address := freeAddress(t)
	environment := before.with(map[string]string{
		"LISTEN_ENDPOINT": address, "LOGS_ENDPOINT": backend.url, "TRACES_ENDPOINT": backend.url,
	})
	startConfigured(t, "configs/gateway.yaml", environment,
		overlay(t, "receivers: {otlp: {protocols: {grpc: {tls: {reload_interval: 100ms}}}}}"))
	// served returns the serial number of the certificate that the gateway shows.
	served := func(as certificates) (string, error) {
		pair, err := tls.LoadX509KeyPair(as.cert, as.key)
		if err != nil {
			return "", err
		}
		connection, err := (&tls.Dialer{Config: &tls.Config{
			Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, //nolint:gosec // whichever it is
		}}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return "", err
		}
		defer connection.Close()
		return connection.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
	}
	old, err := served(before)
	require.NoError(t, err)
	for from, to := range map[string]string{after.ca: before.ca, after.cert: before.cert, after.key: before.key} {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, text, 0o600))
	}
	eventually(t, func() bool {
		now, err := served(after)
		return err == nil && now != old
	}, "the gateway shows the new certificate")

	// And the new authority counts for those who come.
	log := newAuditLog(t)
	log.add(singleKill(t))
	startConfigured(t, "configs/agent.yaml", after.with(map[string]string{"GATEWAY_ENDPOINT": address}), fileSource(t, log, "reading"))
	eventually(t, func() bool { return backend.count() > 0 }, "a record arrives")
}
