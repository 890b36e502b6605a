// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"io"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// batch is how many records are gathered before they are written.
const batch = 128

// jsonLines writes one object per line, with the content and the names of the collector's log
// record of the same event, so that there is one vocabulary to learn (docs/events.md).
type jsonLines struct {
	out    io.Writer
	atOnce bool
	logs   *telemetry.Logs
	// conceal says how much of a command line is shown.
	conceal redact.Policy
	lines   encoder
}

// Records writes log records, one object per line.
type Records struct {
	out   io.Writer
	lines encoder
}

// NewRecords returns a Records that writes to out.
func NewRecords(out io.Writer) *Records { return &Records{out, newEncoder()} }

// Print writes a record.
func (r *Records) Print(record plog.LogRecord) error {
	r.lines.buffer.Reset()
	if err := r.lines.encode(record); err != nil {
		return err
	}
	_, err := r.out.Write(r.lines.buffer.Bytes())
	return err
}

// encoder makes records lines.
type encoder struct {
	// json keeps the order of fields. encoding/json would need a map for each record, take
	// three times as long, and sort it.
	json   zapcore.Encoder
	fields []zapcore.Field
	buffer *buffer.Buffer
}

func newJSON(out io.Writer, config telemetry.Config, atOnce bool) *jsonLines {
	return &jsonLines{
		out: out, atOnce: atOnce, logs: telemetry.NewLogs(config), conceal: config.CommandLine,
		lines: newEncoder(),
	}
}

func newEncoder() encoder {
	return encoder{json: zapcore.NewJSONEncoder(zapcore.EncoderConfig{SkipLineEnding: false}), buffer: buffer.NewPool().Get()}
}

// Print implements Printer.
func (j *jsonLines) Print(e Entry) error {
	if e.Record != nil {
		j.logs.AppendRecord(Concealed(e, j.conceal))
	} else {
		j.logs.Append(e.Event, e.Target, e.Event.Time)
	}
	if j.atOnce || j.logs.Len() >= batch {
		return j.Flush()
	}
	return nil
}

// Begin implements Printer. There is no header.
func (j *jsonLines) Begin() error { return nil }

// Flush implements Printer.
func (j *jsonLines) Flush() error {
	if j.logs.Len() == 0 {
		return nil
	}
	j.lines.buffer.Reset()
	for _, record := range j.logs.Take().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		if err := j.lines.encode(record); err != nil {
			return err
		}
	}
	_, err := j.out.Write(j.lines.buffer.Bytes())
	return err
}

// encode appends a record: first the fields that all records have, then its attributes.
func (l *encoder) encode(record plog.LogRecord) error {
	l.fields = append(l.fields[:0],
		text("time", timeOf(record.Timestamp()).Format(time.RFC3339Nano)), text("event", record.EventName()),
		text("severity", record.SeverityNumber().String()), text("message", record.Body().Str()))
	for key, value := range record.Attributes().All() {
		if key == "event.name" { // what "event" has already
			continue
		}
		l.fields = append(l.fields, field(key, value))
	}
	line, err := l.json.EncodeEntry(zapcore.Entry{}, l.fields)
	if err != nil {
		return err
	}
	defer line.Free()
	_, err = l.buffer.Write(line.Bytes())
	return err
}

func text(key, value string) zapcore.Field {
	return zap.String(key, value)
}

func field(key string, value pcommon.Value) zapcore.Field {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return text(key, value.Str())
	case pcommon.ValueTypeInt:
		return zap.Int64(key, value.Int())
	case pcommon.ValueTypeBool:
		return zap.Bool(key, value.Bool())
	case pcommon.ValueTypeDouble:
		return zap.Float64(key, value.Double())
	}
	return zap.Any(key, value.AsRaw()) // a list
}

// timeOf returns a time that is written in nanoseconds without a sign, which AsTime takes for one with a
// sign: that ends in the year 2262.
func timeOf(at pcommon.Timestamp) time.Time {
	const second = 1e9
	return time.Unix(int64(at/second), int64(at%second)).UTC()
}
