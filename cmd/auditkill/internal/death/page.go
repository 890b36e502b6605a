// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"fmt"
	"io"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
)

// leastWidth is the narrowest terminal that lines are broken for.
const leastWidth = 30

// page writes paragraphs. Its first error stays.
type page struct {
	out io.Writer
	on  terminal.Terminal
	// width is how many columns there are; 0 for as many as a line needs.
	width int
	err   error
}

// head writes the first paragraph.
func (p *page) head(format string, values ...any) {
	p.write(broken(fmt.Sprintf(format, values...), "", p.width), terminal.Bold)
}

// line writes a paragraph.
func (p *page) line(format string, values ...any) {
	p.write(broken("  "+fmt.Sprintf(format, values...), "    ", p.width), terminal.Plain)
}

// item writes a paragraph with something in front.
func (p *page) item(front, text string) {
	p.write(broken("  "+front+"  "+text, strings.Repeat(" ", len(front)+4), p.width), terminal.Plain)
}

func (p *page) write(lines []string, style terminal.Style) {
	for _, line := range lines {
		if p.err == nil {
			_, p.err = fmt.Fprintln(p.out, p.on.Paint(style, line))
		}
	}
}

// broken breaks a text between words, so that it fits into so many columns. Further lines are indented.
func broken(text, indent string, width int) []string {
	if width < leastWidth {
		return []string{text}
	}
	if len(indent) > width/2 {
		indent = "    "
	}
	var lines []string
	line := text[:len(text)-len(strings.TrimLeft(text, " "))]
	empty := true
	for word := range strings.SplitSeq(text[len(line):], " ") {
		if !empty && uniseg.StringWidth(line)+1+uniseg.StringWidth(word) > width {
			lines = append(lines, line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	return append(lines, line)
}
