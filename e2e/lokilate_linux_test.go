// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// A host that was cut off for three hours and one that was not both arrive whole, also
// if Loki is killed meanwhile. Of a stream Loki takes nothing that is older than its
// newest entry by more than half of ingester.max_chunk_age, which is an hour by itself.
//
// An agent that ends during the outage sends last what it was about to send first (the
// collector's persistent queue appends what was in flight). Then that hour is not
// enough, and Loki has to permit more.
func TestLokiTakesWhatIsLate(t *testing.T) {
	needRoot(t)
	for name, test := range map[string]struct {
		settings  []string
		meanwhile func(*collector) *collector
	}{
		"nothing else happens": {nil, func(c *collector) *collector { return c }},
		"the agent is restarted": {[]string{"-ingester.max-chunk-age=12h"}, func(c *collector) *collector {
			c.stop()
			return c.restart()
		}},
		"the agent is killed": {[]string{"-ingester.max-chunk-age=12h"}, func(c *collector) *collector {
			c.kill()
			return c.restart()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			const signals = 200
			l := startLoki(t, test.settings...)
			g := startGateway(t, "configs/gateway.yaml", map[string]string{
				"LOGS_ENDPOINT": "http://" + l.address + "/otlp", "TRACES_ENDPOINT": noTraces(t),
			})
			startConfigured(t, "configs/agent.yaml", maps.Clone(g.agent))
			s := newSender(t, nativeSender(t))
			order := orders.Order{
				Call: "kill", PID: s.start(1, false)[0], Signal: int(unix.SIGHUP), Times: signals, Quiet: true,
			}
			seen := fmt.Sprintf(`event_name="kill.signal" | process_pid="%d"`, s.pid)
			assert.Empty(t, s.order(order), "calls that failed")
			awaitInLoki(t, l, seen, signals)

			g.stop()
			log := threeHours(t)
			cutOff := startConfigured(t, "configs/agent.yaml", maps.Clone(g.agent), fileSource(t, log, "cut-off"))
			eventually(t, func() bool { return cutOff.metric("accepted_log_records") == len(log.want) }, "the agent has read the log")
			test.meanwhile(cutOff)
			g.collector = g.restart()
			assert.Empty(t, s.order(order), "calls that failed")
			awaitInLoki(t, l, seen, 2*signals)
			l.kill()
			assert.Empty(t, s.order(order), "calls that failed")
			l.restart()
			awaitInLoki(t, l, `host_name="cut-off"`, len(log.want))
			awaitInLoki(t, l, seen, 3*signals)
		})
	}
}

// threeHours is a log of the last three hours, of more than an agent has in flight.
func threeHours(t *testing.T) *auditLog {
	t.Helper()
	const events, hours = 8000, 3 * time.Hour
	log, kill := newAuditLog(t), singleKill(t)
	log.milliseconds = time.Now().Add(-hours).UnixMilli()
	for range events {
		log.milliseconds += hours.Milliseconds()/events - 3 // what add goes on by itself
		log.add(kill)
	}
	return log
}

func awaitInLoki(t *testing.T, l *loki, condition string, count int) {
	t.Helper()
	query := `{service_name="auditkill"} | ` + condition
	uids := make(map[string]bool)
	assert.Eventually(t, func() bool {
		clear(uids)
		rows, err := l.tryAsk(query)
		for _, row := range rows {
			uids[row["log_record_uid"]] = true
		}
		return err == nil && len(uids) >= count
	}, patience, 500*time.Millisecond)
	assert.Len(t, uids, count, "%s", query)
}
