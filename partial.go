// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"errors"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
)

// refused returns those of the log records sent that a consumer has not taken:
// all of them, unless its error names some. They are found by their uid, since
// what the error holds has been through the processors, and must not go through
// them again.
func refused(sent plog.Logs, err error) plog.Logs {
	var partial consumererror.Logs
	// Where several consumers failed, one of them may have taken nothing.
	var several interface{ Unwrap() []error }
	if !errors.As(err, &partial) || errors.As(err, &several) {
		return sent
	}
	named := make(map[string]bool)
	for _, resource := range partial.Data().ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				named[uidOf(record)] = true
			}
		}
	}
	left := plog.NewLogs()
	sent.CopyTo(left)
	for _, resource := range left.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			scope.LogRecords().RemoveIf(func(record plog.LogRecord) bool { return !named[uidOf(record)] })
		}
	}
	if len(named) == 0 || left.LogRecordCount() != len(named) {
		return sent // not ours any more
	}
	return left
}

func uidOf(record plog.LogRecord) string {
	if uid, ok := record.Attributes().Get("log.record.uid"); ok {
		return uid.AsString()
	}
	return ""
}
