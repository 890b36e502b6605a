// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/receiver"

	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// liveSource is a live source that reports what a test sends it, including the ends of processes.
type liveSource struct {
	seen    chan []source.Observation
	started atomic.Int32
	closed  atomic.Int32
	watched chan int
}

func newLiveSource() *liveSource {
	return &liveSource{seen: make(chan []source.Observation), watched: make(chan int, 16)}
}

// open makes a receiver use the source.
func (s *liveSource) open(r *killReceiver) {
	r.candidates = []capture.Candidate{capture.Custom(keyEBPF, s)}
}

// sends makes the source report signals and ends of processes: *kill.Event and *kill.End.
func (s *liveSource) sends(things ...any) { s.seen <- observations(things) }

func observations(things []any) []source.Observation {
	var seen []source.Observation
	for _, thing := range things {
		switch thing := thing.(type) {
		case *kill.Event:
			seen = append(seen, source.Observation{Event: thing})
		case *kill.End:
			seen = append(seen, source.Observation{End: thing})
		default:
			panic("neither an event nor an end")
		}
	}
	return seen
}

// create makes the receivers of a factory use the source.
func (s *liveSource) create(f *fixture) func(*Config, receiver.Settings) (*killReceiver, error) {
	return func(config *Config, set receiver.Settings) (*killReceiver, error) {
		r, err := newKillReceiver(config, set)
		if err == nil {
			r.machine, r.grace = f.machine, f.grace
			s.open(r)
		}
		return r, err
	}
}

func (s *liveSource) Start(context.Context) error {
	s.started.Add(1)
	return nil
}

func (s *liveSource) Run(ctx context.Context, deliver source.Deliver) {
	for {
		select {
		case seen := <-s.seen:
			if deliver(seen) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *liveSource) Close() error {
	s.closed.Add(1)
	return nil
}

// Traits implements source.Source.
func (s *liveSource) Traits() source.Traits {
	return source.Traits{Way: "ebpf", Live: true, TracksProcesses: true, Watch: func(pid int, _ time.Duration) { s.watched <- pid }}
}

// signalTo is a signal to processes of a given name, now.
func signalTo(signal kill.Signal, name string, pids ...int) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: time.Now(), Signal: signal, SignalKnown: true, Syscall: "kill", Origin: kill.OriginUser,
		Scope: kill.ScopeProcess, Result: kill.Success(), Delivery: kill.DeliveryDelivered, Code: "SI_USER",
		TargetCount: len(pids), Complete: true, Source: "ebpf",
		Sender: kill.Process{
			PID: 1, ThreadID: 1, Command: "systemd", Leader: "systemd", Executable: "/usr/lib/systemd/systemd",
			User: knownUser(0), RealUser: knownUser(0), SavedUser: knownUser(0), Title: "/sbin/init\x00", Home: ofHost,
		},
	}
	if len(pids) > 1 {
		e.Scope = kill.ScopeProcessGroup
	}
	for _, pid := range pids {
		*e.AddTarget() = kill.Process{
			PID: pid, ThreadID: pid, Command: name, Leader: name, Executable: "/usr/sbin/" + name, User: knownUser(102),
			Instance: instanceOf(pid), Home: ofHost,
		}
	}
	return e
}

// ended is the end of a process, now.
func ended(pid, status int, name string) *kill.End {
	return &kill.End{
		PID: pid, Start: instanceOf(pid).SinceBoot, Time: time.Now(), Exit: kill.Exit{Known: true, Status: status}, Command: name,
	}
}

func instanceOf(pid int) *kill.Instance {
	return &kill.Instance{
		Start: time.UnixMilli(946684000000 + int64(pid)), SinceBoot: time.Duration(pid) * time.Second, CommandLine: "mysqld\x00",
		Cgroup: "/system.slice/mysql.service", Unit: "mysql.service",
	}
}
