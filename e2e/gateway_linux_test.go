// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Who killed mysqld? Signals of this kernel go through the shipped configurations to
// real backends, which are asked in their own languages.

// asker asks a backend for the events of a kind with a target of a name. An error means
// that it has not answered yet.
type asker func(event, target string) ([]map[string]string, error)

// routes are the ways of signals to backends.
var routes = map[string]func(t *testing.T) asker{
	"agent to VictoriaLogs":             agentToVictoriaLogs,
	"agent and gateway to VictoriaLogs": gatewayToVictoriaLogs,
	"agent to the bulk API":             agentToBulk,
	"agent and gateway to the bulk API": gatewayToBulk,
	"agent to Loki":                     agentToLoki,
	"agent and gateway to Loki":         gatewayToLoki,
}

func TestWhoKilledMysqld(t *testing.T) {
	needRoot(t)
	for name, start := range routes {
		t.Run(name, func(t *testing.T) {
			ask := start(t)
			crimes := commit(t)
			for _, event := range []string{"kill.signal", "kill.outcome"} {
				want := crimes.truth(event)
				var got map[string]map[string]string
				eventually(t, func() bool {
					rows, err := ask(event, "mysqld")
					got = crimes.told(rows)
					return err == nil && len(got) >= len(want)
				}, "%d times %s", len(want), event)
				crimes.compare(t, want, got)
			}
		})
	}
}

// gateway is one of configs/ with agents that send to it.
type gateway struct {
	*collector

	// agent is the environment of an agent that sends to it.
	agent map[string]string
}

// startGateway runs a file of configs/ with certificates that were made for it.
func startGateway(t *testing.T, path string, environment map[string]string, options ...func(*exec.Cmd)) *gateway {
	t.Helper()
	port := freePort(t)
	agent := newCertificates(t).environment()
	agent["GATEWAY_ENDPOINT"] = fmt.Sprintf("localhost:%d", port)
	all := maps.Clone(agent)
	all["LISTEN_ENDPOINT"] = fmt.Sprintf("127.0.0.1:%d", port)
	maps.Copy(all, environment)
	return &gateway{startConfigured(t, path, all, options...), agent}
}

// noTraces is the address of a backend that takes traces and forgets them.
func noTraces(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	return server.URL
}

func agentToVictoriaLogs(t *testing.T) asker {
	t.Helper()
	v := startVictoriaLogs(t)
	startConfigured(t, "configs/agent-victorialogs.yaml", map[string]string{"VICTORIALOGS_ENDPOINT": "http://" + v.address})
	return v.asker()
}

func gatewayToVictoriaLogs(t *testing.T) asker {
	t.Helper()
	v := startVictoriaLogs(t)
	gatewayTo(t, "http://"+v.address+"/insert/opentelemetry")
	return v.asker()
}

func agentToBulk(t *testing.T) asker {
	t.Helper()
	v := startVictoriaLogs(t)
	startConfigured(t, "configs/agent-elastic.yaml", v.bulkEnvironment(), overlay(t, bulkOverlay))
	return v.bulkAsker()
}

func gatewayToBulk(t *testing.T) asker {
	t.Helper()
	v := startVictoriaLogs(t)
	g := startGateway(t, "configs/gateway-elastic.yaml", v.bulkEnvironment(), overlay(t, bulkOverlay))
	startConfigured(t, "configs/agent.yaml", g.agent)
	return v.bulkAsker()
}

func agentToLoki(t *testing.T) asker {
	t.Helper()
	l := startLoki(t)
	startConfigured(t, "configs/agent-loki.yaml", map[string]string{"LOKI_ENDPOINT": "http://" + l.address})
	return l.asker()
}

func gatewayToLoki(t *testing.T) asker {
	t.Helper()
	l := startLoki(t)
	gatewayTo(t, "http://"+l.address+"/otlp")
	return l.asker()
}

// gatewayTo runs an agent, and a gateway to a backend of logs.
func gatewayTo(t *testing.T, logs string) {
	t.Helper()
	g := startGateway(t, "configs/gateway.yaml", map[string]string{"LOGS_ENDPOINT": logs, "TRACES_ENDPOINT": noTraces(t)})
	startConfigured(t, "configs/agent.yaml", g.agent)
}

// A log record in one backend leads to the trace in another.
func TestLogRecordLeadsToTrace(t *testing.T) {
	needRoot(t)
	v, j := startVictoriaLogs(t), startJaeger(t)
	g := startGateway(t, "configs/gateway.yaml", map[string]string{
		"LOGS_ENDPOINT": "http://" + v.address + "/insert/opentelemetry", "TRACES_ENDPOINT": j.otlp,
	})
	startConfigured(t, "configs/agent.yaml", g.agent)
	crimes := commit(t)
	for _, crime := range crimes {
		if crime.errno != 0 {
			continue
		}
		pid := strconv.Itoa(crime.target.pid)
		spans := j.await(1, "auditkill", "terminate "+crime.name, jaegerTags{"kill.target.pid": pid})
		for _, event := range []string{"kill.signal", "kill.outcome"} {
			var row map[string]string
			eventually(t, func() bool {
				rows, err := v.asker()(event, crime.name)
				row = crimes.told(rows)[crime.String()]
				return err == nil && row != nil
			}, "%s of %s", event, crime)
			assert.Equal(t, spans[0].TraceID, row["trace_id"], "%s of %s", event, crime)
			assert.Equal(t, spans[0].SpanID, row["span_id"], "%s of %s", event, crime)
		}
	}
}
