// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/victorialogs"
	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// alertsForIncident is the alert that somebody receives: one, of the only incident on several hosts that is not usual.
var alertsForIncident = map[string]string{
	"many-hosts-incident": "One incident on 40 hosts: service_restart of mariadb.service, probably asked for by alice with systemctl",
}

// joinFleet sends the records of the fleet through a gateway that joins incidents to a backend for logs.
func joinFleet(t *testing.T, endpoint string) {
	t.Helper()
	files := certificates.New(t)
	environment := files.With(map[string]string{
		"LOGS_ENDPOINT": endpoint, "LISTEN_ENDPOINT": harness.FreeAddress(t), "TRACES_ENDPOINT": shipped.NoTraces(t), "METRICS_ENDPOINT": shipped.NoTraces(t),
	})
	shipped.Start(t, "configs/gateway-incidents.yaml", environment,
		shipped.Overlay(t, shipped.PatientGateway+"\nconnectors: {kill_incident: {interval: 1s, delay: 3s}}"))
	sessions := slices.Concat(
		onThree(4*time.Second, func(host int) map[string]any { // whoever ends quinn's sessions
			return managed(fmt.Sprintf("session-%d.scope", 300+host), "session_kill", "observed", to("tmux", 2063), map[string]any{"user.id": logins["quinn"], "user.name": "quinn"})
		}),
		onThree(4*time.Second, func(int) map[string]any { return byKernel("pid_namespace_end", "ben", 2072) }),
	)
	sendFleet(t, certificates.Connect(t, environment["LISTEN_ENDPOINT"], files), slices.Concat(incident(), sessions), fleetNow())
}

func TestAlertsOfIncidents(t *testing.T) {
	t.Run("vmalert", func(t *testing.T) {
		t.Parallel()
		v := victorialogs.Start(t)
		joinFleet(t, "http://"+v.Address+"/insert/opentelemetry")
		awaitAlerts(t, startVmalert(t, v, "incidents-rules.yaml"), "/api/v1/alerts", alertsForIncident)
	})
	t.Run("ruler", func(t *testing.T) {
		t.Parallel()
		l := startRuler(t, "incidents-rules.yaml")
		joinFleet(t, "http://"+l.Address+"/otlp")
		awaitAlerts(t, l.Server, "/prometheus/api/v1/alerts", alertsForIncident)
	})
}
