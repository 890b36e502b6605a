// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package terminal finds out what a command writes to: a terminal, its width and colors.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Terminal describes what a command writes to, which need not be a terminal.
type Terminal struct {
	// IsTerminal is false for files, pipes and everything else that is not a terminal.
	IsTerminal bool
	// Color is true for a terminal that supports colors, unless the user does not want them
	// (https://no-color.org).
	Color bool

	fd int
}

// Of describes a writer.
func Of(w io.Writer) Terminal {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return Terminal{}
	}
	return Terminal{
		IsTerminal: true, fd: int(file.Fd()),
		Color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
}

// Width returns how many columns it has now, because windows are resized; 0 if there is no limit,
// or if it is not known.
func (t Terminal) Width() int {
	if !t.IsTerminal {
		return 0
	}
	width, _, err := term.GetSize(t.fd)
	if err != nil {
		return 0
	}
	return width
}

// Style is the style of a text on a terminal: the parameter of SGR (ECMA-48, 8.3.117); empty
// changes nothing.
type Style string

// These few can be read on a dark and on a light background.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// Paint returns a text in a style, if the terminal has color.
func (t Terminal) Paint(style Style, text string) string {
	if !t.Color || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}
