// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/timeline"
)

// maxDrawn is how many of the signals that one record stands for are drawn: a mark shows no more.
const maxDrawn = 1 << 16

// draw adds the marks of an entry to a drawing.
func draw(drawing *timeline.Timeline, e listing.Entry) {
	mark := timeline.Mark{Time: e.Event.Time, Sender: e.Program(), Target: e.TargetName(), Signal: e.Signal()}
	switch {
	case e.Failed():
		mark.Result = timeline.Failed
	case e.Doubtful():
		mark.Result = timeline.Unknown
	}
	for range min(e.Event.Signals(), maxDrawn) {
		drawing.Add(mark)
	}
}
