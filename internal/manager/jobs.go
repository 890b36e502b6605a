// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/dbus"
)

// maxJobs is how many jobs of the host's systemd are remembered, maxJobsOfOther how many of any other one, which may invent some.
const maxJobs, maxJobsOfOther = 4096, 512

// The types of jobs that are told apart here (org.freedesktop.systemd1(5)), and states of units.
const (
	typeStart, typeStop, typeRestart = "start", "stop", "restart"

	stateActive, stateActivating, stateDeactivating, stateReloading = "active", "activating", "deactivating", "reloading"
)

// jobs makes facts of the jobs of a systemd. It belongs to the goroutine that serves the connection.
type jobs struct {
	*link
	units *units
	// known are the jobs by number, current the last one of each unit.
	known   map[uint32]*job
	current map[string]*job
}

// job is what is known about a job.
type job struct {
	attribution.Job
	// first is the first state that the unit has entered since the job began; empty if it has entered none.
	first string
}

// list tells the jobs that there are already.
func (j *jobs) list() {
	call := &dbus.Call{Destination: systemdName, Path: systemdPath, Interface: systemdName + ".Manager", Member: "ListJobs"}
	j.ask(call, func(b *dbus.Body) {
		b.Each(func() {
			id, name, kind := uint32(b.Number()), unitName(b.Text()), word(b.Text())
			if !b.Failed() && name != "" {
				j.tellJob(&job{Job: attribution.Job{ID: id, Unit: name, Type: kind}})
			}
		})
	})
}

func (j *jobs) tellJob(at *job) {
	fact := at.Job
	fact.Time, fact.Manager = time.Now(), j.of.pid
	j.watcher.tell(attribution.Fact{Job: &fact})
}

// begin tells a new job at once, and again with its type if systemd still knows it when it is asked.
func (j *jobs) begin(b *dbus.Body) {
	id, path, name := uint32(b.Number()), b.Text(), unitName(b.Text())
	if b.Failed() {
		return
	}
	if name == "" || jobOfPath(path) != id {
		j.watcher.counters.malformed.Add(1)
		return
	}
	at := &job{Job: attribution.Job{ID: id, Unit: name}}
	j.remember(at)
	j.tellJob(at)
	j.get(path, systemdName+".Job", "JobType", func(b *dbus.Body) {
		at.is(word(b.Value().Text))
		if at.Type != "" && !at.Done {
			j.tellJob(at)
		}
	})
}

// is takes the type of a job. systemd turns a restart into a start once the unit has stopped, which often is
// before it answers: a unit is only stopped by a job to start it if that job was a restart.
func (at *job) is(kind string) {
	if at.Type = kind; kind == typeStart && at.first == stateDeactivating {
		at.Type = typeRestart
	}
}

func (j *jobs) remember(at *job) {
	limit := maxJobs
	if j.link != nil && j.others {
		limit = maxJobsOfOther
	}
	if len(j.known) >= limit {
		for _, other := range j.known { // any will do: systemd tells us when one ends
			j.forget(other)
			break
		}
	}
	j.known[at.ID], j.current[at.Unit] = at, at
}

func (j *jobs) forget(at *job) {
	delete(j.known, at.ID)
	if j.current[at.Unit] == at {
		delete(j.current, at.Unit)
	}
}

// entered notes the state that a unit has entered.
func (j *jobs) entered(unit, state string) {
	if at := j.current[unit]; at != nil && at.first == "" {
		at.first = state
	}
}

// end tells the end of a job. If systemd has forgotten its type, what has become of the unit shows it.
func (j *jobs) end(b *dbus.Body) {
	id, _, name, result := uint32(b.Number()), b.Text(), unitName(b.Text()), word(b.Text())
	if b.Failed() || name == "" {
		return
	}
	at := j.known[id]
	if at == nil {
		at = &job{Job: attribution.Job{ID: id, Unit: name}}
	}
	j.forget(at)
	at.Done, at.Result = true, result
	if unit := j.units.known[name]; at.Type == "" && at.first == stateDeactivating && unit != nil {
		at.Type = typeStop
		if unit.Active == stateActive || unit.Active == stateActivating {
			at.Type = typeRestart
		}
	}
	j.tellJob(at)
}

// get asks for a property.
func (l *link) get(path, of, name string, take func(*dbus.Body)) {
	l.ask(&dbus.Call{
		Destination: systemdName, Path: path, Interface: properties, Member: "Get", Arguments: []any{of, name},
	}, take)
}
