// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// NewHost copies a resource and its scope, without records, for a host of another name.
func NewHost(from plog.ResourceLogs, name string) plog.Logs {
	logs := plog.NewLogs()
	from.CopyTo(logs.ResourceLogs().AppendEmpty())
	resource := logs.ResourceLogs().At(0).Resource().Attributes()
	resource.PutStr("host.name", name)
	resource.PutStr("service.instance.id", name)
	resource.PutStr("host.id", fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:32])
	logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().RemoveIf(func(plog.LogRecord) bool { return true })
	return logs
}

// ReadGolden reads a golden file of the receiver's own tests: OTLP JSON, written as YAML.
func ReadGolden(t *testing.T, name string) plog.Logs {
	t.Helper()
	var data json.RawMessage
	harness.ReadYAML(t, filepath.Join("testdata", "golden", name+".yaml"), &data)
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(data)
	require.NoError(t, err)
	return logs
}
