// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TimeOf returns the time of a row, which is in nanoseconds from Loki and RFC 3339 from VictoriaLogs.
func TimeOf(t *testing.T, row map[string]string) time.Time {
	t.Helper()
	if nanoseconds, err := strconv.ParseInt(row["_time"], 10, 64); err == nil {
		return time.Unix(0, nanoseconds)
	}
	parsed, err := time.Parse(time.RFC3339Nano, row["_time"])
	require.NoError(t, err)
	return parsed
}

// Asker queries a backend for the events of one kind whose target has a certain name. An error
// means that the backend has not answered yet.
type Asker func(event, target string) ([]map[string]string, error)
