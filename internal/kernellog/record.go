// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kernellog

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Record is what a read of /dev/kmsg returns (Documentation/ABI/testing/dev-kmsg).
type Record struct {
	// Kernel is true if the kernel itself wrote it: whatever a process writes has another facility.
	Kernel bool
	// Sequence numbers the records since boot.
	Sequence uint64
	// SinceBoot is when it was written, by a clock that is set by nobody and stands still while the host sleeps.
	SinceBoot time.Duration
	// Caller is the thread (T7) or processor (C1) that wrote it; empty if the kernel does not tell.
	Caller string
	Text   string
}

var errRecord = errors.New("this is no record of /dev/kmsg")

// ParseRecord parses a record such as "6,160,424069,-;text". Lines after the first are a dictionary, which is dropped.
func ParseRecord(data []byte) (r Record, err error) {
	prefix, text, ok := strings.Cut(string(data), ";")
	fields := strings.Split(prefix, ",")
	if !ok || len(fields) < 3 {
		return r, errRecord
	}
	priority, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil {
		return r, errRecord
	}
	if r.Sequence, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
		return r, errRecord
	}
	micros, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || micros < 0 || micros > int64(1<<63-1)/int64(time.Microsecond) {
		return r, errRecord
	}
	r.Kernel, r.SinceBoot = priority>>3 == 0, time.Duration(micros)*time.Microsecond
	for _, field := range fields[3:] {
		if caller, ok := strings.CutPrefix(field, "caller="); ok {
			r.Caller = caller
		}
	}
	text, _, _ = strings.Cut(text, "\n")
	r.Text = unescape(text)
	return r, nil
}

// unescape puts the bytes back that the kernel writes as \x0a, among them the backslash itself (kernel/printk/printk.c,
// msg_add_ext_text).
func unescape(text string) string {
	if !strings.Contains(text, `\x`) {
		return text
	}
	var b strings.Builder
	for text != "" {
		if len(text) >= 4 && text[0] == '\\' && text[1] == 'x' {
			if value, err := strconv.ParseUint(text[2:4], 16, 8); err == nil {
				b.WriteByte(byte(value))
				text = text[4:]
				continue
			}
		}
		b.WriteByte(text[0])
		text = text[1:]
	}
	return b.String()
}
