// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// Fleets that need more than one gateway (configs/fleet).

// termination counts what the sinks know about the end of one process.
type termination struct {
	signals, outcomes, spans int
	// sinks are the sinks at which any of it arrived.
	sinks map[*otlp.Sink]bool
}

// terminationsAt collects what the sinks have, without duplicates.
func terminationsAt(sinks ...*otlp.Sink) map[pcommon.TraceID]*termination {
	all := make(map[pcommon.TraceID]*termination)
	of := func(id pcommon.TraceID, s *otlp.Sink) *termination {
		if all[id] == nil {
			all[id] = &termination{sinks: make(map[*otlp.Sink]bool)}
		}
		all[id].sinks[s] = true
		return all[id]
	}
	seen := make(map[any]bool)
	first := func(id any) bool {
		defer func() { seen[id] = true }()
		return !seen[id]
	}
	for _, s := range sinks {
		for _, r := range s.Records() {
			switch ending := of(r.TraceID, s); {
			case !first(r.Attributes["log.record.uid"]):
			case r.Event == "kill.outcome":
				ending.outcomes++
			default:
				ending.signals++
			}
		}
		for _, span := range s.Spans() {
			if ending := of(span.TraceID(), s); first(span.SpanID()) {
				ending.spans++
			}
		}
	}
	return all
}

// fleet has agents that send to one load balancer, and two gateways behind it, each with
// its own backend.
type fleet struct {
	t        *testing.T
	balancer *collector.Collector
	gateways [2]*collector.Collector
	sinks    [2]*otlp.Sink
	agents   []*collector.Collector
	// join adds an agent.
	join   func()
	sender *process.Sender
}

// nameOf returns the command name of an agent's targets. Each agent has its own targets, as if
// it ran on its own host.
func nameOf(agent int) string { return fmt.Sprintf("victim-%d", agent) }

func newFleet(t *testing.T, agents int) *fleet {
	t.Helper()
	audit.Use(t)
	audit.Auditctl(t, "-e", "1") // the kernel does not record older processes
	f := &fleet{t: t, sender: process.NewSender(t, process.NativeSender(t))}
	with := certificates.New(t).With
	addresses := [2]string{harness.FreeAddress(t), harness.FreeAddress(t)}
	for i, address := range addresses {
		f.sinks[i] = otlp.NewSink(t, "http")
		f.gateways[i] = shipped.Start(t, "configs/gateway.yaml", with(map[string]string{
			"LISTEN_ENDPOINT": address, "LOGS_ENDPOINT": f.sinks[i].URL, "TRACES_ENDPOINT": f.sinks[i].URL,
		}))
	}
	entry := harness.FreeAddress(t)
	f.balancer = shipped.Start(t, "configs/fleet/loadbalancer.yaml",
		with(map[string]string{"LISTEN_ENDPOINT": entry}), shipped.Stock(t),
		shipped.Overlay(t, "exporters: {load_balancing: {resolver: {dns: null, static: {hostnames: [%q, %q]}}}}", addresses[0], addresses[1]))
	f.join = func() {
		i := len(f.agents)
		f.agents = append(f.agents, shipped.Start(t, "configs/agent.yaml", with(map[string]string{"GATEWAY_ENDPOINT": entry}), shipped.Overlay(t, `
receivers: {audit_kill: {ebpf: {}, targets: [%s]}}
processors: {resource: {attributes: [{key: host.id, value: "%032d", action: upsert}]}}
service: {pipelines: {logs: {processors: [memory_limiter, resource]}, traces: {processors: [memory_limiter, resource]}}}
`, nameOf(i), i)))
	}
	for range agents {
		f.join()
	}
	return f
}

// terminate ends some targets of each agent with SIGTERM and then SIGKILL.
func (f *fleet) terminate(each int) {
	f.t.Helper()
	for i := range f.agents {
		for range each {
			target := process.StartScript(f.t, nameOf(i), "trap : TERM; echo; while :; do read -r line; done", true)
			f.sender.Kill(target, syscall.SIGTERM)
			f.sender.Kill(target, syscall.SIGKILL)
		}
	}
}

// arrived waits until this many terminations have arrived completely.
func (f *fleet) arrived(terminations int) map[pcommon.TraceID]*termination {
	f.t.Helper()
	whole := func() (all map[pcommon.TraceID]*termination, count int) {
		all = terminationsAt(f.sinks[:]...)
		for _, ending := range all {
			if ending.signals >= 2 && ending.outcomes >= 1 && ending.spans >= 1 {
				count++
			}
		}
		return all, count
	}
	if !assert.Eventually(f.t, func() bool { _, count := whole(); return count >= terminations }, harness.Patience, 50*time.Millisecond) {
		_, count := whole()
		require.FailNow(f.t, "terminations are missing", "%d of %d arrived", count, terminations)
	}
	all, _ := whole()
	assert.Len(f.t, all, terminations)
	for id, ending := range all {
		assert.Equal(f.t, []int{2, 1, 1}, []int{ending.signals, ending.outcomes, ending.spans}, "signals, outcomes and spans of %s", id)
	}
	return all
}

// Everything about one termination passes through the same gateway. While that gateway is down,
// its data is kept.
func TestBalancesTheLoadOfGateways(t *testing.T) {
	const each = 4
	f := newFleet(t, 5)
	terminations := 0
	terminate := func() { f.terminate(each); terminations += each * len(f.agents) }
	terminate()

	// Which gateway a host belongs to depends on the gateways' ports: all hosts may belong to one of them.
	used := make(map[*otlp.Sink]bool)
	for {
		for id, ending := range f.arrived(terminations) {
			assert.Len(t, ending.sinks, 1, "gateways of %s", id)
			maps.Copy(used, ending.sinks)
		}
		if len(used) == 2 {
			break
		}
		require.Less(t, len(f.agents), 20, "both gateways have work")
		f.join()
		terminate()
	}

	// The outage is longer than the load balancer retries, so that the agents must retry.
	f.gateways[1].Stop()
	terminate()
	harness.Eventually(t, func() bool {
		return slices.ContainsFunc(f.agents, func(agent *collector.Collector) bool {
			return agent.Output.Contains("Exporting failed. Will retry")
		})
	}, "an agent retries")
	f.gateways[1] = f.gateways[1].Restart()
	f.arrived(terminations)

	f.gateways[0].Kill()
	terminate()
	f.gateways[0] = f.gateways[0].Restart()
	for id, ending := range f.arrived(terminations) {
		assert.Len(t, ending.sinks, 1, "gateways of %s", id)
	}
}

// withHosts returns an option that gives a collector its own file in place of /etc/hosts.
func withHosts(path string) func(*exec.Cmd) {
	return func(command *exec.Cmd) {
		command.Args = append([]string{
			"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, path, command.Path,
		}, command.Args[1:]...)
		command.Path, command.Err = exec.LookPath("unshare")
	}
}

// Once the name no longer resolves to a gateway, the others take over its hosts.
func TestGatewayLeavesTheRing(t *testing.T) {
	harness.NeedRoot(t)
	t.Parallel()
	const hosts = 24
	secrets, backend, port := certificates.New(t), otlp.NewSink(t, "http"), strconv.Itoa(harness.FreePort(t))
	shipped.Start(t, "configs/gateway.yaml", secrets.With(map[string]string{
		"LISTEN_ENDPOINT": "127.0.0.1:" + port, "LOGS_ENDPOINT": backend.URL, "TRACES_ENDPOINT": backend.URL,
	}))
	names, entry := filepath.Join(t.TempDir(), "hosts"), harness.FreeAddress(t)
	require.NoError(t, os.WriteFile(names, []byte("127.0.0.1 localhost\n127.0.0.2 localhost\n"), 0o600)) // nobody listens at 127.0.0.2
	shipped.Start(t, "configs/fleet/loadbalancer.yaml", secrets.With(map[string]string{
		"LISTEN_ENDPOINT": entry, "GATEWAYS_HOST": "localhost", "GATEWAYS_PORT": port,
	}), shipped.Stock(t), withHosts(names))

	client := plogotlp.NewGRPCClient(certificates.Connect(t, entry, secrets))
	golden := otlp.ReadGolden(t, "seed").ResourceLogs().At(0)
	// send has each host send one signal, and returns the hosts that have to send it again.
	send := func(from []string) (again []string) {
		errs := make([]error, len(from))
		var group sync.WaitGroup
		for i, name := range from {
			logs := otlp.NewHost(golden, name)
			golden.ScopeLogs().At(0).LogRecords().At(0).CopyTo(logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty())
			group.Go(func() { _, errs[i] = client.Export(t.Context(), plogotlp.NewExportRequestFromLogs(logs)) })
		}
		group.Wait()
		for i, err := range errs {
			if err != nil {
				assert.Equal(t, codes.Unavailable, status.Code(err), "an agent sends it again: %v", err)
				again = append(again, from[i])
			}
		}
		return again
	}
	var all []string
	for i := range hosts {
		all = append(all, fmt.Sprintf("host-%02d", i))
	}
	waiting := send(all)
	assert.NotEmpty(t, waiting, "some hosts belong to the missing gateway")
	assert.Less(t, len(waiting), hosts, "the other hosts are not affected")

	require.NoError(t, os.WriteFile(names, []byte("127.0.0.1 localhost\n"), 0o600))
	harness.Eventually(t, func() bool { waiting = send(waiting); return len(waiting) == 0 }, "all signals are accepted")
	harness.Eventually(t, func() bool { return backend.Count() >= hosts }, "all signals arrive at the backend")
}

func TestConfigsOfFleetsAreValid(t *testing.T) {
	t.Parallel()
	collector.AssertValid(t, "configs/fleet/*.yaml", shipped.Stock(t))
}
