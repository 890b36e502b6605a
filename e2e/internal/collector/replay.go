// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// Replay has the collector read a recording to its end, and returns the log records.
func Replay(t *testing.T, path, settings string) []otlp.Record {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.json")
	c := Start(t, Config{
		Receiver: fmt.Sprintf("{file: {path: %q, follow: false}, %s}", path, settings),
		Exporter: ToFile(out),
	})
	c.Says("the log was read to its end")
	c.Stop()
	return otlp.ReadFile(t, out)
}
