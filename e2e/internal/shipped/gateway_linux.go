// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Overlays for tests that count duplicates: with these timeouts nothing is sent again only because
// this machine is busy.
const (
	PatientAgent   = `exporters: {otlp_grpc: {timeout: 60s}}`
	PatientGateway = `exporters: {otlp_http/logs: {timeout: 60s}}`
	PatientElastic = `exporters: {elasticsearch: {timeout: 60s}}`
)

// Gateway is a gateway with a configuration in configs/.
type Gateway struct {
	*collector.Collector

	// Agent is the environment of an agent that sends to it.
	Agent map[string]string
}

// StartGateway runs a gateway with a file in configs/ and new certificates.
func StartGateway(t *testing.T, path string, environment map[string]string, options ...func(*exec.Cmd)) *Gateway {
	t.Helper()
	port := harness.FreePort(t)
	agent := certificates.New(t).Environment()
	agent["GATEWAY_ENDPOINT"] = fmt.Sprintf("localhost:%d", port)
	all := maps.Clone(agent)
	all["LISTEN_ENDPOINT"] = fmt.Sprintf("127.0.0.1:%d", port)
	maps.Copy(all, environment)
	return &Gateway{Start(t, path, all, options...), agent}
}

// NoTraces returns the address of a backend that accepts traces and discards them.
func NoTraces(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	return server.URL
}
