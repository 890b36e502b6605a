// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// record is one line, cut before and after its time and serial.
type record struct {
	before          string // type=SYSCALL msg=audit(
	seconds, serial uint64
	millis          string
	after           string // ): arch=c000003e ...
}

func (r *record) stamp() string {
	return strconv.FormatUint(r.seconds, 10) + "." + r.millis + ":" + strconv.FormatUint(r.serial, 10)
}

// recording is a log that can be written repeatedly.
type recording struct {
	records []record
	// seconds and serials are how far each repetition must be moved on so that
	// it shares no stamp with another one.
	seconds, serials uint64
}

func newRecording(text string, killsOnly bool) (*recording, error) {
	r := &recording{}
	var first, last uint64
	hit := map[string]bool{}
	for line := range strings.Lines(text) {
		next, err := parse(line)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(line, "type=OBJ_PID ") {
			hit[next.stamp()] = true
		}
		if first == 0 {
			first = next.seconds
		}
		first, last = min(first, next.seconds), max(last, next.seconds)
		r.serials = max(r.serials, next.serial+1)
		r.records = append(r.records, next)
	}
	r.seconds = last - first + 1
	if killsOnly {
		kept := r.records[:0]
		for _, each := range r.records {
			if hit[each.stamp()] {
				kept = append(kept, each)
			}
		}
		r.records = kept
	}
	if len(r.records) == 0 {
		return nil, errors.New("the recording has no records to repeat")
	}
	return r, nil
}

func parse(line string) (record, error) {
	before, rest, ok1 := strings.Cut(line, "audit(")
	stamp, after, ok2 := strings.Cut(rest, ")")
	time, serial, ok3 := strings.Cut(stamp, ":")
	seconds, millis, ok4 := strings.Cut(time, ".")
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return record{}, fmt.Errorf("%q is not an audit record", line)
	}
	r := record{before: before + "audit(", millis: millis, after: ")" + after}
	var err1, err2 error
	r.seconds, err1 = strconv.ParseUint(seconds, 10, 64)
	r.serial, err2 = strconv.ParseUint(serial, 10, 32)
	return r, errors.Join(err1, err2)
}

// repeat writes whole repetitions until there are at least size bytes.
func (r *recording) repeat(out io.Writer, size int64) error {
	var line []byte
	for round := uint64(0); size > 0; round++ {
		for i := range r.records {
			line = r.records[i].append(line[:0], round*r.seconds, round*r.serials)
			n, err := out.Write(line)
			if err != nil {
				return err
			}
			size -= int64(n)
		}
	}
	return nil
}

func (r *record) append(buf []byte, seconds, serials uint64) []byte {
	buf = append(buf, r.before...)
	buf = strconv.AppendUint(buf, r.seconds+seconds, 10)
	buf = append(append(append(buf, '.'), r.millis...), ':')
	// The kernel's serial has 32 bits and wraps around (kernel/audit.c,
	// audit_serial).
	buf = strconv.AppendUint(buf, (r.serial+serials)&(1<<32-1), 10)
	return append(buf, r.after...)
}
