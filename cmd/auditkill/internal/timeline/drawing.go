// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot/vg"
)

// The measures of a drawing, in points of 1/72 inch, with the origin at the lower left.
const (
	pageWidth  vg.Length = 960
	margin     vg.Length = 20
	titleSize  vg.Length = 14
	textSize   vg.Length = 10
	lineHeight vg.Length = 15
	laneHeight vg.Length = 26
	// header and footer are above and below the lanes: title and range, labels of the axis
	// and legend.
	header = margin + titleSize + lineHeight + 12
	footer = 3*lineHeight + 12 + margin
	// maxNameWidth is what names may take from the lanes.
	maxNameWidth vg.Length = 250
	gap          vg.Length = 8
	// labelGap is the least space between the labels of the axis.
	labelGap vg.Length = 14
)

// drawing is a timeline on its way to the paper.
type drawing struct {
	*pen
	timeline *Timeline
	lanes    []*lane
	names    []string
	counts   []string
	// from and to are the times at the left and the right edge of the lanes, and left to
	// top their edges.
	from, to                 time.Time
	left, right, bottom, top vg.Length
}

// size returns the width and the height of the drawing.
func (t *Timeline) size() (width, height vg.Length) {
	lanes, _ := t.drawn()
	return pageWidth, header + vg.Length(len(lanes))*laneHeight + footer
}

// draw draws everything onto a canvas of that size.
func (t *Timeline) draw(c vg.Canvas) {
	width, height := t.size()
	d := drawing{
		pen: newPen(c), timeline: t,
		right: width - margin, bottom: footer, top: height - header,
	}
	d.fill(white, rectangle(0, 0, width, height))
	d.nameLanes()
	d.chooseRange()
	d.drawTitle(height)
	d.drawLanes()
	d.drawAxis()
	for i, l := range d.lanes {
		d.drawMarks(l, d.laneMiddle(i))
	}
	d.drawLegend()
}

// nameLanes writes what is at the left of each lane, and leaves the rest of the width to it.
func (d *drawing) nameLanes() {
	var others int
	d.lanes, others = d.timeline.drawn()
	var names, counts vg.Length
	for i, l := range d.lanes {
		name := d.cut(d.regular, printable(l.name), maxNameWidth)
		if name == "" {
			name = "unknown"
		}
		count := number(l.count)
		if l.inherited > 0 {
			count = "≥ " + count
		}
		if others > 0 && i == len(d.lanes)-1 {
			name = plural(int64(others), "other sender")
			if _, all := d.timeline.senders(); !all {
				name = "more than " + name
			}
			count = number(l.count)
		}
		d.names, d.counts = append(d.names, name), append(d.counts, count)
		names = max(names, d.regular.Width(name))
		counts = max(counts, d.regular.Width(count))
	}
	d.left = margin + names + 2*gap + counts + gap
}

// chooseRange puts some space before the first kill and after the last one. A single moment
// gets a minute.
func (d *drawing) chooseRange() {
	first, last := d.timeline.times()
	pad := time.Duration(float64(last.Sub(first)) * 0.015)
	if first.Equal(last) {
		pad = 30 * time.Second
	}
	d.from, d.to = first.Add(-pad), last.Add(pad)
}

// times returns the times of the first and of the last kill.
func (t *Timeline) times() (first, last time.Time) {
	return time.UnixMilli(t.first).In(t.location), time.UnixMilli(t.last).In(t.location)
}

// x returns where a time is, in milliseconds since 1970.
func (d *drawing) x(milliseconds float64) vg.Length {
	from, to := float64(d.from.UnixMilli()), float64(d.to.UnixMilli())
	return d.left + vg.Length((milliseconds-from)/(to-from))*(d.right-d.left)
}

func (d *drawing) laneMiddle(i int) vg.Length {
	return d.top - (vg.Length(i)+0.5)*laneHeight
}

func (d *drawing) drawTitle(height vg.Length) {
	y := height - margin - titleSize*0.8
	d.write(d.bold, ink, margin, y, d.cut(d.bold, printable(d.timeline.title), pageWidth-2*margin))
	d.write(d.regular, faint, margin, y-lineHeight-2, d.timeline.summary())
}

// summary says how many kills there are, and from when to when.
func (t *Timeline) summary() string {
	senders, all := t.senders()
	by := plural(int64(senders), "sender")
	if !all {
		by = "more than " + by
	}
	text := plural(t.count, "kill")
	if t.failed > 0 {
		text += " (" + number(t.failed) + " failed)"
	}
	return text + " by " + by + ", " + span(t.times())
}

// span writes a range of time, and what both ends have in common once.
func span(first, last time.Time) string {
	const date, clock, zone = "2006-01-02", "15:04:05", "MST"
	if first.Unix() == last.Unix() {
		return first.Format(date + " " + clock + " " + zone)
	}
	from, to := date+" "+clock, date+" "+clock+" "+zone
	if first.Format(zone) != last.Format(zone) {
		from += " " + zone
	}
	if first.Format(date) == last.Format(date) {
		to = clock + " " + zone
	}
	return first.Format(from) + " to " + last.Format(to)
}

// drawLanes draws the ground of each lane and its name.
func (d *drawing) drawLanes() {
	for i := range d.lanes {
		y := d.laneMiddle(i)
		if i%2 == 0 {
			d.fill(shade, rectangle(d.left, y-laneHeight/2, d.right, y+laneHeight/2))
		}
		baseline := y - textSize*0.35
		counts := d.left - gap
		d.writeRight(d.regular, faint, counts, baseline, d.counts[i])
		names := counts - 2*gap - d.widestCount()
		d.writeRight(d.regular, ink, names, baseline, d.names[i])
	}
}

func (d *drawing) widestCount() (width vg.Length) {
	for _, count := range d.counts {
		width = max(width, d.regular.Width(count))
	}
	return width
}

// drawAxis draws the grid and, below it, the times and what they are part of.
func (d *drawing) drawAxis() {
	lines, context := ticks(d.from, d.to, d.fits)
	labels := d.bottom - lineHeight
	contexts := labels - lineHeight
	// The first context has no line of its own: it begins at the edge.
	edge := d.left + d.regular.Width(context) + labelGap
	for _, line := range lines {
		x := d.x(float64(line.time.UnixMilli()))
		color := grid1
		if line.context != "" {
			color = grid2
			half := d.regular.Width(line.context) / 2
			edge = min(edge, x-half-labelGap)
			d.write(d.regular, faint, min(x-half, d.right-2*half), contexts, line.context)
		}
		d.line(color, x, d.bottom-3, x, d.top)
		d.write(d.regular, ink, x-d.regular.Width(line.label)/2, labels, line.label)
	}
	if edge >= d.left+d.regular.Width(context) {
		d.write(d.regular, faint, d.left, contexts, context)
	}
	d.line(grid2, d.left, d.bottom, d.right, d.bottom)
}

// fits tells whether the labels of a grid have room beside each other.
func (d *drawing) fits(lines []tick) bool {
	labels, contexts := d.left-margin, d.left-margin
	for _, line := range lines {
		x := d.x(float64(line.time.UnixMilli()))
		half := d.regular.Width(line.label) / 2
		if x-half < labels {
			return false
		}
		labels = x + half + labelGap
		if line.context == "" {
			continue
		}
		half = d.regular.Width(line.context) / 2
		if x-half < contexts {
			return false
		}
		contexts = x + half + labelGap
	}
	return true
}

// number writes a number with a comma at each three digits.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// plural writes how many there are of something.
func plural(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return number(n) + " " + what
}

// drawLegend tells below the axis what the marks mean.
func (d *drawing) drawLegend() {
	x, y := d.left, margin+textSize*0.35
	for _, k := range d.timeline.legend() {
		d.mark(k.kind, x+4, y, markRadius)
		x += 4 + markRadius + 6
		d.write(d.regular, ink, x, y-textSize*0.35, k.text)
		x += d.regular.Width(k.text) + 20
	}
}

// entry is what the legend says about a kind of mark.
type entry struct {
	kind kind
	text string
}

// legend returns what there is to explain.
func (t *Timeline) legend() []entry {
	var entries []entry
	for k := range kinds {
		if t.kinds[k] == 0 {
			continue
		}
		each := kind{signal: signal(k % int(signals)), failed: k >= int(signals)}
		text := [signals]string{"SIGKILL", "SIGTERM", t.otherNames()}[each.signal]
		if each.failed {
			text += ", failed"
		}
		entries = append(entries, entry{each, text})
	}
	return entries
}

// otherNames names the signals that share a color.
func (t *Timeline) otherNames() string {
	names := t.otherSignals
	if len(names) <= maxOtherSignals {
		return printable(strings.Join(names, ", "))
	}
	return fmt.Sprintf("%s and others", printable(strings.Join(names[:maxOtherSignals], ", ")))
}
