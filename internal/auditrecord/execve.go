// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import (
	"bytes"
	"strconv"
)

// AppendArguments appends the arguments of an EXECVE record to buf, with a NUL behind each (kernel/auditsc.c,
// audit_log_execve_info). It returns false if there are more, because the kernel has written one in pieces or has
// needed more than one record.
//
//	argc=3 a0="systemctl" a1="stop" a2=6D79207365727669636540
func AppendArguments(buf, record []byte) ([]byte, bool) {
	count, next := -1, 0
	f := fields{rest: record}
	for {
		key, value, more := f.next()
		if !more || f.unclosed {
			return buf, next == count
		}
		switch {
		case string(key) == "argc":
			count, _ = parsePID(value)
		case isArgument(key, next):
			start := len(buf)
			var whole bool
			if buf, whole = Decode(buf, value); !whole || bytes.IndexByte(buf[start:], 0) >= 0 {
				return buf[:start], false
			}
			buf = append(buf, 0)
			next++
		}
	}
}

// isArgument reports whether a field is the n-th argument.
func isArgument(key []byte, n int) bool {
	if len(key) < 2 || key[0] != 'a' {
		return false
	}
	i, err := strconv.Atoi(string(key[1:]))
	return err == nil && i == n
}

// KeyOf returns the value of the field that holds the rules' keys in a SYSCALL record.
func KeyOf(record []byte) []byte {
	if end := bytes.IndexByte(record, interpretationSeparator); end >= 0 {
		record = record[:end]
	}
	start := bytes.LastIndex(record, keyField)
	if start < 0 {
		return nil
	}
	f := fields{rest: record[start+len(keyField):]}
	return f.value()
}

var keyField = []byte(" key=")
