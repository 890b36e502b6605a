// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/loki"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// All records arrive from a host that was cut off for three hours and from one that was not, even
// if Loki is killed meanwhile. Loki rejects entries that are older than the newest one of their
// stream by more than half of ingester.max_chunk_age: by default, one hour.
//
// An agent that ends during the outage sends the oldest records last (the collector's persistent
// queue appends what was in flight). Then one hour is not enough, and Loki must allow more.
func TestLokiTakesWhatIsLate(t *testing.T) {
	harness.NeedRoot(t)
	for name, test := range map[string]struct {
		settings  []string
		meanwhile func(*collector.Collector) *collector.Collector
	}{
		"nothing else happens": {nil, func(c *collector.Collector) *collector.Collector { return c }},
		"the agent is restarted": {[]string{"-ingester.max-chunk-age=12h"}, func(c *collector.Collector) *collector.Collector {
			c.Stop()
			return c.Restart()
		}},
		"the agent is killed": {[]string{"-ingester.max-chunk-age=12h"}, func(c *collector.Collector) *collector.Collector {
			c.Kill()
			return c.Restart()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			const signals = 200
			l := loki.Start(t, test.settings...)
			g := shipped.StartGateway(t, "configs/gateway.yaml", map[string]string{
				"LOGS_ENDPOINT": "http://" + l.Address + "/otlp", "TRACES_ENDPOINT": shipped.NoTraces(t),
			})
			shipped.Start(t, "configs/agent.yaml", maps.Clone(g.Agent))
			s := process.NewSender(t, process.NativeSender(t))
			order := orders.Order{
				Call: "kill", PID: s.Start(1, false)[0], Signal: int(unix.SIGHUP), Times: signals, Quiet: true,
			}
			seen := fmt.Sprintf(`event_name="kill.signal" | process_pid="%d"`, s.PID)
			assert.Empty(t, s.Order(order), "calls that failed")
			awaitInLoki(t, l, seen, signals)

			g.Stop()
			log := threeHours(t)
			cutOff := shipped.Start(t, "configs/agent.yaml", maps.Clone(g.Agent), shipped.FromLog(t, log, "cut-off"))
			harness.Eventually(t, func() bool { return cutOff.Metric("accepted_log_records") == len(log.Want) }, "the agent has read the log")
			test.meanwhile(cutOff)
			g.Collector = g.Restart()
			assert.Empty(t, s.Order(order), "calls that failed")
			awaitInLoki(t, l, seen, 2*signals)
			l.Kill()
			assert.Empty(t, s.Order(order), "calls that failed")
			l.Restart()
			awaitInLoki(t, l, `host_name="cut-off"`, len(log.Want))
			awaitInLoki(t, l, seen, 3*signals)
		})
	}
}

// threeHours returns a log of the last three hours with more events than an agent has in flight.
func threeHours(t *testing.T) *auditlog.Log {
	t.Helper()
	const events, hours = 8000, 3 * time.Hour
	log, kill := auditlog.New(t), auditlog.SingleKill(t)
	log.Milliseconds = time.Now().Add(-hours).UnixMilli()
	for range events {
		log.Milliseconds += hours.Milliseconds()/events - 3 // Stamp adds these 3 ms
		log.Add(kill)
	}
	return log
}

func awaitInLoki(t *testing.T, l *loki.Loki, condition string, count int) {
	t.Helper()
	query := `{service_name="auditkill"} | ` + condition
	uids := make(map[string]bool)
	assert.Eventually(t, func() bool {
		clear(uids)
		rows, err := l.TryAsk(query)
		for _, row := range rows {
			uids[row["log_record_uid"]] = true
		}
		return err == nil && len(uids) >= count
	}, harness.Patience, 500*time.Millisecond)
	assert.Len(t, uids, count, "%s", query)
}
