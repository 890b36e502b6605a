// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// document is an answer for programs. Its events have the names of the collector's log records (docs/events.md).
type document struct {
	Target     string            `json:"target"`
	Death      json.RawMessage   `json:"death,omitempty"`
	Signals    []json.RawMessage `json:"signals,omitempty"`
	Others     []json.RawMessage `json:"also_ended,omitempty"`
	Namesakes  []json.RawMessage `json:"namesakes,omitempty"`
	Later      json.RawMessage   `json:"later_signal,omitempty"`
	LastSignal json.RawMessage   `json:"last_signal,omitempty"`
	Maybe      []json.RawMessage `json:"maybe,omitempty"`
	Notes      []string          `json:"journal,omitempty"`
	Unit       *Unit             `json:"unit,omitempty"`
	Unseen     []string          `json:"not_looked_at,omitempty"`
}

// WriteJSON writes the answer as one object on one line. config says which host it is, and what may be shown.
func (a *Answer) WriteJSON(out io.Writer, config telemetry.Config) error {
	r := recorder{config: config}
	d := document{
		Target: a.Target.String(), Notes: a.Notes, Unit: a.Unit, Unseen: a.Unseen,
	}
	if found := a.Death; found != nil {
		d.Death = r.one(&found.Moment)
		d.Signals, d.Others, d.Namesakes = r.all(found.Signals), r.all(found.Others), r.all(found.Namesakes)
		d.Later, d.Maybe = r.maybe(found.Later)
	} else {
		d.LastSignal, d.Maybe = r.maybe(a.Maybe)
	}
	if r.err != nil {
		return r.err
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(d)
}

// recorder makes objects of events, as `report --output json` does. Its first error stays.
type recorder struct {
	config telemetry.Config
	err    error
}

func (r *recorder) one(m *Moment) json.RawMessage {
	if m == nil || r.err != nil {
		return nil
	}
	var line bytes.Buffer
	printer, err := listing.New(&line, listing.Settings{Format: listing.FormatJSON, Telemetry: r.config})
	if err == nil {
		err = printer.Print(listing.Entry{Event: m.Event, Target: m.Target, Record: m.Record})
	}
	r.err = err
	return bytes.TrimSpace(line.Bytes())
}

// maybe makes objects of what may have ended it: the signal that got through, and what may not have, the likeliest first.
func (r *recorder) maybe(m *Maybe) (through json.RawMessage, others []json.RawMessage) {
	switch {
	case m == nil:
		return nil, nil
	case m.GotThrough():
		return r.one(&m.Moment), r.all(m.Besides)
	}
	return nil, append([]json.RawMessage{r.one(&m.Moment)}, r.all(m.Besides)...)
}

func (r *recorder) all(moments []Moment) (objects []json.RawMessage) {
	for i := range moments {
		objects = append(objects, r.one(&moments[i]))
	}
	return objects
}
