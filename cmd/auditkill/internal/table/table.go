// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package table writes rows as lines of a table that fits the terminal.
//
// Libraries for tables gather all rows first, or wrap them. This one writes while a log of any
// length is read, and while signals arrive.
package table

import (
	"bufio"
	"io"
	"math"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
)

const (
	// hidden is no width.
	hidden = -1
	// gap is the number of blanks between columns; one less if the terminal is narrow.
	gap      = 2
	ellipsis = "…"
	// indent is how many blanks begin the second line of a row.
	indent = 4
	// none stands for an empty cell.
	none = "-"
	// flushSize is how many bytes of whole rows are written at a time, so that something else
	// can be shown between rows.
	flushSize = 32 << 10
)

// Column is a column of a table.
type Column[Row any] struct {
	Title string
	// Usual is its width if the first rows do not decide it, Least its width on a narrow
	// terminal.
	Usual, Least int
	// Yields lets it become narrower before the others do.
	Yields bool
	// Optional leaves it out of a terminal that is too narrow for the others, the last one first.
	Optional bool
	// Wanted decides by the first rows whether the column is shown; nil shows it.
	Wanted func([]Row) bool
	// KeepEnd cuts a long text at its beginning, such as a path.
	KeepEnd bool
	Text    func(Row) string
	// Short is the text, of the least width, if Text does not fit; nil cuts Text.
	Short func(Row) string
	// Whole shows a text that does not fit nevertheless, and what does not fit behind it on a line of its own.
	Whole bool
	// Style is the style of a cell; nil is plain.
	Style func(Row) terminal.Style
}

// Table writes rows. On a terminal, each takes one line, or more where a text that is wanted whole does not fit.
type Table[Row any] struct {
	out      *bufio.Writer
	terminal terminal.Terminal
	columns  []Column[Row]
	// sample holds the first rows until they have decided the widths; size is how many.
	sample []Row
	size   int
	begun  bool
	// natural are the widths that the columns need, widths those on a terminal of the given
	// width, where hidden is the width of a column that is left out.
	natural, widths []int
	width, gap      int
}

// New returns a table whose first rows, as many as sample, decide the widths of its columns. With
// 0, each row is written at once.
func New[Row any](out io.Writer, on terminal.Terminal, columns []Column[Row], sample int) *Table[Row] {
	t := &Table[Row]{out: bufio.NewWriterSize(out, 2*flushSize), terminal: on, columns: columns, size: sample, width: -1}
	for _, column := range columns {
		width := widthOf(column.Title)
		if sample == 0 {
			width = max(width, column.Usual)
		}
		t.natural = append(t.natural, width)
	}
	return t
}

// Print writes a row, perhaps later.
func (t *Table[Row]) Print(row Row) error {
	if len(t.sample) < t.size {
		t.sample = append(t.sample, row)
		return nil
	}
	if t.size == 0 {
		t.row(row)
		return t.out.Flush()
	}
	t.measure()
	t.row(row)
	if t.out.Buffered() < flushSize {
		return nil
	}
	return t.out.Flush()
}

// Begin writes the header now, because the first row may be a long time in coming.
func (t *Table[Row]) Begin() error {
	t.layout()
	t.header()
	return t.out.Flush()
}

// header writes the titles, once.
func (t *Table[Row]) header() {
	if t.begun {
		return
	}
	t.begun = true
	t.line(func(i int) (string, terminal.Style) { return cut(t.columns[i].Title, t.room(i), false), terminal.Bold })
}

// Flush writes what has not been written yet.
func (t *Table[Row]) Flush() error {
	t.measure()
	return t.out.Flush()
}

// measure ends the sample.
func (t *Table[Row]) measure() {
	sample := t.sample
	t.sample = nil
	if len(sample) == 0 {
		return
	}
	t.size = -1
	t.drop(func(c Column[Row]) bool { return c.Wanted != nil && !c.Wanted(sample) })
	for _, row := range sample {
		for i, column := range t.columns {
			t.natural[i] = max(t.natural[i], widthOf(inColumn(column.Text(row))))
		}
	}
	for _, row := range sample {
		t.row(row)
	}
}

// drop removes columns.
func (t *Table[Row]) drop(unwanted func(Column[Row]) bool) {
	var columns []Column[Row]
	var natural []int
	for i, column := range t.columns {
		if !unwanted(column) {
			columns, natural = append(columns, column), append(natural, t.natural[i])
		}
	}
	t.columns, t.natural = columns, natural
}

func (t *Table[Row]) row(row Row) {
	t.layout()
	t.header()
	t.line(func(i int) (string, terminal.Style) {
		column, style := t.columns[i], terminal.Plain
		if column.Style != nil {
			style = column.Style(row)
		}
		text := inColumn(column.Text(row))
		if text == "" {
			text, style = none, terminal.Plain
		}
		if column.Short != nil && t.width > 0 && widthOf(text) > t.widths[i] {
			text = inColumn(column.Short(row))
		}
		return text, style
	})
}

// layout fits the columns into the terminal, narrowing the widest first.
func (t *Table[Row]) layout() {
	width := t.terminal.Width()
	if width == t.width {
		return
	}
	t.width, t.widths, t.gap = width, append([]int(nil), t.natural...), gap
	if width == 0 {
		return
	}
	total := t.total()
	if total > width {
		t.gap--
		t.hide()
		total = t.total()
	}
	for ; total > width; total-- {
		narrower := t.widest(true)
		if narrower < 0 {
			narrower = t.widest(false)
		}
		if narrower < 0 {
			return // too narrow for that; line cuts
		}
		t.widths[narrower]--
	}
}

// total is how wide a line is.
func (t *Table[Row]) total() int {
	total := -t.gap
	for _, each := range t.widths {
		if each != hidden {
			total += each + t.gap
		}
	}
	return total
}

// hide leaves out columns until there is room for the texts of the others: for the shorter ones, where there are
// any, and for a part of those that yield.
func (t *Table[Row]) hide() {
	for last := len(t.columns) - 1; last >= 0; last-- {
		if !t.columns[last].Optional {
			continue
		}
		needed := t.total()
		for i, column := range t.columns {
			if t.widths[i] != hidden && (column.Yields || column.Short != nil) {
				needed -= max(t.widths[i]-column.Least, 0)
			}
		}
		if needed <= t.width {
			return
		}
		t.widths[last] = hidden
	}
}

// widest returns the column that has the most room to spare, of those that yield or of all; -1
// if none has any.
func (t *Table[Row]) widest(yielding bool) int {
	widest, spare := -1, 0
	for i, column := range t.columns {
		if s := t.widths[i] - column.Least; s > spare && (column.Yields || !yielding) {
			widest, spare = i, s
		}
	}
	return widest
}

// room returns how many columns of the terminal a text may take.
func (t *Table[Row]) room(column int) int {
	if t.width == 0 {
		return math.MaxInt
	}
	return max(t.widths[column], 0)
}

// line writes a line without blanks at its end.
func (t *Table[Row]) line(cell func(i int) (string, terminal.Style)) {
	padding, left := 0, t.width
	for i := range t.columns {
		if t.width > 0 && t.widths[i] == hidden {
			continue
		}
		text, style := cell(i)
		if t.width > 0 {
			room := min(t.widths[i], left)
			if needed := widthOf(text); t.columns[i].Whole && needed > room {
				if needed > left && left < t.width-indent {
					_, _ = t.out.WriteString("\n" + strings.Repeat(" ", indent)) // Flush returns the error
					left, padding = t.width-indent, 0
				}
				room = min(needed, left)
			}
			text = cut(text, room, t.columns[i].KeepEnd)
			left -= room + t.gap
		}
		if text == "" {
			continue // a text behind it may be wanted whole
		}
		_, _ = t.out.WriteString(strings.Repeat(" ", padding)) // Flush returns the error
		_, _ = t.out.WriteString(t.terminal.Paint(style, text))
		padding = max(0, t.widths[i]-widthOf(text)) + t.gap
	}
	_ = t.out.WriteByte('\n')
}

// inColumn escapes the blanks of a text behind those between columns or another one, so that what somebody has chosen, such as the
// name of a process, cannot be taken for several columns.
func inColumn(text string) string {
	if !strings.HasPrefix(text, " ") && !strings.Contains(text, "  ") {
		return text
	}
	var escaped strings.Builder
	last := ' '
	for _, r := range text {
		if r == ' ' && last == ' ' {
			escaped.WriteString(`\x20`)
		} else {
			escaped.WriteRune(r)
		}
		last = r
	}
	return escaped.String()
}

// cut shortens a text to a width, and shows that it did.
func cut(text string, width int, keepEnd bool) string {
	if widthOf(text) <= width {
		return text
	}
	if width <= 0 {
		return ""
	}
	var clusters []string
	for graphemes := uniseg.NewGraphemes(text); graphemes.Next(); {
		clusters = append(clusters, graphemes.Str())
	}
	room := width - 1
	if keepEnd {
		kept := len(clusters)
		for kept > 0 && widthOf(clusters[kept-1]) <= room {
			kept--
			room -= widthOf(clusters[kept])
		}
		return ellipsis + strings.Join(clusters[kept:], "")
	}
	kept := 0
	for kept < len(clusters) && widthOf(clusters[kept]) <= room {
		room -= widthOf(clusters[kept])
		kept++
	}
	return strings.Join(clusters[:kept], "") + ellipsis
}
