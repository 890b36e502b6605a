// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// startKafka returns the addresses of the brokers of a stand-in for Kafka, and what
// collectors must know to be let in. It keeps what it is told in memory.
func startKafka(t *testing.T, secrets certificates) map[string]string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(secrets.cert, secrets.key)
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
		"KAFKA_BROKERS": strings.Join(cluster.ListenAddrs(), ","), "KAFKA_CA_FILE": secrets.ca,
		"KAFKA_USER": "auditkill", "KAFKA_PASSWORD": "secret",
	}
}

// What comes from agents is in Kafka while nobody reads it, and is read once somebody
// does, whatever happens to who reads.
func TestKeepsInKafkaWhatNobodyReads(t *testing.T) {
	const each = 6
	useAudit(t)
	auditctl(t, "-e", "1") // the kernel records no processes from before
	secrets := newCertificates(t)
	with := secrets.with
	kafka, entry := startKafka(t, secrets), freeAddress(t)
	f := &fleet{t: t, sender: newSender(t, nativeSender(t))}
	f.sinks[0], f.sinks[1] = newSink(t, "http"), newSink(t, "http")
	startConfigured(t, "configs/fleet/to-kafka.yaml", with(kafka, map[string]string{"LISTEN_ENDPOINT": entry}), stock(t))
	f.agents = append(f.agents, startConfigured(t, "configs/agent.yaml", with(map[string]string{"GATEWAY_ENDPOINT": entry}),
		overlay(t, "receivers: {audit_kill: {ebpf: {}, targets: [%s]}}", nameOf(0))))
	f.terminate(each)

	backends := map[string]string{"LOGS_ENDPOINT": f.sinks[0].url, "TRACES_ENDPOINT": f.sinks[0].url}
	out := startConfigured(t, "configs/fleet/from-kafka.yaml", with(kafka, backends), stock(t))
	f.arrived(each)

	out.kill()
	f.terminate(each)
	out = out.restart()
	f.arrived(2 * each)

	// Two share the work, until one is gone.
	backends["LOGS_ENDPOINT"], backends["TRACES_ENDPOINT"] = f.sinks[1].url, f.sinks[1].url
	startConfigured(t, "configs/fleet/from-kafka.yaml", with(kafka, backends), stock(t))
	f.terminate(each)
	out.stop()
	f.terminate(each)
	f.arrived(4 * each)
	assert.NotZero(t, f.sinks[1].count(), "the second one has read something")
}

// What an agent sends after an outage is larger than a message of Kafka's may be, and
// than OTLP over gRPC takes.
func TestFleetsTakeABacklog(t *testing.T) {
	const events = 12_000
	secrets := newCertificates(t)
	log, kill := newAuditLog(t), singleKill(t)
	for range events {
		log.add(kill)
	}
	ways := map[string]func(t *testing.T, entry string, backend map[string]string){
		"kafka": func(t *testing.T, entry string, backend map[string]string) {
			t.Helper()
			kafka := startKafka(t, secrets)
			startConfigured(t, "configs/fleet/to-kafka.yaml", secrets.with(kafka, map[string]string{"LISTEN_ENDPOINT": entry}), stock(t))
			startConfigured(t, "configs/fleet/from-kafka.yaml", secrets.with(kafka, backend), stock(t))
		},
		"load balancer": func(t *testing.T, entry string, backend map[string]string) {
			t.Helper()
			address := freeAddress(t)
			startConfigured(t, "configs/gateway.yaml", secrets.with(backend, map[string]string{"LISTEN_ENDPOINT": address}))
			startConfigured(t, "configs/fleet/loadbalancer.yaml", secrets.with(map[string]string{
				"LISTEN_ENDPOINT": entry, "GATEWAYS_HOST": "127.0.0.1", "GATEWAYS_PORT": address[strings.LastIndexByte(address, ':')+1:],
			}), stock(t))
		},
	}
	for name, start := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entry, sink := freeAddress(t), newSink(t, "http")
			agent := startConfigured(t, "configs/agent.yaml", secrets.with(map[string]string{"GATEWAY_ENDPOINT": entry}),
				fileSource(t, log, "reading"), overlay(t, "receivers: {audit_kill: {include_original: true}}"))
			eventually(t, func() bool { return agent.metric("accepted_log_records") == events }, "the agent has read its log")
			start(t, entry, map[string]string{"LOGS_ENDPOINT": sink.url, "TRACES_ENDPOINT": sink.url})
			eventually(t, func() bool { return sink.count() >= events }, "the backlog has arrived")
			taken := make(map[any]bool)
			for _, r := range sink.records() {
				taken[r.Attributes["log.record.uid"]] = true
			}
			assert.Len(t, taken, events)
		})
	}
}
