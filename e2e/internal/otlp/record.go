// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// AssertAttributes compares some of a log record's attributes. An attribute whose wanted
// value is nil must be absent.
func AssertAttributes(t *testing.T, r Record, want map[string]any) {
	t.Helper()
	for name, value := range want {
		assert.Equal(t, value, r.Attributes[name], "%s of %q", name, r.Body)
	}
}

// Record is a log record as the collector emitted it.
type Record struct {
	Event      string
	Severity   plog.SeverityNumber
	Time       time.Time
	Body       string
	Attributes map[string]any
	// Resource are the attributes of its resource, if it came to a Sink.
	Resource map[string]any
	TraceID  pcommon.TraceID
	SpanID   pcommon.SpanID
}

// Text returns a text attribute; "" if the record lacks it.
func (r *Record) Text(name string) string {
	value, _ := r.Attributes[name].(string)
	return value
}

// Number returns an integer attribute; 0 if the record lacks it.
func (r *Record) Number(name string) int64 {
	value, _ := r.Attributes[name].(int64)
	return value
}

// RecordsOf returns the log records in logs, in order.
func RecordsOf(logs plog.Logs) []Record {
	var records []Record
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, r := range scope.LogRecords().All() {
				records = append(records, Record{
					Event:      r.EventName(),
					Severity:   r.SeverityNumber(),
					Time:       r.Timestamp().AsTime(),
					Body:       r.Body().Str(),
					Attributes: r.Attributes().AsRaw(),
					Resource:   resource.Resource().Attributes().AsRaw(),
					TraceID:    r.TraceID(),
					SpanID:     r.SpanID(),
				})
			}
		}
	}
	return records
}

// ReadFile returns the log records that the file exporter has written so far.
func ReadFile(t *testing.T, path string) []Record {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Errorf("the file exporter's output: %v", err)
	}
	var records []Record
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		if err != nil {
			t.Errorf("the file exporter's output: %v", err)
			break
		}
		records = append(records, RecordsOf(logs)...)
	}
	return records
}

// Key identifies a log record.
type Key struct {
	Milliseconds int64
	Serial       int
	PID          int
}

// Key returns what identifies the log record.
func (r *Record) Key() Key {
	return Key{r.Time.UnixMilli(), int(r.Number("kill.audit.serial")), int(r.Number("kill.target.pid"))}
}

// CountDistinct returns how many log records there are without duplicates.
func CountDistinct(records []Record) int {
	uids := make(map[string]bool)
	for i := range records {
		uids[records[i].Text("log.record.uid")] = true
	}
	return len(uids)
}

// KeysOf returns the keys of log records, in order.
func KeysOf(records []Record) []Key {
	keys := make([]Key, len(records))
	for i := range records {
		keys[i] = records[i].Key()
	}
	return keys
}

// Signals is how many signals the record stands for.
func (r *Record) Signals() int {
	if count, ok := r.Attributes["kill.count"].(int64); ok {
		return int(count)
	}
	return 1
}
