// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package consoleexporter

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/auditkill/auditkillreceiver/exporter/consoleexporter/internal/metadata"
)

func load(t *testing.T, yaml string) (*Config, error) {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	config := createDefaultConfig().(*Config)
	return config, conf.Unmarshal(config)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		yaml              string
		attributes, queue bool
		wrong             string
	}{
		"nothing":            {yaml: "{}", attributes: true},
		"without attributes": {yaml: "attributes: false"},
		"with a queue":       {yaml: "sending_queue: {num_consumers: 1}", attributes: true, queue: true},
		"an unknown key":     {yaml: "verbosity: normal", wrong: "verbosity: unknown key, use one of attributes, sending_queue"},
		"a number":           {yaml: "attributes: 1", wrong: "attributes: 1 must be true or false"},
		"no queue":           {yaml: "sending_queue: 5", wrong: "sending_queue"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := load(t, test.yaml)
			if test.wrong != "" {
				require.ErrorContains(t, err, test.wrong)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.attributes, config.Attributes)
			assert.Equal(t, test.queue, config.QueueConfig.HasValue())
		})
	}
}

// What is in the queue is written before the collector ends.
func TestQueueIsWritten(t *testing.T) {
	t.Parallel()
	config, err := load(t, "sending_queue: {num_consumers: 1}")
	require.NoError(t, err)
	var out bytes.Buffer
	e, err := newFactory(&out).CreateLogs(t.Context(), exportertest.NewNopSettings(metadata.Type), config)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, e.ConsumeLogs(t.Context(), records("one")))
	require.NoError(t, e.ConsumeLogs(t.Context(), records("two")))
	require.NoError(t, e.Shutdown(context.Background()))
	assert.Equal(t, "one\ntwo\n", out.String())
}
