// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// The collector that reads from Kafka handles the data as a gateway does.
func TestKafkaReaderWorksLikeAGateway(t *testing.T) {
	t.Parallel()
	var gateway, reader map[string]any
	harness.ReadYAML(t, "configs/gateway.yaml", &gateway)
	harness.ReadYAML(t, "configs/fleet/from-kafka.yaml", &reader)
	for _, section := range []string{"extensions", "processors", "exporters"} {
		assert.Equal(t, gateway[section], reader[section], section)
	}
}

// startKafka starts a stand-in for Kafka that keeps its data in memory. It returns the environment
// variables with which collectors can connect to its brokers.
func startKafka(t *testing.T, secrets certificates.Files) map[string]string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(secrets.Cert, secrets.Key)
	require.NoError(t, err)
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(2),
		kfake.SeedTopics(4, "otlp_logs", "otlp_spans"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}),
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "auditkill", "secret"),
	)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return map[string]string{
		"KAFKA_BROKERS": strings.Join(cluster.ListenAddrs(), ","), "KAFKA_CA_FILE": secrets.CA,
		"KAFKA_USER": "auditkill", "KAFKA_PASSWORD": "secret",
	}
}

// Kafka keeps what agents send until a collector reads it. Nothing is lost when such a collector
// is killed or stopped.
func TestKafkaKeepsWhatIsNotRead(t *testing.T) {
	const each = 6
	audit.Use(t)
	audit.Auditctl(t, "-e", "1") // the kernel does not record older processes
	secrets := certificates.New(t)
	with := secrets.With
	kafka, entry := startKafka(t, secrets), harness.FreeAddress(t)
	f := &fleet{t: t, sender: process.NewSender(t, process.NativeSender(t))}
	f.sinks[0], f.sinks[1] = otlp.NewSink(t, "http"), otlp.NewSink(t, "http")
	shipped.Start(t, "configs/fleet/to-kafka.yaml", with(kafka, map[string]string{"LISTEN_ENDPOINT": entry}), shipped.Stock(t))
	f.agents = append(f.agents, shipped.Start(t, "configs/agent.yaml", with(map[string]string{"GATEWAY_ENDPOINT": entry}),
		shipped.Overlay(t, "receivers: {audit_kill: {ebpf: {}, targets: [%s]}}", nameOf(0))))
	f.terminate(each)

	backends := map[string]string{"LOGS_ENDPOINT": f.sinks[0].URL, "TRACES_ENDPOINT": f.sinks[0].URL}
	out := shipped.Start(t, "configs/fleet/from-kafka.yaml", with(kafka, backends), shipped.Stock(t))
	f.arrived(each)

	out.Kill()
	f.terminate(each)
	out = out.Restart()
	f.arrived(2 * each)

	// Two collectors share the work, until one is stopped.
	backends["LOGS_ENDPOINT"], backends["TRACES_ENDPOINT"] = f.sinks[1].URL, f.sinks[1].URL
	shipped.Start(t, "configs/fleet/from-kafka.yaml", with(kafka, backends), shipped.Stock(t))
	f.terminate(each)
	out.Stop()
	f.terminate(each)
	f.arrived(4 * each)
	assert.NotZero(t, f.sinks[1].Count(), "the second collector has read something")
}

// What an agent sends after an outage exceeds the largest message of Kafka and of OTLP over
// gRPC.
func TestFleetsTakeABacklog(t *testing.T) {
	const events = 12_000
	secrets := certificates.New(t)
	log, kill := auditlog.New(t), auditlog.SingleKill(t)
	for range events {
		log.Add(kill)
	}
	ways := map[string]func(t *testing.T, entry string, backend map[string]string){
		"kafka": func(t *testing.T, entry string, backend map[string]string) {
			t.Helper()
			kafka := startKafka(t, secrets)
			shipped.Start(t, "configs/fleet/to-kafka.yaml", secrets.With(kafka, map[string]string{"LISTEN_ENDPOINT": entry}), shipped.Stock(t))
			shipped.Start(t, "configs/fleet/from-kafka.yaml", secrets.With(kafka, backend), shipped.Stock(t))
		},
		"load balancer": func(t *testing.T, entry string, backend map[string]string) {
			t.Helper()
			address := harness.FreeAddress(t)
			shipped.Start(t, "configs/gateway.yaml", secrets.With(backend, map[string]string{"LISTEN_ENDPOINT": address}))
			shipped.Start(t, "configs/fleet/loadbalancer.yaml", secrets.With(map[string]string{
				"LISTEN_ENDPOINT": entry, "GATEWAYS_HOST": "127.0.0.1", "GATEWAYS_PORT": address[strings.LastIndexByte(address, ':')+1:],
			}), shipped.Stock(t))
		},
	}
	for name, start := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entry, sink := harness.FreeAddress(t), otlp.NewSink(t, "http")
			agent := shipped.Start(t, "configs/agent.yaml", secrets.With(map[string]string{"GATEWAY_ENDPOINT": entry}),
				shipped.FromLog(t, log, "reading"), shipped.Overlay(t, "receivers: {audit_kill: {include_original: true}}"))
			harness.Eventually(t, func() bool { return agent.Metric("accepted_log_records") == events }, "the agent has read its log")
			start(t, entry, map[string]string{"LOGS_ENDPOINT": sink.URL, "TRACES_ENDPOINT": sink.URL})
			harness.Eventually(t, func() bool { return sink.Count() >= events }, "the backlog has arrived")
			assert.Equal(t, events, otlp.CountDistinct(sink.Records()))
		})
	}
}

// TestIncidentsThroughKafka has two readers share what Kafka keeps, by host, and send a copy to two collectors that join incidents.
// One of the readers dies and comes back. Each collector tells the one incident of all hosts.
func TestIncidentsThroughKafka(t *testing.T) {
	t.Parallel()
	const hosts = 12
	secrets := certificates.New(t)
	kafka, entry := startKafka(t, secrets), harness.FreeAddress(t)
	sinks := [2]*otlp.Sink{otlp.NewSink(t, "http"), otlp.NewSink(t, "http")}
	active, _ := startTier(t, secrets, sinks[0], "3s")
	standby, _ := startTier(t, secrets, sinks[1], "3s")
	shipped.Start(t, "configs/fleet/to-kafka.yaml", secrets.With(kafka, map[string]string{"LISTEN_ENDPOINT": entry}), shipped.Stock(t))
	raw := otlp.NewSink(t, "http")
	var readers []*collector.Collector
	for range 2 {
		readers = append(readers, shipped.Start(t, "configs/fleet/from-kafka.yaml", secrets.With(kafka, map[string]string{
			"LOGS_ENDPOINT": raw.URL, "TRACES_ENDPOINT": raw.URL, "INCIDENTS_ENDPOINT": active, "INCIDENTS_STANDBY_ENDPOINT": standby,
		}), shipped.Stock(t), option("configs/options/to-incidents.yaml"), option("configs/options/to-incidents-from-kafka.yaml")))
	}
	client := plogotlp.NewGRPCClient(certificates.Connect(t, entry, secrets))
	began := time.Now()
	for host := range hosts {
		deliver(t, client, restartOn(host, began))
		if host == hosts/2 {
			readers[0].Kill()
			readers[0].Restart()
		}
	}
	for n, sink := range sinks {
		harness.Eventually(t, func() bool { return whole(sink, hosts) }, fmt.Sprintf("collector %d has all hosts", n))
	}
	// The same signals, straight to a collector.
	straight := otlp.NewSink(t, "http")
	direct, _ := startTier(t, secrets, straight, "3s")
	client = plogotlp.NewGRPCClient(certificates.Connect(t, direct, secrets))
	for host := range hosts {
		deliver(t, client, restartOn(host, began))
	}
	harness.Eventually(t, func() bool { return whole(straight, hosts) }, "without Kafka there is one incident as well")
	want := slices.Collect(maps.Keys(incidentsAt(straight)))
	for _, sink := range sinks {
		assert.Equal(t, want, slices.Collect(maps.Keys(incidentsAt(sink))), "it has the id that it has without Kafka")
	}
	harness.Eventually(t, func() bool { return otlp.CountDistinct(raw.Records()) == hosts }, "the signals themselves go their own way")
}
