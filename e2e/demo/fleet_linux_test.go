// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"maps"
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/victorialogs"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/host"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// fleet is what the demo runs.
type fleet struct {
	t       *testing.T
	logs    *victorialogs.VictoriaLogs
	bastion *host.Host
	web     []*host.Host
	db      *host.Host
}

// quickIncidents has an incident end 10 s after its last signal, so that nobody has to wait for a minute.
const quickIncidents = `connectors: {kill_incident: {gap: 10s, interval: 1s}}`

// agentOf changes the agent of one host. All hosts have this machine's kernel, so that each agent sees the signals of all: it keeps
// those to processes of its own host. To the kernel these are containers, whose users have no names on the host; here the names under
// which they log in can be trusted.
const agentOf = `
receivers: {audit_kill: {ebpf: {}, resource_attributes: {host.ip: {enabled: true}}}}
processors:
  filter/host: {error_mode: propagate, logs: {log_record: ['not IsMatch(log.attributes["kill.target.cgroup"], "/%s/")']}}
  transform/host:
    log_statements:
      - set(log.attributes["user.name"], log.attributes["kill.session.user.name"]) where log.attributes["kill.session.user.name"] != nil
exporters: {otlp_grpc: {tls: {server_name_override: localhost}}}
service: {pipelines: {logs: {processors: [memory_limiter, filter/host, transform/host]}}}
`

// startFleet starts everything.
func startFleet(t *testing.T, web string) *fleet {
	t.Helper()
	f := &fleet{t: t, logs: victorialogs.StartAt(t, web)}
	nobody := shipped.NoTraces(t)
	gateway := shipped.StartGateway(t, "configs/gateway-incidents.yaml", map[string]string{
		"LOGS_ENDPOINT": "http://" + f.logs.Address + "/insert/opentelemetry", "TRACES_ENDPOINT": nobody, "METRICS_ENDPOINT": nobody,
	}, shipped.Overlay(t, quickIncidents))
	network := host.NewNetwork(t)
	f.bastion = network.Boot("bastion1")
	for _, name := range []string{"web1", "web2", "web3"} {
		f.web = append(f.web, network.Boot(name))
	}
	f.db = network.Boot("db1")
	for _, h := range append([]*host.Host{f.bastion}, f.web...) {
		h.Service("nginx", "[Service]\nExecStart=/usr/local/sbin/nginx infinity\n")
		h.Root("cp", "/bin/sleep", "/usr/local/sbin/nginx")
		h.Root("systemctl", "start", "nginx")
	}
	f.db.Service("mysql", host.Mysqld+"WatchdogSec=3s\n")

	environment := maps.Clone(gateway.Agent)
	environment["GATEWAY_ENDPOINT"] = network.Forward(gateway.Agent["GATEWAY_ENDPOINT"])
	for _, h := range network.Hosts {
		shipped.Start(t, "configs/agent.yaml", environment, shipped.Overlay(t, agentOf, h.Group()), h.Within())
	}
	return f
}

// play has the cast do what it does.
func (f *fleet) play() {
	f.t.Helper()
	// alice logs in to the bastion, restarts nginx there, and then from there on one host after the other.
	f.bastion.SSH("alice", "10.0.0.5",
		"sudo systemctl restart nginx </dev/null; for host in web1 web2 web3; do ssh $host sudo systemctl restart nginx || exit; sleep 1; done")
	// bob may not do what he tries.
	f.db.Root("systemctl", "start", "mysql")
	f.db.SSH("bob", "10.0.0.5", "! pkill -KILL -x mysqld")
	// mysqld does not report that it is alive.
	harness.Eventually(f.t, func() bool {
		_, err := f.db.Try("systemctl", "is-failed", "mysql")
		return err == nil
	}, "the watchdog strikes")
}
