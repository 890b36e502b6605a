// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// timestamp returns a time as OTLP writes it, in nanoseconds without a sign. A damaged clock may be
// far in the future: pcommon.NewTimestampFromTime is wrong from the year 2262 on.
func timestamp(t time.Time) pcommon.Timestamp {
	return pcommon.Timestamp(uint64(t.Unix())*1e9 + uint64(t.Nanosecond()))
}
