// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// report brings the metrics up to date, now and then: a metric for each single line would
// cost more than the line.
func (s *Source) report(ctx context.Context) {
	telemetry := s.settings.Telemetry
	counts, reported := s.scanner.Counts(), s.reported
	telemetry.ReceiverAuditKillRecordsRead.Add(ctx, counts.Records-reported.Records)
	telemetry.ReceiverAuditKillFileBytesRead.Add(ctx, counts.Bytes-reported.Bytes)
	s.reject(ctx, "malformed", counts.Malformed-reported.Malformed)
	s.reject(ctx, "too_long", counts.TooLong-reported.TooLong)
	s.reported = counts

	correlated := s.scanner.Correlator.Counts()
	telemetry.ReceiverAuditKillIncomplete.Add(ctx, correlated.Incomplete-s.correlated.Incomplete)
	telemetry.ReceiverAuditKillEvicted.Add(ctx, correlated.Evicted-s.correlated.Evicted)
	s.correlated = correlated
}

func (s *Source) reject(ctx context.Context, reason string, n int64) {
	if n > 0 {
		s.settings.Telemetry.ReceiverAuditKillRejected.Add(ctx, n, metric.WithAttributes(attribute.String("reason", reason)))
	}
}
