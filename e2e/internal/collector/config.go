// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// Config is a configuration of the collector. Its parts are YAML in flow style, which fits
// on one line.
type Config struct {
	// Receiver are the settings of audit_kill.
	Receiver string
	// Receivers, instead of Receiver, are several. Each is in all pipelines, and so is each
	// Exporter.
	Receivers            string
	Exporter, Extensions string
	// Pipelines are the signals that have a pipeline; only logs by default.
	Pipelines []string
}

const configTemplate = `
receivers: %s
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
	if c.Receivers == "" {
		c.Receivers = fmt.Sprintf("{audit_kill: %s}", c.Receiver)
	}
	var pipelines []string
	for _, signal := range c.Pipelines {
		pipelines = append(pipelines,
			fmt.Sprintf("%s: {receivers: [%s], exporters: [%s]}", signal, keysOf(t, c.Receivers), keysOf(t, c.Exporter)))
	}
	text := fmt.Sprintf(configTemplate, c.Receivers, c.Exporter, c.Extensions,
		keysOf(t, c.Extensions), strings.Join(pipelines, ", "), metricsPort)
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// keysOf returns the keys of a mapping in order, as a list without its brackets.
func keysOf(t *testing.T, mapping string) string {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(mapping))
	require.NoError(t, err)
	values, err := retrieved.AsConf()
	require.NoError(t, err)
	return strings.Join(slices.Sorted(maps.Keys(values.ToStringMap())), ", ")
}

// ToFile returns the configuration of an exporter that writes to a file.
func ToFile(path string) string {
	return fmt.Sprintf("{file: {path: %q, flush_interval: 100ms}}", path)
}

// FileStorage returns the configuration of a storage extension that uses a folder.
func FileStorage(directory string) string {
	return fmt.Sprintf("{file_storage: {directory: %q, create_directory: true}}", directory)
}
