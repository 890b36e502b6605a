// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command curves draws docs/images/growth.svg, the picture of the table in docs/performance.md that `bench/live -parts growth`
// prints. It is run in the root of the repository.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"
	"os"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	table   = "docs/performance.md"
	picture = "docs/images/growth.svg"
	// heading is how the table begins.
	heading = "| what grows |"
)

func main() {
	err := run(table, picture)
	if err != nil {
		fmt.Fprintln(os.Stderr, "curves:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	panels, err := read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	var out bytes.Buffer
	if err := paint(panels, &out); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o644) //nolint:gosec // anybody may see it
}

// panel is one thing that grows, with a curve for each source.
type panel struct {
	what   string
	curves []curve
}

type curve struct {
	source      string
	cpu, memory plotter.XYs
}

// The columns of the table.
const (
	columnWhat = iota + 1
	columnLevel
	columnSource
	columnReached
	columnCPU
	columnMemory
	columns
)

const (
	// leastCPU stands for less than can be measured, as a logarithmic axis has no 0. All axes of CPU time end at mostCPU.
	leastCPU, mostCPU = 0.1, 1000
	// roomForLegend is how much higher an axis is than its values.
	roomForLegend = 1.4
)

// read reads the table.
func read(text io.Reader) (panels []panel, err error) {
	lines := bufio.NewScanner(text)
	found := false
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, heading):
			found = true
		case !found || strings.HasPrefix(line, "|--"):
		case !strings.HasPrefix(line, "|"):
			return panels, nil
		default:
			if panels, err = add(panels, line); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(panels) == 0 {
		return nil, fmt.Errorf("there is no table that begins with %q and has rows", heading)
	}
	return panels, nil
}

func add(panels []panel, line string) ([]panel, error) {
	cells := strings.Split(line, "|")
	if len(cells) < columns {
		return nil, errors.New("too few columns")
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	reached, err := strconv.ParseFloat(cells[columnReached], 64)
	if err != nil {
		return nil, err
	}
	cpu, err := strconv.ParseFloat(cells[columnCPU], 64)
	if err != nil {
		return nil, err
	}
	memory, err := strconv.ParseFloat(cells[columnMemory], 64)
	if err != nil {
		return nil, err
	}
	if len(panels) == 0 || panels[len(panels)-1].what != cells[columnWhat] {
		panels = append(panels, panel{what: cells[columnWhat]})
	}
	p := &panels[len(panels)-1]
	if len(p.curves) == 0 || p.curves[len(p.curves)-1].source != cells[columnSource] {
		p.curves = append(p.curves, curve{source: cells[columnSource]})
	}
	c := &p.curves[len(p.curves)-1]
	c.cpu = append(c.cpu, plotter.XY{X: max(reached, 1), Y: max(cpu, leastCPU)})
	c.memory = append(c.memory, plotter.XY{X: max(reached, 1), Y: memory})
	return panels, nil
}

// A panel's size. CPU time stands above memory, and what grows beside each other.
const (
	width  = 9 * vg.Centimeter
	height = 7 * vg.Centimeter
)

// paint writes the picture as SVG.
func paint(panels []panel, to io.Writer) error {
	rows := make([][]*plot.Plot, 2)
	for _, p := range panels {
		cpu, err := p.draw("CPU, % of a processor", func(c curve) plotter.XYs { return c.cpu })
		if err != nil {
			return err
		}
		cpu.Y.Scale, cpu.Y.Tick.Marker = plot.LogScale{}, thousands{}
		cpu.Y.Min, cpu.Y.Max = leastCPU, mostCPU
		memory, err := p.draw("resident memory, MB", func(c curve) plotter.XYs { return c.memory })
		if err != nil {
			return err
		}
		memory.Y.Min, memory.Y.Max = 0, memory.Y.Max*roomForLegend
		rows[0], rows[1] = append(rows[0], cpu), append(rows[1], memory)
	}
	canvas := vgsvg.New(width*vg.Length(len(panels)), height*vg.Length(len(rows)))
	page := draw.New(canvas)
	page.SetColor(color.White)
	page.Fill(page.Path())
	tiles := draw.Tiles{
		Rows: len(rows), Cols: len(panels), PadX: 5 * vg.Millimeter, PadY: 5 * vg.Millimeter, PadTop: 2 * vg.Millimeter, PadRight: 4 * vg.Millimeter,
	}
	for i, row := range plot.Align(rows, tiles, page) {
		for j := range row {
			rows[i][j].Draw(row[j])
		}
	}
	_, err := canvas.WriteTo(to)
	return err
}

// thousands marks powers of ten, and writes 1k for 1,000.
type thousands struct{}

// Ticks implements plot.Ticker.
func (thousands) Ticks(least, most float64) []plot.Tick {
	ticks := plot.LogTicks{Prec: -1}.Ticks(least, most)
	for i := range ticks {
		if short, thousand := strings.CutSuffix(ticks[i].Label, "000"); thousand {
			ticks[i].Label = short + "k"
		}
	}
	return ticks
}

// colorOf returns a color that people who see no red from green can tell from the others.
func colorOf(curve int) color.Color {
	return []color.RGBA{{R: 0, G: 114, B: 178, A: 255}, {R: 213, G: 94, B: 0, A: 255}, {R: 0, G: 158, B: 115, A: 255}}[curve%3]
}

func (p panel) draw(what string, points func(c curve) plotter.XYs) (*plot.Plot, error) {
	drawn := plot.New()
	drawn.X.Label.Text, drawn.Y.Label.Text = p.what, what
	drawn.X.Scale, drawn.X.Tick.Marker = plot.LogScale{}, thousands{}
	drawn.Legend.Top, drawn.Legend.Left = true, true
	drawn.Add(plotter.NewGrid())
	for i, c := range p.curves {
		line, dots, err := plotter.NewLinePoints(points(c))
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", p.what, c.source, err)
		}
		line.Color, dots.Color, dots.Shape = colorOf(i), colorOf(i), draw.CircleGlyph{}
		drawn.Add(line, dots)
		drawn.Legend.Add(c.source, line, dots)
	}
	return drawn, nil
}
