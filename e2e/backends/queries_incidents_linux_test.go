// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/loki"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/victorialogs"
	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// alertsForIncident is the alert that somebody receives: one, of the only incident on several hosts that is not usual.
var alertsForIncident = map[string]string{
	"many-hosts-incident": "One incident on 40 hosts: service_restart of mariadb.service, probably asked for by alice with systemctl",
}

// startJoining starts a gateway that joins incidents and sends to a backend for logs, and returns a connection to it.
func startJoining(t *testing.T, endpoint, delay string) *grpc.ClientConn {
	t.Helper()
	files := certificates.New(t)
	environment := files.With(map[string]string{
		"LOGS_ENDPOINT": endpoint, "LISTEN_ENDPOINT": harness.FreeAddress(t), "TRACES_ENDPOINT": shipped.NoTraces(t), "METRICS_ENDPOINT": shipped.NoTraces(t),
	})
	shipped.Start(t, "configs/gateway-incidents.yaml", environment,
		shipped.Overlay(t, shipped.PatientGateway+"\nconnectors: {kill_incident: {interval: 1s, delay: %s}}", delay))
	return certificates.Connect(t, environment["LISTEN_ENDPOINT"], files)
}

// joinFleet sends the records of the fleet through a gateway that joins incidents to a backend for logs.
func joinFleet(t *testing.T, endpoint string) {
	t.Helper()
	sessions := slices.Concat(
		onThree(4*time.Second, func(host int) map[string]any { // whoever ends quinn's sessions
			return managed(fmt.Sprintf("session-%d.scope", 300+host), "session_kill", "observed", to("tmux", 2063), map[string]any{"user.id": logins["quinn"], "user.name": "quinn"})
		}),
		onThree(4*time.Second, func(int) map[string]any { return byKernel("pid_namespace_end", "ben", 2072) }),
	)
	sendFleet(t, startJoining(t, endpoint, "3s"), slices.Concat(incident(), sessions), fleetNow())
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

// sam restarts the cache on three hosts from each of two addresses, which are two incidents. On one of the hosts the last restart is by the
// process that the one incident has, in the session that the other one has: they were one.
func twoThatAreOne() (two, one []fleetEvent) {
	restart := func(host, login, requester int, address string) fleetEvent {
		return fleetEvent{host, 4 * time.Second, "ebpf", managed("cache.service", "service_restart", "observed", to("cached", 2000+login),
			session(login, "sshd", "sam", address), asked("sam", "systemctl", "systemctl restart cache"), map[string]any{"kill.requester.pid": requester})}
	}
	for n := range 3 {
		two = append(two, restart(10+n, 400+n, 6000, "10.0.0.6"), restart(10+3*n, 500+n, 6100, "10.0.0.7"))
	}
	return two, []fleetEvent{restart(10, 500, 6000, "")}
}

// merge sends two incidents to a backend, and then what makes them one. told asks the backend for the records of incidents.
func merge(t *testing.T, endpoint string, told func() ([]map[string]string, error), merged string) {
	t.Helper()
	gateway := startJoining(t, endpoint, "0s")
	two, one := twoThatAreOne()
	now := time.Now()
	sendFleet(t, gateway, two, now)
	ids := func(of []map[string]string, name string) map[string]bool {
		all := map[string]bool{}
		for _, record := range of {
			all[record[name]] = record[name] != ""
		}
		delete(all, "")
		return all
	}
	id := strings.Replace(merged, "merged_into", "id", 1)
	harness.Eventually(t, func() bool {
		records, err := told()
		return err == nil && len(ids(records, id)) == 2
	}, "there are two incidents")
	sendFleet(t, gateway, slices.Concat(two, one), now) // the first ones come again
	harness.Eventually(t, func() bool {
		records, err := told()
		return err == nil && len(ids(records, merged)) == 1
	}, "one of them has gone on in the other")
}

// TestMergedIncidents shows an incident that has gone on in another one no more, although its first records are still there, and alerts of it
// no more.
func TestMergedIncidents(t *testing.T) {
	t.Run("VictoriaLogs", func(t *testing.T) {
		t.Parallel()
		v := victorialogs.Start(t)
		told := func() ([]map[string]string, error) { return v.TryAsk(`event.name:="kill.incident"`) }
		merge(t, "http://"+v.Address+"/insert/opentelemetry", told, "kill.incident.merged_into")
		fields := []string{"kill.target.systemd.unit", "user.name", "kill.incident.host_count"}
		var file queriesFile
		harness.ReadYAML(t, "deploy/queries/victorialogs/incidents.yaml", &file)
		q := question{fields: fields}
		eventually(t, tally{"cache.service sam 5": 1}, func() tally { return askRows(t, v, file.Queries[0].Query, time.Now(), &q) })
		eventually(t, tally{"cache.service sam": 5}, func() tally {
			return askStats(t, v, onlyRule(t, "victorialogs").Expr, time.Now(), fields[:2])
		})
	})
	t.Run("Loki", func(t *testing.T) {
		t.Parallel()
		l := loki.Start(t)
		told := func() ([]map[string]string, error) {
			return l.TryAsk(`{service_name="auditkill"} | event_name="kill.incident"`)
		}
		merge(t, "http://"+l.Address+"/otlp", told, "kill_incident_merged_into")
		eventually(t, tally{"cache.service sam": 5}, func() tally {
			panel := dashboardPanel{Type: "table", Query: "instant"}
			q := question{fields: []string{"kill.target.systemd.unit", "user.name"}}
			return askPanel(t, l, onlyRule(t, "loki").Expr, panel, time.Now(), &q)
		})
		panel := readPanels(t)[incidents]
		q := question{fields: []string{"kill.incident.host_count", "sentence"}}
		eventually(t, tally{"5 systemctl restart cache of sam restarted cache.service on 5 hosts": 1}, func() tally { // the number is when that was told
			got := tally{}
			for row := range askPanel(t, l, panel.filled(".+"), panel, time.Now(), &q) {
				got[row]++
			}
			return got
		})
	})
}

// eventually waits for an answer.
func eventually(t *testing.T, want tally, ask func() tally) {
	t.Helper()
	var got tally
	harness.Eventually(t, func() bool {
		got = ask()
		return assert.ObjectsAreEqual(want, got)
	}, "the answer is %v: %v", want, &got)
}

// onlyRule returns the only rule about incidents of a backend.
func onlyRule(t *testing.T, backend string) ruleOne {
	t.Helper()
	var rules rulesFile
	harness.ReadYAML(t, "deploy/queries/"+backend+"/incidents-rules.yaml", &rules)
	require.Len(t, rules.Groups, 1)
	require.Len(t, rules.Groups[0].Rules, 1)
	return rules.Groups[0].Rules[0]
}
