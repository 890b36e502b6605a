// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	logs, metrics := &consumertest.LogsSink{}, &consumertest.MetricsSink{}
	f := newFixture(t).logs(logs).metrics(metrics).start()
	for range 2 {
		require.NoError(t, f.send(restarts(0, 40)))
	}
	f.stop()
	got := map[string]int64{}
	all := metrics.AllMetrics()
	for _, metric := range all[len(all)-1].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		assert.True(t, metric.Sum().IsMonotonic())
		assert.Equal(t, pmetric.AggregationTemporalityCumulative, metric.Sum().AggregationTemporality())
		for _, point := range metric.Sum().DataPoints().All() {
			assert.Equal(t, "mariadb.service", point.Attributes().AsRaw()["kill.target.systemd.unit"])
			assert.Equal(t, "service_restart", point.Attributes().AsRaw()["kill.cause"])
			got[fmt.Sprint(metric.Name(), " ", point.Attributes().AsRaw()["kill.outcome"])] = point.IntValue()
		}
	}
	assert.Equal(t, map[string]int64{
		"kill_incident.signals <nil>": 40, "kill_incident.outcomes exited": 38, "kill_incident.outcomes killed": 2, "kill_incident.incidents <nil>": 1,
	}, got)
}

// TestMetricsAfterRestart has sums begin anew, and say so: by a later start, from which a backend sees that they were reset.
func TestMetricsAfterRestart(t *testing.T) {
	t.Parallel()
	store, next := newFaultyStore(), &consumertest.MetricsSink{}
	f := newFixture(t).store(store).metrics(next).start()
	require.NoError(t, f.send(restarts(0, 40)))
	f.stop()
	f.factory = NewFactory()
	f.metrics(next).start()
	require.NoError(t, f.send(restarts(39, 2)), "one of which was counted before")
	f.stop()
	var starts []time.Time
	var signals []int64
	for _, metrics := range next.AllMetrics() {
		metric := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
		require.Equal(t, "kill_incident.signals", metric.Name())
		point := metric.Sum().DataPoints().At(0)
		assert.LessOrEqual(t, point.StartTimestamp(), point.Timestamp())
		starts, signals = append(starts, point.StartTimestamp().AsTime()), append(signals, point.IntValue())
	}
	require.Equal(t, []int64{40, 1}, signals)
	assert.True(t, starts[1].After(starts[0]))
}

// TestMetricsOfAClockThatJumps has no sum end before it began.
func TestMetricsOfAClockThatJumps(t *testing.T) {
	t.Parallel()
	c := newCounts(noon)
	c.add(&c.signals, series{name: "mysqld"}, 1, "h", "h")
	point := c.metrics("1", noon.Add(-time.Hour)).ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
	assert.LessOrEqual(t, point.StartTimestamp(), point.Timestamp())
}

func TestMetricsAlone(t *testing.T) {
	t.Parallel()
	metrics := &consumertest.MetricsSink{}
	f := newFixture(t).quick().metrics(metrics).start()
	defer f.stop()
	require.NoError(t, f.send(restarts(0, 3)))
	assert.Eventually(t, func() bool { return metrics.DataPointCount() >= 3 }, 10*time.Second, 10*time.Millisecond)
}

func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	c := newCounts(noon)
	for user := range 200 {
		for n := range 1000 {
			c.add(&c.signals, series{name: fmt.Sprint(user, n)}, 1, "one host", fmt.Sprint("one host", user))
		}
	}
	assert.LessOrEqual(t, len(c.signals.values), maxSeriesOfHost+1)
	c.add(&c.signals, series{name: "mysqld"}, 1, "another", "anothermysql")
	assert.EqualValues(t, 1, c.signals.values[series{name: "mysqld"}], "one host's noise hides nothing of others")
	for host := range 3000 {
		c.add(&c.signals, series{name: fmt.Sprint("h", host)}, 1, strconv.Itoa(host), fmt.Sprint(host, "u"))
	}
	assert.LessOrEqual(t, len(c.signals.values), maxSeries)
	total := int64(0)
	for _, n := range c.signals.values {
		total += n
	}
	assert.EqualValues(t, 200*1000+1+3000, total)
}

// TestSeriesOfCrashes has a user let programs of very many names crash, which nobody has sent a signal.
func TestSeriesOfCrashes(t *testing.T) {
	t.Parallel()
	c := newCounts(noon)
	crash := func(user string, with incident.Target) {
		with.UserID = user
		for _, kind := range []kill.Kind{kill.KindAbend, kill.KindOutcome} {
			c.record(&incident.Record{Kind: kind, HostID: "h", SignalName: "SIGSEGV", Cause: "crash", Outcome: "core_dumped", Target: with})
		}
	}
	for n := range 1000 {
		crash("1000", incident.Target{PID: int64(n), Name: fmt.Sprint("x", n)})
	}
	assert.Len(t, c.signals.values, maxSeriesOfUser+1)
	crash("102", incident.Target{PID: 7, Unit: "mysql.service"})
	assert.EqualValues(t, 1, c.signals.values[series{signal: "SIGSEGV", cause: "crash", unit: "mysql.service"}])
	assert.EqualValues(t, 1, c.outcomes.values[series{outcome: "core_dumped", cause: "crash", unit: "mysql.service"}])
}
