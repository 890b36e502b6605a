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

// Config is a configuration of the collector. Its parts are YAML in flow style, which fits
// on one line.
type Config struct {
	Receiver, Exporter, Extensions string
	// Pipelines are the signals that have a pipeline; only logs by default.
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

// Write writes the configuration to a file, and returns its path.
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

// keyOf returns the only key of a mapping; "" if it is empty.
func keyOf(mapping string) string { return keyPattern.FindStringSubmatch(mapping)[1] }

// ToFile returns the configuration of an exporter that writes to a file.
func ToFile(path string) string {
	return fmt.Sprintf("{file: {path: %q, flush_interval: 100ms}}", path)
}

// FileStorage returns the configuration of a storage extension that uses a folder.
func FileStorage(directory string) string {
	return fmt.Sprintf("{file_storage: {directory: %q, create_directory: true}}", directory)
}
