// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"slices"
	"strings"
)

// drawLegend explains the marks in use, below the axis.
func (d *drawing) drawLegend() {
	const y = margin + textSize*0.35
	x := d.left
	explain := func(k kind, text string) {
		x += markRadius
		d.mark(k, shape(k.signal, x, y, markRadius))
		x += markRadius + 5
		d.write(d.regular, ink, x, y-textSize*0.35, text)
		x += d.regular.Width(text) + 20
	}
	for s := range signals {
		if slices.ContainsFunc(s.each(), d.timeline.has) {
			explain(kind{signal: s}, d.legible(d.timeline.signalName(s)))
		}
	}
	if d.timeline.by[Failed] > 0 {
		explain(kind{anySignal, Failed}, "hollow: failed")
	}
	if d.timeline.by[Unknown] > 0 {
		explain(kind{anySignal, Unknown}, "pale: may have failed")
	}
	if d.several {
		d.write(d.regular, faint, x, y-textSize*0.35, "larger: several at once")
	}
}

// has reports whether there is a mark of a kind.
func (t *Timeline) has(k kind) bool { return t.kinds[k.index()] }

// signalName names the signals that a color stands for.
func (t *Timeline) signalName(s signal) string {
	names := t.otherSignals
	switch {
	case s == sigkill:
		return "SIGKILL"
	case s == sigterm:
		return "SIGTERM"
	case len(names) > maxOtherSignals:
		return strings.Join(names[:maxOtherSignals], ", ") + " and others"
	}
	return strings.Join(names, ", ")
}
