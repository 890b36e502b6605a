// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/jaeger"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/loki"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/victorialogs"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// Who killed mysqld? Signals on this kernel go through the shipped configurations to real backends,
// which are queried in their own languages.

// routes are the configurations that connect the kernel with a backend.
var routes = map[string]func(t *testing.T) backend.Asker{
	"agent to VictoriaLogs":             agentToVictoriaLogs,
	"agent and gateway to VictoriaLogs": gatewayToVictoriaLogs,
	"agent to the bulk API":             agentToBulk,
	"agent and gateway to the bulk API": gatewayToBulk,
	"agent to Loki":                     agentToLoki,
	"agent and gateway to Loki":         gatewayToLoki,
	"nothing before VictoriaLogs":       nothingBetweenVictoriaLogs,
	"nothing before Loki":               nothingBetweenLoki,
}

func TestWhoKilledMysqld(t *testing.T) {
	harness.NeedRoot(t)
	for name, start := range routes {
		t.Run(name, func(t *testing.T) {
			ask := start(t)
			crimes := commit(t)
			for _, event := range []string{"kill.signal", "kill.outcome"} {
				want := crimes.truth(event)
				var got map[string]map[string]string
				harness.Eventually(t, func() bool {
					rows, err := ask(event, "mysqld")
					got = crimes.match(rows)
					return err == nil && len(got) >= len(want)
				}, "%d rows of %s", len(want), event)
				crimes.compare(t, want, got)
			}
		})
	}
}

func agentToVictoriaLogs(t *testing.T) backend.Asker {
	t.Helper()
	v := victorialogs.Start(t)
	shipped.Start(t, "configs/agent-victorialogs.yaml", map[string]string{"VICTORIALOGS_ENDPOINT": "http://" + v.Address})
	return v.Asker()
}

func gatewayToVictoriaLogs(t *testing.T) backend.Asker {
	t.Helper()
	v := victorialogs.Start(t)
	gatewayTo(t, "http://"+v.Address+"/insert/opentelemetry")
	return v.Asker()
}

func agentToBulk(t *testing.T) backend.Asker {
	t.Helper()
	v := victorialogs.Start(t)
	shipped.Start(t, "configs/agent-elastic.yaml", v.BulkEnvironment(), shipped.Overlay(t, victorialogs.BulkOverlay))
	return v.BulkAsker()
}

func gatewayToBulk(t *testing.T) backend.Asker {
	t.Helper()
	v := victorialogs.Start(t)
	g := shipped.StartGateway(t, "configs/gateway-elastic.yaml", v.BulkEnvironment(), shipped.Overlay(t, victorialogs.BulkOverlay))
	shipped.Start(t, "configs/agent.yaml", g.Agent)
	return v.BulkAsker()
}

func agentToLoki(t *testing.T) backend.Asker {
	t.Helper()
	l := loki.Start(t)
	shipped.Start(t, "configs/agent-loki.yaml", map[string]string{"LOKI_ENDPOINT": "http://" + l.Address})
	return l.Asker()
}

func gatewayToLoki(t *testing.T) backend.Asker {
	t.Helper()
	l := loki.Start(t)
	gatewayTo(t, "http://"+l.Address+"/otlp")
	return l.Asker()
}

func nothingBetweenVictoriaLogs(t *testing.T) backend.Asker {
	t.Helper()
	v := victorialogs.Start(t)
	nothingBetween(t, "http://"+v.Address+"/insert/opentelemetry")
	return v.Asker()
}

func nothingBetweenLoki(t *testing.T) backend.Asker {
	t.Helper()
	l := loki.Start(t)
	nothingBetween(t, "http://"+l.Address+"/otlp")
	return l.Asker()
}

// nothingBetween runs a collector with the receiver and an exporter, as docs/byo.md has it: what queries ask for is in the
// records, and no processor is needed.
func nothingBetween(t *testing.T, endpoint string) {
	t.Helper()
	collector.Start(t, collector.Config{Receiver: "{ebpf: {}}", Exporter: fmt.Sprintf("{otlp_http: {endpoint: %q}}", endpoint)}).Ready()
}

// gatewayTo runs an agent, and a gateway that sends to a backend for logs.
func gatewayTo(t *testing.T, logs string) {
	t.Helper()
	g := shipped.StartGateway(t, "configs/gateway.yaml", map[string]string{"LOGS_ENDPOINT": logs, "TRACES_ENDPOINT": shipped.NoTraces(t)})
	shipped.Start(t, "configs/agent.yaml", g.Agent)
}

// A log record in one backend leads to the trace in another.
func TestLogRecordLeadsToTrace(t *testing.T) {
	harness.NeedRoot(t)
	v, j := victorialogs.Start(t), jaeger.Start(t)
	g := shipped.StartGateway(t, "configs/gateway.yaml", map[string]string{
		"LOGS_ENDPOINT": "http://" + v.Address + "/insert/opentelemetry", "TRACES_ENDPOINT": j.OTLP,
	})
	shipped.Start(t, "configs/agent.yaml", g.Agent)
	crimes := commit(t)
	for _, crime := range crimes {
		if crime.errno != 0 {
			continue
		}
		pid := strconv.Itoa(crime.target.PID)
		spans := j.Await(1, "auditkill", "terminate "+crime.name, jaeger.Tags{"kill.target.pid": pid})
		for _, event := range []string{"kill.signal", "kill.outcome"} {
			var row map[string]string
			harness.Eventually(t, func() bool {
				rows, err := v.Asker()(event, crime.name)
				row = crimes.match(rows)[crime.String()]
				return err == nil && row != nil
			}, "%s of %s", event, crime)
			assert.Equal(t, spans[0].TraceID, row["trace_id"], "%s of %s", event, crime)
			assert.Equal(t, spans[0].SpanID, row["span_id"], "%s of %s", event, crime)
		}
	}
}
