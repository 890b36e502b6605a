// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/auditkill/auditkillreceiver/connector/killincident/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

const (
	// maxSeries is how many series each metric has; OpenTelemetry's SDKs have the same limit
	// (opentelemetry.io/docs/specs/otel/metrics/sdk/#cardinality-limits).
	maxSeries = 2000
	// maxSeriesOfHost and maxSeriesOfUser are how many of them one host, and one user there, may begin: anybody can give his
	// programs very many names.
	maxSeriesOfHost = maxSeries / 8
	maxSeriesOfUser = maxSeries / 32
	// longestName is how many bytes of a name an attribute of a series has.
	longestName = 128
)

// series are the attributes of a series. A target is its unit, or else its name.
type series struct {
	signal, cause, outcome, unit, name string
	overflow                           bool
}

// sums is one metric.
type sums struct {
	name, description, unit string
	values                  map[series]int64
	// begun is how many series hosts, and users of hosts, have begun.
	begun map[string]int
}

// counts are the metrics, since start. They are not safe for concurrent use.
type counts struct {
	start                        time.Time
	signals, outcomes, incidents sums
	overflowed                   int64
}

func newCounts(start time.Time) *counts {
	of := func(name, description, unit string) sums {
		return sums{name: "kill_incident." + name, description: description, unit: unit, values: map[series]int64{}, begun: map[string]int{}}
	}
	return &counts{
		start:     start,
		signals:   of("signals", "Number of signals sent or attempted.", "{signal}"),
		outcomes:  of("outcomes", "Number of processes that were sent a fatal signal, by what became of them.", "{process}"),
		incidents: of("incidents", "Number of incidents.", "{incident}"),
	}
}

// record counts a record that was not counted before.
func (c *counts) record(r *incident.Record) {
	s := series{cause: name(r.Cause)}
	if s.unit = name(r.Target.Unit); s.unit == "" {
		s.name = name(r.Target.Name)
	}
	user := r.HostID + "\x00" + r.Payer()
	if r.Kind == kill.KindOutcome {
		s.outcome = name(r.Outcome)
		c.add(&c.outcomes, s, 1, r.HostID, user)
		return
	}
	s.signal = name(r.SignalName)
	c.add(&c.signals, s, r.Signals(), r.HostID, user)
}

// incident counts a new incident.
func (c *counts) incident(r *incident.Report) {
	s := series{cause: name(r.Shared[incident.Cause]), unit: name(r.Shared[incident.TargetUnit])}
	if s.unit == "" {
		s.name = name(r.Shared[incident.TargetName])
	}
	begun := ""
	if len(r.Hosts) == 1 {
		begun = r.Hosts[0]
	}
	c.add(&c.incidents, s, 1, begun, begun)
}

func name(text string) string { return visible.Message(visible.Cut(text, longestName)) }

func (c *counts) add(to *sums, s series, n int64, host, user string) {
	if _, known := to.values[s]; !known {
		if len(to.values) >= maxSeries-1 || to.begun[host] >= maxSeriesOfHost || host != user && to.begun[user] >= maxSeriesOfUser {
			s = series{overflow: true}
			c.overflowed += n
		} else {
			s = s.clone()
			to.begun[strings.Clone(host)]++
			if host != user {
				to.begun[user]++
			}
		}
	}
	to.values[s] += n
}

// clone copies the texts, which may be parts of larger ones.
func (s series) clone() series {
	return series{
		signal: strings.Clone(s.signal), cause: strings.Clone(s.cause), outcome: strings.Clone(s.outcome), unit: strings.Clone(s.unit),
		name: strings.Clone(s.name),
	}
}

// overflow returns how much was counted in overflow series since the last time.
func (c *counts) overflow() int64 {
	n := c.overflowed
	c.overflowed = 0
	return n
}

// metrics returns all sums. They are not kept over a restart: a later start tells backends that they were reset.
func (c *counts) metrics(version string, now time.Time) pmetric.Metrics {
	if now.Before(c.start) { // the clock was set back
		c.start = now
	}
	metrics := pmetric.NewMetrics()
	resource := metrics.ResourceMetrics().AppendEmpty()
	resource.SetSchemaUrl(semconv.SchemaURL)
	resource.Resource().Attributes().PutStr("service.name", "auditkill")
	scope := resource.ScopeMetrics().AppendEmpty()
	scope.SetSchemaUrl(semconv.SchemaURL)
	scope.Scope().SetName(metadata.ScopeName)
	scope.Scope().SetVersion(version)
	for _, s := range []*sums{&c.signals, &c.outcomes, &c.incidents} {
		if len(s.values) > 0 {
			s.write(scope.Metrics().AppendEmpty(), c.start, now)
		}
	}
	return metrics
}

func (s *sums) write(metric pmetric.Metric, start, now time.Time) {
	metric.SetName(s.name)
	metric.SetDescription(s.description)
	metric.SetUnit(s.unit)
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	sum.DataPoints().EnsureCapacity(len(s.values))
	for of, value := range s.values {
		point := sum.DataPoints().AppendEmpty()
		point.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		point.SetTimestamp(pcommon.NewTimestampFromTime(now))
		point.SetIntValue(value)
		of.write(point.Attributes())
	}
}

func (s *series) write(a pcommon.Map) {
	if s.overflow {
		a.PutBool("otel.metric.overflow", true)
		return
	}
	for _, text := range [][2]string{
		{"kill.signal.name", s.signal},
		{"kill.cause", s.cause},
		{"kill.outcome", s.outcome},
		{"kill.target.systemd.unit", s.unit},
		{"kill.target.name", s.name},
	} {
		if text[1] != "" {
			a.PutStr(text[0], text[1])
		}
	}
}
