// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// lossy are the counters of what was not seen, by the end of their names, and what to
// call it.
var lossy = []struct{ counter, what string }{
	{"_ring_dropped", "the buffer of the kernel's programs was full for %d records"},
	{"_missed", "the kernel has skipped its programs %d times"},
	{"_kernel_lost", "the kernel has lost %d audit records"},
	{"_receive_overruns", "the buffer for audit records was full %d times"},
	{"_sequence_gaps", "%d audit events have not come"},
	{"_queue_dropped", "%d signals came faster than they were printed"},
	{"_file_lost", "a part of the log was rotated away %d times before it was read"},
}

// losses is a metric.MeterProvider that keeps what counts tell of losses, and nothing else.
type losses struct {
	noop.MeterProvider

	mutex  sync.Mutex
	counts map[string]int64
}

func newLosses() *losses { return &losses{counts: map[string]int64{}} }

// Meter implements metric.MeterProvider.
func (l *losses) Meter(string, ...metric.MeterOption) metric.Meter { return meter{losses: l} }

// told says what was lost.
func (l *losses) told() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var told []string
	for _, each := range lossy {
		if n := l.counts[each.counter]; n > 0 {
			told = append(told, "signals may be missing: "+fmt.Sprintf(each.what, n))
		}
	}
	return told
}

type meter struct {
	noop.Meter
	losses *losses
}

// Int64Counter implements metric.Meter.
func (m meter) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	for _, each := range lossy {
		if strings.HasSuffix(name, each.counter) {
			return counter{name: each.counter, losses: m.losses}, nil
		}
	}
	return noop.Int64Counter{}, nil
}

type counter struct {
	noop.Int64Counter
	name   string
	losses *losses
}

// Add implements metric.Int64Counter.
func (c counter) Add(_ context.Context, n int64, _ ...metric.AddOption) {
	c.losses.mutex.Lock()
	defer c.losses.mutex.Unlock()
	c.losses.counts[c.name] += n
}

// Enabled implements metric.Int64Counter.
func (counter) Enabled(context.Context) bool { return true }
