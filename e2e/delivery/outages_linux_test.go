// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"bytes"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/victorialogs"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// Whichever of agents, gateway and backend is stopped or killed: what was promised arrives,
// and duplicates have the same uid.

// chain has an agent that reads a log, one that traces signals, their gateway and its
// backend.
type chain struct {
	t               *testing.T
	backend         *victorialogs.VictoriaLogs
	gateway         *shipped.Gateway
	reading, seeing *collector.Collector
	log             *auditlog.Log
}

func newChain(t *testing.T) *chain {
	t.Helper()
	c := &chain{t: t, backend: victorialogs.Start(t), log: auditlog.New(t)}
	c.gateway = shipped.StartGateway(t, "configs/gateway.yaml", map[string]string{
		"LOGS_ENDPOINT": "http://" + c.backend.Address + "/insert/opentelemetry", "TRACES_ENDPOINT": shipped.NoTraces(t),
	})
	c.seeing = shipped.Start(t, "configs/agent.yaml", maps.Clone(c.gateway.Agent))
	c.reading = shipped.Start(t, "configs/agent.yaml", maps.Clone(c.gateway.Agent), shipped.FromLog(t, c.log, "reading"))
	return c
}

// write appends events to the log, and waits until the agent has read them.
func (c *chain) write() {
	c.t.Helper()
	kill := auditlog.SingleKill(c.t)
	for range someEvents {
		c.log.Add(kill)
	}
	harness.Eventually(c.t, func() bool { return c.reading.Metric("audit_kill_file_bytes_behind") == 0 }, "the agent has read the log")
}

// passing appends events to the log, and waits until the gateway has accepted most of them.
func (c *chain) passing() {
	c.t.Helper()
	sent := func() int { return c.reading.ExporterMetric("exporter_sent_log_records", `exporter="otlp`) }
	before := c.counted(sent)
	c.write()
	harness.Eventually(c.t, func() bool { return sent() > before+someEvents/2 }, "the gateway has accepted the events")
}

// counted returns the value of a counter. It waits if the collector is busy.
func (c *chain) counted(counter func() int) (count int) {
	c.t.Helper()
	harness.Eventually(c.t, func() bool { count = counter(); return count >= 0 }, "a collector serves its metrics")
	return count
}

// meanwhile waits until a second of signals has been captured.
func (c *chain) meanwhile() {
	c.t.Helper()
	signals := func() int { return c.seeing.MetricOf("audit_kill_events", `event_name="kill.signal"`) }
	before := c.counted(signals)
	harness.Eventually(c.t, func() bool { return signals() >= before+signalRate }, "signals are captured")
}

// settle stops the gateway, and waits until the backend has everything on disk that it has
// acknowledged: it guarantees that only after some seconds.
func (c *chain) settle() {
	c.t.Helper()
	gateway := c.gateway.Command.Process
	require.NoError(c.t, gateway.Signal(unix.SIGSTOP))
	c.t.Cleanup(func() { _ = gateway.Signal(unix.SIGCONT) }) // a stopped process would not end
	harness.Eventually(c.t, func() bool {
		metrics, err := c.backend.Get("/metrics", nil)
		return err == nil && bytes.Contains(metrics, []byte("\nvl_storage_rows{type=\"storage/inmemory\"} 0\n"))
	}, "VictoriaLogs has everything on disk")
}

const (
	// signalRate is how many signals are sent per second.
	signalRate = 200
	// someEvents is how many events are written at a time.
	someEvents = 300
)

// outages happen one after the other. Events are written before, during and after
// each.
var outages = []struct {
	name string
	of   func(c *chain)
}{
	{"the gateway is stopped for a while", func(c *chain) {
		c.gateway.Stop()
		c.write()
		c.meanwhile()
		c.gateway.Collector = c.gateway.Restart()
	}},
	{"the gateway is killed", func(c *chain) {
		c.passing()
		c.gateway.Kill()
		c.write()
		c.meanwhile()
		c.gateway.Collector = c.gateway.Restart()
	}},
	{"the backend is stopped for a while", func(c *chain) {
		c.backend.Stop()
		c.passing()
		c.meanwhile()
		c.backend.Restart()
	}},
	{"the gateway is killed while the backend is away", func(c *chain) {
		c.backend.Stop()
		c.passing()
		c.gateway.Kill()
		c.meanwhile()
		c.gateway.Collector = c.gateway.Restart()
		c.passing()
		c.backend.Restart()
	}},
	{"the backend is killed", func(c *chain) {
		c.write()
		c.settle()
		c.backend.Kill()
		require.NoError(c.t, c.gateway.Command.Process.Signal(unix.SIGCONT))
		c.passing()
		c.meanwhile()
		c.backend.Restart()
	}},
	{"the agent is killed", func(c *chain) {
		c.write()
		c.reading.Kill()
		c.reading = c.reading.Restart()
	}},
	{"the agent is killed while the gateway is away", func(c *chain) {
		c.gateway.Stop()
		c.write()
		c.meanwhile()
		c.reading.Kill()
		c.reading = c.reading.Restart()
		c.write()
		c.gateway.Collector = c.gateway.Restart()
	}},
	{"the agent is stopped while the gateway is away", func(c *chain) {
		c.gateway.Kill()
		c.write()
		c.meanwhile()
		c.reading.Stop()
		c.reading = c.reading.Restart()
		c.gateway.Collector = c.gateway.Restart()
	}},
}

func TestNothingIsLost(t *testing.T) {
	harness.NeedRoot(t)
	c := newChain(t)
	s := process.NewSender(t, process.NativeSender(t))
	order := orders.Order{
		Call: "kill", PID: s.Start(1, false)[0], Signal: int(unix.SIGHUP), Times: signalRate, Rate: signalRate, Quiet: true,
	}
	stop := sends(t, s, order)
	for _, outage := range outages {
		began := time.Now()
		c.write()
		outage.of(c)
		t.Logf("%s: %v", outage.name, time.Since(began).Round(100*time.Millisecond))
	}
	sent := stop()

	read := "kill.source:=audit_file"
	seen := fmt.Sprintf("kill.source:=ebpf event.name:=kill.signal process.pid:=%d", s.PID)
	c.await(read, len(c.log.Want))
	c.await(seen, sent)
	c.assertSame(seen)
	rows := c.assertSame(read)
	assertDelivered(t, rows, collector.Replay(t, c.log.Path, ""))
}

// sends has a sender repeat an order until the test ends or stop is called. stop returns how many
// signals were sent.
func sends(t *testing.T, s *process.Sender, order orders.Order) (stop func() int) {
	t.Helper()
	var over atomic.Bool
	var sending sync.WaitGroup
	sent := 0
	sending.Go(func() {
		for !over.Load() {
			assert.Empty(t, s.Order(order), "calls that failed")
			sent += order.Times
		}
	})
	stop = func() int {
		over.Store(true)
		sending.Wait()
		return sent
	}
	t.Cleanup(func() { stop() })
	return stop
}

// await waits until this many different events have arrived.
func (c *chain) await(query string, count int) {
	c.t.Helper()
	var arrived string
	assert.Eventually(c.t, func() bool {
		rows, err := c.backend.TryAsk(query + " | stats count_uniq(log.record.uid) events")
		if err != nil || len(rows) == 0 {
			return false
		}
		arrived = rows[0]["events"]
		return arrived == strconv.Itoa(count)
	}, harness.Patience, 300*time.Millisecond)
	require.Equal(c.t, strconv.Itoa(count), arrived, "%s", query)
}

// assertSame checks that rows with the same uid are equal, and returns one for each uid.
func (c *chain) assertSame(query string) map[string]map[string]string {
	c.t.Helper()
	rows, all := make(map[string]map[string]string), c.backend.Ask(query)
	for _, row := range all {
		uid := row["log.record.uid"]
		if first := rows[uid]; first != nil {
			require.Equal(c.t, first, row, "a duplicate equals the first delivery")
		}
		rows[uid] = row
	}
	c.t.Logf("%s: %d rows, %d events", query, len(all), len(rows))
	return rows
}

// assertDelivered compares what arrived with what a collector delivers without an outage.
func assertDelivered(t *testing.T, rows map[string]map[string]string, records []otlp.Record) {
	t.Helper()
	assert.Len(t, records, len(rows))
	for _, r := range records {
		row := rows[r.Text("log.record.uid")]
		require.Equal(t, r.Body, row["_msg"])
		require.Equal(t, r.Event, row["event.name"])
		require.True(t, r.Time.Equal(backend.TimeOf(t, row)), "%v %v", r.Time, row)
		for name, value := range r.Attributes {
			if _, list := value.([]any); !list {
				require.Equal(t, fmt.Sprint(value), row[name], "%s of %s", name, r.Body)
			}
		}
	}
}
