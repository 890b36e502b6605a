// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Metric returns the sum of all series of one of the receiver's metrics: 0 if it has none
// yet, and -1 if the collector does not answer.
func (c *Collector) Metric(name string) int { return c.MetricOf(name, "") }

// MetricOf returns the sum of the series that have a label.
func (c *Collector) MetricOf(name, label string) int {
	return c.sum(func(series string) bool {
		metric, _, _ := strings.Cut(series, "{")
		return strings.TrimSuffix(metric, "_total") == "otelcol_receiver_"+name && strings.Contains(series, label)
	})
}

// ExporterMetric returns the sum of the series of the collector's own metrics whose name
// begins with name and that have all labels.
func (c *Collector) ExporterMetric(name string, labels ...string) int {
	return c.sum(func(series string) bool {
		wanted := strings.HasPrefix(series, "otelcol_"+name)
		for _, label := range labels {
			wanted = wanted && strings.Contains(series, label)
		}
		return wanted
	})
}

// AwaitIdle waits until the receiver has read something and reads no more, and returns how many
// records it has read.
func (c *Collector) AwaitIdle() (read int) {
	c.t.Helper()
	read = -1
	require.Eventually(c.t, func() bool {
		before := read
		read = c.Metric("audit_kill_records_read")
		return read > 0 && read == before
	}, harness.Patience, 500*time.Millisecond, "the receiver stops reading")
	return read
}

// sum returns the sum of the wanted series.
func (c *Collector) sum(wanted func(series string) bool) int {
	all, err := c.series()
	if err != nil {
		return -1
	}
	sum := 0.
	for series, value := range all {
		if wanted(series) {
			sum += value
		}
	}
	return int(sum)
}

// Series returns the values of all series of the receiver's own metrics, by their names and
// labels.
func (c *Collector) Series() map[string]float64 {
	c.t.Helper()
	all, err := c.series()
	require.NoError(c.t, err)
	maps.DeleteFunc(all, func(series string, _ float64) bool { return !strings.HasPrefix(series, "otelcol_receiver_audit_kill_") })
	return all
}

// series returns the values of all series that the collector exposes.
func (c *Collector) series() (map[string]float64, error) {
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet,
		fmt.Sprintf("http://127.0.0.1:%d/metrics", c.metricsPort), http.NoBody)
	if err != nil {
		return nil, err
	}
	exposition, err := harness.Do(request)
	if err != nil {
		return nil, err
	}
	all := make(map[string]float64)
	for line := range strings.Lines(string(exposition)) {
		line = strings.TrimSpace(line)
		end := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || end < 0 {
			continue
		}
		if all[line[:end]], err = strconv.ParseFloat(line[end+1:], 64); err != nil {
			return nil, err
		}
	}
	return all, nil
}
