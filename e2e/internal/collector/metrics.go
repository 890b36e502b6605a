// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ExporterMetric returns the sum of the series of one of the collector's own metrics that have all labels.
func (c *Collector) ExporterMetric(name string, labels ...string) int {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", c.metricsPort)) //nolint:noctx // of a local process
	if err != nil {
		return -1
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return -1
	}
	sum := 0.
	for line := range strings.Lines(string(body)) {
		wanted := strings.HasPrefix(line, "otelcol_"+name)
		for _, label := range labels {
			wanted = wanted && strings.Contains(line, label)
		}
		var value float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &value); wanted && err == nil {
			sum += value
		}
	}
	return int(sum)
}

// Metric returns the sum of a metric's series; 0 if there is none yet.
func (c *Collector) Metric(name string) int { return c.MetricOf(name, "") }

// MetricOf returns the sum of those series that have a label.
func (c *Collector) MetricOf(name, label string) int {
	sum, err := c.scrape(name, label)
	if err != nil {
		return -1
	}
	return sum
}

func (c *Collector) scrape(name, label string) (int, error) {
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet,
		fmt.Sprintf("http://127.0.0.1:%d/metrics", c.metricsPort), http.NoBody)
	if err != nil {
		return 0, err
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, errors.New(response.Status)
	}
	return sumOf(body.String(), name, label)
}

func sumOf(exposition, name, label string) (int, error) {
	var sum float64
	for line := range strings.Lines(exposition) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.IndexByte(series, '{'); i >= 0 {
			series, value = line[:i], line[strings.LastIndexByte(line, ' ')+1:]
		}
		if strings.TrimSuffix(series, "_total") != "otelcol_receiver_"+name || !strings.Contains(line, label) {
			continue
		}
		number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return 0, err
		}
		sum += number
	}
	return int(sum), nil
}
