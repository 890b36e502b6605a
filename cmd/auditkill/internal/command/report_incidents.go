// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"io"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/redact"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/incidents"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// joinedRows are the rows of --incidents.
type joinedRows struct {
	all *incidents.Incidents
	out incidents.Writer
}

func (r *report) openIncidents(out io.Writer, on terminal.Terminal) (*joinedRows, error) {
	writer, err := incidents.NewWriter(out, r.flags.output, time.Local, on, sampleRows)
	if err != nil {
		return nil, err
	}
	records := telemetry.Config{Resource: telemetry.DefaultResource(r.host), HostID: r.host.ID, CommandLine: redact.Policy(r.flags.commandLine)}
	return &joinedRows{incidents.New(records, r.host.Name), writer}, nil
}

func (j *joinedRows) add(entry listing.Entry) error { return j.print(j.all.Add(entry)) }

func (j *joinedRows) end(notes *notes) error {
	if err := j.print(j.all.End()); err != nil {
		return err
	}
	if n := j.all.Ignored(); n > 0 {
		notes.say("not in an incident: %s of number 0, which only ask whether a process exists, or that each logout brings along", countSignals(n))
	}
	return j.out.Flush()
}

func (j *joinedRows) print(all []*incident.Report) error {
	for _, r := range all {
		if err := j.out.Print(r); err != nil {
			return err
		}
	}
	return nil
}
