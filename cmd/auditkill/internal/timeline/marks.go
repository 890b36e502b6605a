// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
)

const (
	// markRadius is that of a single kill. With more at the same place it grows, but slowly
	// and not out of the lane.
	markRadius vg.Length = 3.6
	maxRadius  vg.Length = 6.3
	growth               = 0.12
	// column is the distance within which kills are drawn as one mark. Nobody can see it, but
	// it bounds the size of the file.
	column vg.Length = 2
	// together is how many marks are drawn at once: that makes an SVG smaller, but the time
	// for an image grows with the square of it.
	together = 16
)

// drawMarks draws the kills of a lane. Each of its signals has a row, as a SIGKILL often
// follows a SIGTERM too soon to be seen beside it.
func (d *drawing) drawMarks(l *lane, y vg.Length) {
	rows := l.rows()
	distance := laneHeight / vg.Length(len(rows)+1)
	row := y + laneHeight/2
	for _, s := range rows {
		row -= distance
		for _, k := range s.each() {
			for group := range slices.Chunk(d.spots(l, k.index()), together) {
				var shapes vg.Path
				for _, spot := range group {
					shapes = append(shapes, shape(k.signal, spot.x, row, spot.radius())...)
					d.several = d.several || spot.kills > 1
				}
				d.mark(k, shapes)
			}
		}
	}
}

// rows returns the signals that a lane has.
func (l *lane) rows() (rows []signal) {
	for s := range signals {
		if slices.ContainsFunc(s.each(), l.has) {
			rows = append(rows, s)
		}
	}
	return rows
}

// spot is a place with kills.
type spot struct {
	x     vg.Length
	kills int
}

func (s spot) radius() vg.Length {
	return min(markRadius*vg.Length(math.Pow(float64(s.kills), growth)), maxRadius)
}

// spots returns the places where a lane has kills of a kind.
func (d *drawing) spots(l *lane, kind int) (all []spot) {
	if l.rings[kind] == nil {
		return nil
	}
	for b := l.lo; b <= l.hi; b++ {
		n := int(l.at(kind, b))
		if n == 0 {
			continue
		}
		x := d.x(d.timeline.grid.middle(b))
		if len(all) > 0 && x < all[len(all)-1].x+column {
			all[len(all)-1].kills += n
			continue
		}
		all = append(all, spot{x, n})
	}
	return all
}

// mark draws the shapes of kills: the color stands for the signal, too. Failed ones are hollow, those of which nobody
// knows whether they failed are pale.
func (d *drawing) mark(k kind, shapes vg.Path) {
	switch k.result {
	case Failed:
		d.stroke(outlines[k.signal], 1.3, shapes)
	case Unknown:
		d.fill(pales[k.signal], shapes)
	default:
		d.fill(colors[k.signal], shapes)
	}
}

// shape returns the outline of a mark: a disc, a triangle or a diamond of about the same area.
func shape(s signal, x, y, radius vg.Length) vg.Path {
	switch s {
	case sigkill, anySignal:
		var p vg.Path
		p.Move(vg.Point{X: x + radius, Y: y})
		p.Arc(vg.Point{X: x, Y: y}, radius, 0, 2*math.Pi)
		p.Close()
		return p
	case sigterm:
		return polygon(x, y, radius*1.3, 3)
	default:
		return polygon(x, y, radius*1.2, 4)
	}
}

// polygon returns a regular one, with a corner at the bottom.
func polygon(x, y, radius vg.Length, corners int) vg.Path {
	var p vg.Path
	for i := range corners {
		sin, cos := math.Sincos(2*math.Pi*float64(i)/float64(corners) - math.Pi/2)
		corner := vg.Point{X: x + radius*vg.Length(cos), Y: y + radius*vg.Length(sin)}
		if i == 0 {
			p.Move(corner)
			continue
		}
		p.Line(corner)
	}
	p.Close()
	return p
}
