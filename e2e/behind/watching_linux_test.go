// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"maps"
	"os/exec"
	"strings"
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/host"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// watching is a collector beside a host.
type watching struct {
	*host.Host
	t    *testing.T
	sink *otlp.Sink
}

// watch boots a host, and starts a collector that sees its signals.
func watch(t *testing.T, settings string, options ...func(*exec.Cmd)) *watching {
	t.Helper()
	return watchOn(t, nil, settings, options...)
}

// watchOn is the same for a host with packages of Debian.
func watchOn(t *testing.T, packages []string, settings string, options ...func(*exec.Cmd)) *watching {
	t.Helper()
	w := &watching{Host: host.Boot(t, packages...), t: t, sink: otlp.NewSink(t, "grpc")}
	c := collector.Start(t, collector.Config{
		Receiver: "{ebpf: {}" + settings + "}", Exporter: w.sink.Exporter, Pipelines: []string{"logs", "traces"},
	}, options...)
	c.Ready()
	w.settle()
	return w
}

// settle waits until the collector listens to the host's systemd: it says why it has stopped something.
func (w *watching) settle() {
	w.t.Helper()
	w.Service("first", host.Mysqld)
	harness.Eventually(w.t, func() bool {
		w.Root("systemctl", "start", "first")
		pid := w.MainPID("first")
		w.Root("systemctl", "stop", "first")
		r := w.signal(pid, "SIGTERM")
		return r.Text("kill.cause") == "service_stop"
	}, "the collector listens to the host's systemd")
}

// signal waits for the record of a signal to a process.
func (w *watching) signal(pid int, name string) otlp.Record {
	w.t.Helper()
	return w.await("kill.signal", pid, name)
}

func (w *watching) await(event string, pid int, name string) otlp.Record {
	w.t.Helper()
	var found otlp.Record
	harness.Eventually(w.t, func() bool {
		for _, r := range w.sink.Records() {
			if r.Event == event && r.Number("kill.target.pid") == int64(pid) && r.Text("kill.signal.name") == name {
				found = r
				return true
			}
		}
		return false
	}, "%s of %s to %d", event, name, pid)
	return found
}

// start starts a service, and returns its main process.
func (w *watching) start(name, unit string) int {
	w.t.Helper()
	w.Service(name, unit)
	w.Root("systemctl", "start", name)
	return w.MainPID(name)
}

// by is what a record says of alice, who has logged in by ssh.
func byAlice(more map[string]any) map[string]any {
	want := map[string]any{
		"user.id": "1000", "client.address": "10.0.0.5", "kill.session.service": "sshd", "kill.session.user.name": "alice",
		"kill.sender.audit.user.id": nil,
	}
	maps.Copy(want, more)
	return want
}

// after waits for SIGTERM to a process of a unit, after the first records.
func (w *watching) after(skip int, unit string) otlp.Record {
	w.t.Helper()
	return w.within(skip, "/"+unit, "SIGTERM", "")
}

// within is the same for a part of the name of a control group, and the name of the process.
func (w *watching) within(skip int, group, signal, name string) otlp.Record {
	w.t.Helper()
	var found otlp.Record
	harness.Eventually(w.t, func() bool {
		for _, r := range w.sink.Records()[skip:] {
			if r.Event == "kill.signal" && strings.Contains(r.Text("kill.target.cgroup"), group) && r.Text("kill.signal.name") == signal &&
				(name == "" || name == r.Text("kill.target.name")) {
				found = r
				return true
			}
		}
		return false
	}, "%s to a process of %s", signal, group)
	return found
}
