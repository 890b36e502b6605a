// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// refused returns the log records sent that a consumer did not take: all of them, unless its
// error names some. They are found by their uid: the records in the error have been through
// the processors, and must not go through them again.
func refused(sent plog.Logs, err error) plog.Logs {
	var partial consumererror.Logs
	if !errors.As(err, &partial) || severalFailed(err) {
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
		return sent // the error names records that we did not send
	}
	return left
}

func uidOf(record plog.LogRecord) string {
	if uid, ok := record.Attributes().Get("log.record.uid"); ok {
		return uid.AsString()
	}
	return ""
}

// refusedSpans does the same for spans, which are found by their ids.
func refusedSpans(sent ptrace.Traces, err error) ptrace.Traces {
	var partial consumererror.Traces
	if !errors.As(err, &partial) || severalFailed(err) {
		return sent
	}
	type id struct {
		trace pcommon.TraceID
		span  pcommon.SpanID
	}
	named := make(map[id]bool)
	for _, resource := range partial.Data().ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				named[id{span.TraceID(), span.SpanID()}] = true
			}
		}
	}
	left := ptrace.NewTraces()
	sent.CopyTo(left)
	for _, resource := range left.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			scope.Spans().RemoveIf(func(span ptrace.Span) bool { return !named[id{span.TraceID(), span.SpanID()}] })
		}
	}
	if len(named) == 0 || left.SpanCount() != len(named) {
		return sent // the error names records that we did not send
	}
	return left
}

// severalFailed reports whether several consumers failed. One of them may have taken nothing.
func severalFailed(err error) bool {
	var several interface{ Unwrap() []error }
	return errors.As(err, &several)
}
