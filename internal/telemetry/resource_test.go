// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
)

func TestNewResource(t *testing.T) {
	t.Parallel()
	host := machine.Machine{Name: "db1", ID: "0123", OS: "linux"}
	all := map[string]any{
		"host.name": "db1", "host.id": "0123", "os.type": "linux", "service.name": "auditkill", "service.instance.id": "db1",
	}
	without := func(key string) map[string]any {
		rest := map[string]any{}
		for other, value := range all {
			if other != key {
				rest[other] = value
			}
		}
		return rest
	}
	for name, test := range map[string]struct {
		change func(*metadata.ResourceAttributesConfig)
		want   map[string]any
	}{
		"by default":             {func(*metadata.ResourceAttributesConfig) {}, all},
		"no host.name":           {func(c *metadata.ResourceAttributesConfig) { c.HostName.Enabled = false }, without("host.name")},
		"no host.id":             {func(c *metadata.ResourceAttributesConfig) { c.HostID.Enabled = false }, without("host.id")},
		"no os.type":             {func(c *metadata.ResourceAttributesConfig) { c.OsType.Enabled = false }, without("os.type")},
		"no service.name":        {func(c *metadata.ResourceAttributesConfig) { c.ServiceName.Enabled = false }, without("service.name")},
		"no service.instance.id": {func(c *metadata.ResourceAttributesConfig) { c.ServiceInstanceID.Enabled = false }, without("service.instance.id")},
		"nothing":                {func(c *metadata.ResourceAttributesConfig) { *c = metadata.ResourceAttributesConfig{} }, map[string]any{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := metadata.DefaultResourceAttributesConfig()
			test.change(&config)
			assert.Equal(t, test.want, NewResource(config, host).Attributes().AsRaw())
		})
	}
	t.Run("host.ip", func(t *testing.T) {
		t.Parallel()
		config := metadata.ResourceAttributesConfig{HostIP: metadata.ResourceAttributeConfig{Enabled: true}}
		want := map[string]any{}
		if addresses := machine.Addresses(); len(addresses) > 0 {
			want["host.ip"] = addresses
		}
		assert.Equal(t, want, NewResource(config, host).Attributes().AsRaw())
	})
	t.Run("unknown host", func(t *testing.T) {
		t.Parallel()
		assert.Equal(t, map[string]any{"service.name": "auditkill"}, DefaultResource(machine.Machine{}).Attributes().AsRaw())
	})
}
