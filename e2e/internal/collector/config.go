// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Config is a configuration of the collector. The parts are YAML, in the flow
// style that fits on one line.
type Config struct {
	Receiver, Exporter, Extensions string
	// Pipelines are those that there are; only logs by default.
	Pipelines []string
}

const configTemplate = `
receivers: {audit_kill: %s}
exporters: %s
extensions: %s
service:
  extensions: [%s]
  pipelines: {%s}
  telemetry:
    logs: {disable_stacktrace: true}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %d}}}}]}
`

// Write returns the path of a configuration file.
func (c Config) Write(t *testing.T, metricsPort int) string {
	t.Helper()
	if c.Exporter == "" {
		c.Exporter = "{debug: {}}"
	}
	if c.Extensions == "" {
		c.Extensions = "{}"
	}
	if c.Pipelines == nil {
		c.Pipelines = []string{"logs"}
	}
	var pipelines []string
	for _, signal := range c.Pipelines {
		pipelines = append(pipelines, fmt.Sprintf("%s: {receivers: [audit_kill], exporters: [%s]}", signal, keyOf(c.Exporter)))
	}
	text := fmt.Sprintf(configTemplate, c.Receiver, c.Exporter, c.Extensions,
		keyOf(c.Extensions), strings.Join(pipelines, ", "), metricsPort)
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

var keyPattern = regexp.MustCompile(`^\{(\w*)`)

// keyOf returns the key of a mapping that has one or none.
func keyOf(mapping string) string { return keyPattern.FindStringSubmatch(mapping)[1] }

// ToFile is an exporter that writes to a file.
func ToFile(path string) string {
	return fmt.Sprintf("{file: {path: %q, flush_interval: 100ms}}", path)
}

// FileStorage is an extension that keeps checkpoints in a folder.
func FileStorage(directory string) string {
	return fmt.Sprintf("{file_storage: {directory: %q, create_directory: true}}", directory)
}
