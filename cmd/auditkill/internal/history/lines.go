// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.opentelemetry.io/collector/pdata/plog"
)

const (
	// maxLine is the largest line that is read. Those of the packaged configurations have at most 500 records.
	maxLine = 8 << 20
	// maxObjects is how many objects a line may have: each takes memory, and may be two bytes. A record with all
	// attributes has some 200.
	maxObjects = 400_000
)

var (
	errTooLong   = fmt.Errorf("a line of more than %d MB was left out", maxLine>>20)
	errTooMany   = errors.New("a line with too many parts was left out")
	errNoRecords = errors.New("no log records in OTLP JSON")
	errDamaged   = errors.New("a damaged line, as after a full disk or the kill of a collector; its events are missing")
)

// lines reads lines that end in a newline, and remembers which one it is.
type lines struct {
	in     *bufio.Reader
	read   func(int64)
	line   []byte
	number int64
	// failed is true if nothing after this can be read.
	failed bool
}

// next returns the next line that is not empty; io.EOF after the last one. The line is valid until the next call.
func (l *lines) next() ([]byte, error) {
	for {
		l.line = l.line[:0]
		tooLong, err := l.fill()
		l.number++
		switch {
		case tooLong:
			return nil, errTooLong
		case err != nil && !errors.Is(err, io.EOF):
			l.failed = true
			return nil, err
		case len(bytes.TrimSpace(l.line)) > 0:
			return l.line, nil
		case err != nil:
			return nil, io.EOF
		}
	}
}

// fill reads one line, and reports whether that is too long: then it has read past it.
func (l *lines) fill() (tooLong bool, err error) {
	for {
		piece, err := l.in.ReadSlice('\n')
		if l.read != nil {
			l.read(int64(len(piece)))
		}
		tooLong = tooLong || len(l.line)+len(piece) > maxLine
		if !tooLong {
			l.line = append(l.line, piece...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return tooLong, err
		}
	}
}

// begin begins what the exporter writes. No text of others has it: within a text, quotes are escaped.
var begin = []byte(`{"resourceLogs":`)

// decode passes on the events of a line, and reports whether more are wanted. A line may begin with a piece of
// another one that was cut off, and hold several, if the newline between them was lost.
func decode(line []byte, add func(*Event) bool) (wanted bool, err error) {
	if !bytes.Contains(line, begin) {
		return true, errNoRecords
	}
	for line = bytes.TrimSpace(line); len(line) > 0; {
		piece := line
		if next := bytes.Index(line[1:], begin); next >= 0 {
			piece, line = line[:next+1], line[next+1:]
		} else {
			line = nil
		}
		var wrong error
		if wanted, wrong = decodeOne(piece, add); !wanted {
			return false, err
		}
		if err == nil {
			err = wrong
		}
	}
	return true, err
}

func decodeOne(piece []byte, add func(*Event) bool) (wanted bool, err error) {
	if bytes.Count(piece, []byte("{")) > maxObjects {
		return true, errTooMany
	}
	var unmarshaler plog.JSONUnmarshaler
	logs, err := unmarshaler.UnmarshalLogs(piece)
	if err != nil {
		return true, errDamaged // what exactly is wrong with it says nothing to anybody
	}
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				if e := eventOf(resource.Resource(), record); e != nil && !add(e) {
					return false, nil
				}
			}
		}
	}
	return true, nil
}
