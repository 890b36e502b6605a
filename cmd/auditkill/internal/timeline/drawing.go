// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"math"
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
	// maxNameWidth is how much width names may take from the lanes.
	maxNameWidth vg.Length = 250
	gap          vg.Length = 8
	// labelGap is the smallest space between the labels of the axis, as a part of their width.
	labelGap = 0.65
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
	// several is true if a mark stands for more than one kill.
	several bool
}

// size returns the width and the height of the drawing.
func (t *Timeline) size() (width, height vg.Length) {
	lanes, _ := t.drawn()
	return pageWidth, header + vg.Length(len(lanes))*laneHeight + footer
}

// draw draws everything with a pen for a canvas of that size.
func (t *Timeline) draw(p *pen) {
	width, height := t.size()
	d := drawing{
		pen: p, timeline: t,
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

// nameLanes writes the name and count at the left of each lane, which gets the rest of the width.
func (d *drawing) nameLanes() {
	var others int
	d.lanes, others = d.timeline.drawn()
	_, exact := d.timeline.pairs()
	var names, counts vg.Length
	for i, l := range d.lanes {
		name := d.cut(d.regular, d.legible(l.name), maxNameWidth)
		if name == "" {
			name = "unknown"
		}
		count := number(l.count)
		if l.before > 0 {
			count = "≥ " + count
		}
		if others > 0 && i == len(d.lanes)-1 {
			name = about(others, "other", exact)
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
	d.write(d.bold, ink, margin, y, d.cut(d.bold, d.legible(d.timeline.title), pageWidth-2*margin))
	d.write(d.regular, faint, margin, y-lineHeight-2, d.timeline.summary())
}

// summary says how many signals there are, and from when to when.
func (t *Timeline) summary() string {
	senders, exact := t.senders.count()
	text := plural(t.count, "signal")
	var bad []string
	if failed := t.by[Failed]; failed > 0 {
		bad = append(bad, number(failed)+" failed")
	}
	if unknown := t.by[Unknown]; unknown > 0 {
		bad = append(bad, number(unknown)+" may have failed")
	}
	if len(bad) > 0 {
		text += " (" + strings.Join(bad, ", ") + ")"
	}
	return text + " by " + about(senders, "sender", exact) + ", " + span(t.times())
}

// span writes a range of time; what both ends have in common is written once.
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
	edge := d.right
	for _, line := range lines {
		x := d.x(float64(line.time.UnixMilli()))
		color := grid1
		if line.context != "" {
			color = grid2
			width := d.regular.Width(line.context)
			begin := min(max(x-width/2, d.left), d.right-width)
			edge = min(edge, begin-textSize)
			d.write(d.regular, faint, begin, contexts, line.context)
		}
		d.line(color, x, d.bottom-3, x, d.top)
		if half := d.regular.Width(line.label) / 2; x+half < pageWidth {
			d.write(d.regular, ink, x-half, labels, line.label)
		}
	}
	if edge >= d.left+d.regular.Width(context) {
		d.write(d.regular, faint, d.left, contexts, context)
	}
	d.line(grid2, d.left, d.bottom, d.right, d.bottom)
}

// fits reports whether the labels of a grid have room beside each other.
func (d *drawing) fits(lines []tick) bool {
	var labels, contexts vg.Length // where the last ones end
	for _, line := range lines {
		x := d.x(float64(line.time.UnixMilli()))
		if !d.follows(&labels, x, line.label) || !d.follows(&contexts, x, line.context) {
			return false
		}
	}
	return true
}

// follows reports whether a text around x has room after the last one, which ends at end; it
// moves end.
func (d *drawing) follows(end *vg.Length, x vg.Length, text string) bool {
	if text == "" {
		return true
	}
	width := d.regular.Width(text)
	room := x-width/2 >= *end
	*end = x + width*(0.5+labelGap)
	return room
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

// about writes how many there are of something. An estimate has two digits.
func about(n int, what string, exact bool) string {
	if exact {
		return plural(int64(n), what)
	}
	unit := math.Pow10(max(len(strconv.Itoa(n))-2, 0))
	return "about " + plural(int64(math.Round(float64(n)/unit)*unit), what)
}
