// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// jsonLines writes an object a line: what the collector's log record of the same event
// tells, under the same names, so that there is one vocabulary to learn (docs/events.md).
type jsonLines struct {
	out    *bufio.Writer
	atOnce bool
	logs   *telemetry.Logs
	buffer bytes.Buffer
}

// head is what stands first in each line, before the attributes.
type head struct {
	Time     string `json:"time"`
	Event    string `json:"event"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
}

func newJSON(out io.Writer, config telemetry.Config, atOnce bool) *jsonLines {
	return &jsonLines{out: bufio.NewWriter(out), atOnce: atOnce, logs: telemetry.NewLogs(config)}
}

// Print implements Printer.
func (j *jsonLines) Print(e Entry) error {
	j.logs.Append(e.Event, e.Target, e.Event.Time)
	record := j.logs.Take().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	j.buffer.Reset()
	if err := encode(&j.buffer, record); err != nil {
		return err
	}
	if _, err := j.out.Write(j.buffer.Bytes()); err != nil {
		return err
	}
	if j.atOnce {
		return j.out.Flush()
	}
	return nil
}

// Flush implements Printer.
func (j *jsonLines) Flush() error { return j.out.Flush() }

// encode writes the head and the attributes as one object: {head} and {attributes} with
// "}\n{" between them made a comma.
func encode(buffer *bytes.Buffer, record plog.LogRecord) error {
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false) // a sentence may hold < and >
	err := encoder.Encode(head{
		Time: record.Timestamp().AsTime().Format(time.RFC3339Nano), Event: record.EventName(),
		Severity: record.SeverityNumber().String(), Message: record.Body().Str(),
	})
	if err != nil {
		return err
	}
	end := buffer.Len()
	if err := encoder.Encode(record.Attributes().AsRaw()); err != nil {
		return err
	}
	joined := buffer.Bytes()
	joined[end-2] = ','
	copy(joined[end-1:], joined[end+1:])
	buffer.Truncate(len(joined) - 2)
	return nil
}
