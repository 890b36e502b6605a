// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, createDefaultConfig().(*Config).Validate())
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"gap":          {func(c *Config) { c.Gap = 0 }, "gap: 0s must be at least 1ms, such as 30s"},
		"interval":     {func(c *Config) { c.Interval = -1 }, "interval: -1ns must be at least 1ms, such as 10s"},
		"max_duration": {func(c *Config) { c.MaxDuration = time.Second }, "max_duration: 1s must be at least gap, which is 30s"},
		"delay":        {func(c *Config) { c.Delay = -1 }, "delay: -1ns must not be negative; 0 joins records as they come"},
		"min_targets":  {func(c *Config) { c.MinTargets = 0 }, "min_targets: 0 must be from 1 to 1000000"},
		"max_open":     {func(c *Config) { c.MaxOpen = 0 }, "max_open: 0 must be from 1 to 1000000"},
		"max_members":  {func(c *Config) { c.MaxMembers = 1 }, "max_members: 1 must be from 2 to 1000000"},
		"members":      {func(c *Config) { c.Members = "all" }, `members: "all" must be none, replace or pass`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := createDefaultConfig().(*Config)
			test.change(config)
			assert.EqualError(t, config.Validate(), test.want)
		})
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys map[string]any
		want string
	}{
		"no unit": {map[string]any{"gap": 30}, "gap: 30 must be a duration with its unit, such as 2s"},
		"unknown key": {map[string]any{"gapp": "30s"}, "gapp: unknown key, use one of " +
			"delay, gap, interval, max_duration, max_members, max_open, members, min_targets, storage"},
		"text as number": {map[string]any{"max_open": "x"}, "max_open: x must be a whole number"},
		"number as text": {map[string]any{"members": 5}, "members: 5 must be a text, in quotes if it looks like a number"},
		"no extension":   {map[string]any{"storage": 5}, "storage: 5 must be the name of an extension, such as file_storage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := createDefaultConfig().(*Config)
			assert.EqualError(t, config.Unmarshal(confmap.NewFromStringMap(test.keys)), test.want)
		})
	}
	config := createDefaultConfig()
	keys := map[string]any{"gap": "1m", "storage": "file_storage", "members": "pass", "max_open": 7}
	require.NoError(t, confmap.NewFromStringMap(keys).Unmarshal(&config))
	want := createDefaultConfig().(*Config)
	storage := component.MustNewID("file_storage")
	want.Gap, want.StorageID, want.Members, want.MaxOpen = time.Minute, &storage, membersPass, 7
	assert.Equal(t, want, config)
}

func TestStorageThatIsNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t).store(newFaultyStore()).logs(&consumertest.LogsSink{})
	f.host = componenttest.NewNopHost()
	err := f.members[0].Start(t.Context(), f.host)
	require.ErrorContains(t, err, `extension "storage/test" does not exist`)
	f.stop()
}
