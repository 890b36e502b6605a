// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// serviceName is the name of the service on all hosts. Backends list what they have by this name.
const serviceName = "auditkill"

// NewResource describes a host, and what reports about it. What is not known, or not enabled, is left out.
func NewResource(config metadata.ResourceAttributesConfig, host machine.Machine) pcommon.Resource {
	b := metadata.NewResourceBuilder(config)
	text := func(set func(string), value string) {
		if value != "" {
			set(visible.Text(value))
		}
	}
	text(b.SetHostID, host.ID)
	text(b.SetHostName, host.Name)
	text(b.SetOsType, host.OS)
	text(b.SetServiceInstanceID, host.Name)
	b.SetServiceName(serviceName)
	if config.HostIP.Enabled {
		if addresses := machine.Addresses(); len(addresses) > 0 {
			b.SetHostIP(addresses)
		}
	}
	return b.Emit()
}

// DefaultResource is NewResource for who configures nothing.
func DefaultResource(host machine.Machine) pcommon.Resource {
	return NewResource(metadata.DefaultResourceAttributesConfig(), host)
}
