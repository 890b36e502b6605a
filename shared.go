// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"
)

// instances holds the receivers of a factory. The collector asks for one receiver for logs
// pipelines and one for traces pipelines. If both have the same configuration, they share one
// receiver, and so one source. The collector's own sharedcomponent does the same, but is
// internal to it, and starts with the first pipeline, when the next consumer of the other may
// not exist yet.
type instances struct {
	create   func(*Config, receiver.Settings) (*killReceiver, error)
	mutex    sync.Mutex
	byConfig map[*Config]*instance
}

// join returns the receiver of a configuration as a member of one kind of pipelines.
func (s *instances) join(
	config *Config, set receiver.Settings, signal pipeline.Signal, connect func(*killReceiver),
) (*member, error) {
	if err := checkPlatform(config); err != nil {
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	i := s.byConfig[config]
	if i == nil {
		r, err := s.create(config, set)
		if err != nil {
			return nil, err
		}
		i = &instance{receiver: r, members: map[pipeline.Signal]bool{}, leave: func() {
			s.mutex.Lock()
			defer s.mutex.Unlock()
			delete(s.byConfig, config)
		}}
		s.byConfig[config] = i
	}
	connect(i.receiver)
	i.members[signal] = true
	return &member{instance: i}, nil
}

// instance is a receiver and the kinds of pipelines that it is in.
type instance struct {
	receiver *killReceiver
	leave    func()

	mutex   sync.Mutex
	members map[pipeline.Signal]bool
	hosts   []component.Host
	stopped bool
}

// member is the receiver in one kind of pipelines.
type member struct{ *instance }

// Start implements component.Component. The receiver starts with its last member.
func (m *member) Start(ctx context.Context, host component.Host) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.hosts = append(m.hosts, host)
	if m.stopped || len(m.hosts) < len(m.members) {
		return nil
	}
	return m.receiver.Start(ctx, &statusToAll{Host: host, all: m.hosts})
}

// Shutdown implements component.Component. The receiver stops with its first member: until
// then, the next consumers of all members are still running.
func (m *member) Shutdown(ctx context.Context) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.stopped {
		return nil
	}
	m.stopped = true
	m.leave()
	return m.receiver.Shutdown(ctx)
}

// statusToAll is a host that reports the status of the receiver for each of its members.
type statusToAll struct {
	component.Host
	all []component.Host
}

var _ componentstatus.Reporter = (*statusToAll)(nil)

// Report implements componentstatus.Reporter.
func (s *statusToAll) Report(event *componentstatus.Event) {
	for _, host := range s.all {
		componentstatus.ReportStatus(host, event)
	}
}
