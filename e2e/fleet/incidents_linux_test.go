// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// restartOn is the record of a host on which alice has restarted mariadb, as one of a rolling restart.
func restartOn(host int, at time.Time) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	_ = resource.Resource().Attributes().FromRaw(map[string]any{"host.name": fmt.Sprintf("web-%d", host), "host.id": fmt.Sprintf("id-%d", host)})
	record := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetEventName("kill.signal")
	record.SetTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Duration(host) * time.Second)))
	_ = record.Attributes().FromRaw(map[string]any{
		"kill.signal.number": 15, "kill.signal.name": "SIGTERM", "kill.cause": "service_restart", "kill.evidence": "observed",
		"kill.target.pid": 5932, "kill.target.name": "mariadbd", "kill.target.systemd.unit": "mariadb.service",
		"kill.target.start_time": "2026-03-01T10:00:00.010Z", "process.pid": 1, "process.command": "systemd", "process.user.id": 0,
		"kill.requester.pid": 136, "kill.requester.name": "systemctl", "kill.requester.title": "systemctl restart mariadb",
		"kill.requester.user.id": 0, "user.id": "1000", "user.name": "alice", "client.address": "10.0.0.5", "kill.session.id": "21",
		"kill.source": "ebpf", "kill.result": "success", "log.record.uid": fmt.Sprintf("uid of %d", host),
	})
	return logs
}

// deliver sends until it is accepted, as an agent does.
func deliver(t *testing.T, client plogotlp.GRPCClient, logs plog.Logs) {
	t.Helper()
	harness.Eventually(t, func() bool {
		_, err := client.Export(t.Context(), plogotlp.NewExportRequestFromLogs(logs))
		return err == nil
	}, "a signal is accepted")
}

// incidentsAt returns the last record of each incident that has gone on in no other.
func incidentsAt(sink *otlp.Sink) map[string]otlp.Record {
	last := map[string]otlp.Record{}
	for _, r := range sink.Records() {
		if r.Event == "kill.incident" {
			last[r.Text("kill.incident.id")] = r
		}
	}
	for id, r := range last {
		if r.Text("kill.incident.merged_into") != "" {
			delete(last, id)
		}
	}
	return last
}

// whole reports whether a backend has one incident, closed and with all hosts.
func whole(sink *otlp.Sink, hosts int) bool {
	all := incidentsAt(sink)
	for _, r := range all {
		if r.Text("kill.incident.state") != "closed" || r.Attributes["kill.incident.host_count"] != int64(hosts) {
			return false
		}
	}
	return len(all) == 1
}

// quickIncidents close soon.
const quickIncidents = "connectors: {kill_incident: {gap: 20s, interval: 1s, delay: %s}}"

// startTier runs a collector of the incident tier.
func startTier(t *testing.T, secrets certificates.Files, sink *otlp.Sink, delay string) (address string, tier *collector.Collector) {
	t.Helper()
	address = harness.FreeAddress(t)
	return address, shipped.Start(t, "configs/incidents.yaml", secrets.With(map[string]string{
		"LISTEN_ENDPOINT": address, "LOGS_ENDPOINT": sink.URL, "METRICS_ENDPOINT": shipped.NoTraces(t),
	}), shipped.Overlay(t, quickIncidents, delay))
}

// What was accepted is in the store: after kill -9 the incident goes on, with its id.
func TestIncidentSurvivesKill(t *testing.T) {
	t.Parallel()
	const hosts = 9
	secrets, sink := certificates.New(t), otlp.NewSink(t, "http")
	address, tier := startTier(t, secrets, sink, "0s")
	client := plogotlp.NewGRPCClient(certificates.Connect(t, address, secrets))
	began := time.Now()
	for host := range hosts {
		deliver(t, client, restartOn(host, began))
		if host%3 == 1 { // at once, with one or two hosts of the incident since the last time
			tier.Kill()
			tier = tier.Restart()
		}
	}
	harness.Eventually(t, func() bool { return whole(sink, hosts) }, "one incident has all hosts")
	for _, r := range incidentsAt(sink) {
		assert.EqualValues(t, hosts, r.Attributes["kill.incident.signal_count"])
		assert.Equal(t, true, r.Attributes["kill.complete"])
	}
}

// TestIncidentTier has three gateways send a copy to two collectors that join incidents. One of each dies and comes back: both tell
// the same incident, under the same id.
func TestIncidentTier(t *testing.T) {
	t.Parallel()
	const gateways, hosts = 3, 12
	secrets := certificates.New(t)
	sinks := [2]*otlp.Sink{otlp.NewSink(t, "http"), otlp.NewSink(t, "http")}
	tier := make([]*collector.Collector, len(sinks))
	addresses := make([]string, len(sinks))
	for n := range tier {
		addresses[n], tier[n] = startTier(t, secrets, sinks[n], "3s")
	}
	raw := otlp.NewSink(t, "http")
	running, clients := make([]*collector.Collector, gateways), make([]plogotlp.GRPCClient, gateways)
	for n := range running {
		entry := harness.FreeAddress(t)
		running[n] = shipped.Start(t, "configs/gateway.yaml", secrets.With(map[string]string{
			"LISTEN_ENDPOINT": entry, "LOGS_ENDPOINT": raw.URL, "TRACES_ENDPOINT": raw.URL,
			"INCIDENTS_ENDPOINT": addresses[0], "INCIDENTS_STANDBY_ENDPOINT": addresses[1],
		}), option("configs/options/to-incidents.yaml"))
		clients[n] = plogotlp.NewGRPCClient(certificates.Connect(t, entry, secrets))
	}
	began := time.Now()
	for host := range hosts / 2 {
		deliver(t, clients[host%gateways], restartOn(host, began))
	}
	for n, sink := range sinks {
		harness.Eventually(t, func() bool { return len(incidentsAt(sink)) == 1 }, fmt.Sprintf("collector %d tells the incident", n))
	}

	tier[0].Kill()
	running[1].Kill()
	for host := hosts / 2; host < hosts; host++ {
		if host%gateways == 1 && running[1] != nil { // its agents keep it until it is back
			running[1].Restart()
			running[1] = nil
		}
		deliver(t, clients[host%gateways], restartOn(host, began))
	}
	tier[0].Restart() //nolint:gosec // there are two
	for n, sink := range sinks {
		harness.Eventually(t, func() bool { return whole(sink, hosts) }, fmt.Sprintf("collector %d has all hosts", n))
	}
	of := [2]map[string]otlp.Record{incidentsAt(sinks[0]), incidentsAt(sinks[1])}
	for id, r := range of[0] {
		require.Contains(t, of[1], id, "the standby has the same id")
		standby := of[1][id]
		assert.Equal(t, r.Body, standby.Body)
		assert.Equal(t, r.Text("log.record.uid"), standby.Text("log.record.uid"))
	}
	harness.Eventually(t, func() bool { return otlp.CountDistinct(raw.Records()) == hosts }, "the signals themselves go their own way")
}

// TestTiersShareClusters has two tiers share what happens in several clusters: each incident is whole, in one of them.
func TestTiersShareClusters(t *testing.T) {
	t.Parallel()
	const clusters, hosts = 24, 4
	secrets := certificates.New(t)
	sinks := [2]*otlp.Sink{otlp.NewSink(t, "http"), otlp.NewSink(t, "http")}
	addresses := [2]string{}
	for n := range sinks {
		addresses[n], _ = startTier(t, secrets, sinks[n], "0s")
	}
	entry := harness.FreeAddress(t)
	shipped.Start(t, "configs/fleet/incident-tiers.yaml", secrets.With(map[string]string{"LISTEN_ENDPOINT": entry}), shipped.Stock(t),
		shipped.Overlay(t, "exporters: {load_balancing: {resolver: {dns: null, static: {hostnames: [%q, %q]}}}}", addresses[0], addresses[1]))
	client := plogotlp.NewGRPCClient(certificates.Connect(t, entry, secrets))
	began := time.Now()
	for host := range hosts {
		together := plog.NewLogs() // as a gateway sends what is of several clusters
		for cluster := range clusters {
			restartIn(cluster, host, began).ResourceLogs().MoveAndAppendTo(together.ResourceLogs())
		}
		deliver(t, client, together)
	}
	harness.Eventually(t, func() bool { return len(clustersAt(sinks[0]))+len(clustersAt(sinks[1])) == clusters }, "there are incidents of all clusters")
	for _, sink := range sinks {
		assert.NotEmpty(t, clustersAt(sink))
		for user, has := range clustersAt(sink) {
			assert.EqualValues(t, hosts, has, user)
		}
	}
}

// restartIn is the record of a host of a cluster, where another user than in others restarts mariadb.
func restartIn(cluster, host int, at time.Time) plog.Logs {
	logs := restartOn(host, at)
	resource := logs.ResourceLogs().At(0)
	name := fmt.Sprintf("cluster-%d", cluster)
	resource.Resource().Attributes().PutStr("k8s.cluster.name", name)
	resource.Resource().Attributes().PutStr("host.id", fmt.Sprintf("%s-%d", name, host))
	attributes := resource.ScopeLogs().At(0).LogRecords().At(0).Attributes()
	attributes.PutStr("user.name", "admin of "+name)
	attributes.PutStr("user.id", strconv.Itoa(2000+cluster))
	attributes.PutStr("log.record.uid", fmt.Sprintf("uid of %s %d", name, host))
	return logs
}

// clustersAt returns the users of closed incidents, with the number of their hosts.
func clustersAt(sink *otlp.Sink) map[string]int64 {
	users := map[string]int64{}
	for _, r := range incidentsAt(sink) {
		if r.Text("kill.incident.state") == "closed" {
			users[r.Text("user.name")] += r.Number("kill.incident.host_count")
		}
	}
	return users
}

// TestAgentJoinsIncidents has an agent with the connector read of a signal to a group of processes, and of rules that somebody has removed. At
// the backend the group is one incident. What tells of the rules arrives in any case.
func TestAgentJoinsIncidents(t *testing.T) {
	t.Parallel()
	for members, passes := range map[string]bool{"pass": true, "replace": false} {
		t.Run(members, func(t *testing.T) {
			t.Parallel()
			sink := otlp.NewSink(t, "http")
			gateway := shipped.StartGateway(t, "configs/gateway.yaml", map[string]string{"LOGS_ENDPOINT": sink.URL, "TRACES_ENDPOINT": shipped.NoTraces(t)})
			log := auditlog.New(t)
			group := addGroup(t, log)
			for _, e := range auditlog.Load(t, harness.Path("testdata/tamper.log"), -1) {
				log.Add(e)
			}
			gateway.Agent["INCIDENT_MEMBERS"] = members
			shipped.Start(t, "configs/agent.yaml", gateway.Agent, option("configs/options/incidents.yaml"), shipped.FromLog(t, log, "web-1"),
				shipped.Overlay(t, "connectors: {kill_incident: {gap: 2s, interval: 1s}}"))
			var found []otlp.Record
			harness.Eventually(t, func() bool {
				found = closedWith(sink, group)
				return len(found) > 0 && countOf(sink, "kill.tamper") > 0
			}, "the incident is closed")
			require.Len(t, found, 1)
			assert.Equal(t, int64(1), found[0].Number("kill.incident.host_count"))
			assert.True(t, strings.HasPrefix(found[0].Text("kill.incident.targets"), `["`), "the gateway makes a text of it: %v", found[0].Attributes["kill.incident.targets"])
			if passes {
				harness.Eventually(t, func() bool { return countOf(sink, "kill.signal") >= len(log.Want) }, "each signal arrives")
			} else {
				assert.Zero(t, countOf(sink, "kill.signal")+countOf(sink, "kill.outcome"))
			}
		})
	}
}

// addGroup writes a signal to a group of processes to a log, and returns how many these are.
func addGroup(t *testing.T, log *auditlog.Log) (processes int) {
	t.Helper()
	for _, e := range auditlog.Kills(t) {
		before := len(log.Want)
		lines := log.Stamp(e)
		if processes = len(log.Want) - before; processes > 2 {
			log.Write(strings.Join(lines, ""))
			log.Want = log.Want[before:]
			return processes
		}
	}
	t.Fatal("no such event was recorded")
	return 0
}

// closedWith returns the incidents with so many processes.
func closedWith(sink *otlp.Sink, targets int) (found []otlp.Record) {
	for _, r := range incidentsAt(sink) {
		if r.Text("kill.incident.state") == "closed" && r.Number("kill.incident.target_count") == int64(targets) {
			found = append(found, r)
		}
	}
	return found
}

func countOf(sink *otlp.Sink, event string) (count int) {
	for _, r := range sink.Records() {
		if r.Event == event {
			count++
		}
	}
	return count
}

// option returns an option of a collector: a file of configs/options beside its own.
func option(path string) func(*exec.Cmd) { return collector.Arguments("--config", harness.Path(path)) }

// TestOptionsAreValid has agents and gateways with options.
func TestOptionsAreValid(t *testing.T) {
	t.Parallel()
	for with, to := range map[string]string{
		"configs/options/incidents.yaml": "configs/agent.yaml", "configs/options/to-incidents.yaml": "configs/gateway.yaml",
		"configs/options/elastic-incidents.yaml": "configs/gateway-elastic.yaml",
	} {
		said, code := collector.Run(t, collector.Arguments("validate", "--config", harness.Path(to), "--config", harness.Path(with)))
		assert.Zero(t, code, said)
	}
}
