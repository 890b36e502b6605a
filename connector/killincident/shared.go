// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
)

// instances holds the connectors of a factory. The collector asks for one connector to logs pipelines and one to metrics
// pipelines. If both have the same configuration, they are one, so that logs and metrics are about the same incidents.
type instances struct {
	mutex    sync.Mutex
	byConfig map[*Config]*instance
}

// instance is a connector and its members.
type instance struct {
	joiner *joiner
	leave  func()

	mutex                    sync.Mutex
	members, started, halted int
}

func (s *instances) join(config *Config, set connector.Settings, connect func(*instance) *member) (*member, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	i := s.byConfig[config]
	if i == nil {
		j, err := newJoiner(config, set)
		if err != nil {
			return nil, err
		}
		i = &instance{joiner: j, leave: func() {
			s.mutex.Lock()
			defer s.mutex.Unlock()
			delete(s.byConfig, config)
		}}
		s.byConfig[config] = i
	}
	i.members++
	return connect(i), nil
}

// member is the connector to one kind of pipelines.
type member struct {
	*instance
	takes func() bool
}

// Start implements component.Component. The connector starts with its last member: by then the pipelines that all lead to have
// started before.
func (m *member) Start(ctx context.Context, host component.Host) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.started++
	if m.started < m.members {
		return nil
	}
	return m.joiner.start(ctx, host)
}

// Shutdown implements component.Component. The connector stops with its first member: until then, the pipelines that all
// lead to are still running, and what leads to it has stopped.
func (m *member) Shutdown(ctx context.Context) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.halted++
	if m.halted > 1 {
		return nil
	}
	m.leave()
	return m.joiner.shutdown(ctx)
}

// Capabilities implements consumer.Logs.
func (*member) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// ConsumeLogs implements consumer.Logs.
func (m *member) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	if !m.takes() {
		return nil
	}
	return m.joiner.consume(ctx, logs)
}
